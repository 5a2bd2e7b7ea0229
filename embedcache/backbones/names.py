"""Parse backbone names, and know which module answers for each source.

A name is `SOURCE/MODEL[:TAG]`, or `tuned:RUN` for the backbone that a fine-tuning shipped.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from embedcache.errors import BackboneError

__all__ = [
    "SOURCES",
    "TUNED",
    "BackboneName",
    "parse_name",
    "resolve",
    "unknown_model",
    "unknown_weights",
]

SOURCES = {
    "bundled": "embedcache.backbones.from_bundled",
    "torchvision": "embedcache.backbones.from_torchvision",
    "timm": "embedcache.backbones.from_timm",
    "open_clip": "embedcache.backbones.from_open_clip",
    "hf": "embedcache.backbones.from_hf",
}
"""Modules by source; each has `build` and `known_names`, and loads its library only on use."""

TUNED = "tuned"
"""The source of fine-tuned backbones: `tuned:RUN`, by the name or the folder of a run."""

_MODULES = {**SOURCES, TUNED: "embedcache.backbones.from_tuned"}

_EXAMPLE = "timm/resnet50.a1_in1k"


@dataclass(frozen=True)
class BackboneName:
    """A parsed name.

    Attributes:
        source: A key of `SOURCES`, or `TUNED`.
        model: Name of the architecture within the source; of `TUNED` the run.
        tag: Name of the weights, `None` for the default ones.
    """

    source: str
    model: str
    tag: str | None = None

    def __str__(self) -> str:
        if self.source == TUNED:
            return f"{TUNED}:{self.model}"
        return f"{self.source}/{self.model}" + (f":{self.tag}" if self.tag else "")


def parse_name(name: str) -> BackboneName:
    """Split a backbone name into its parts, without asking whether the model exists.

    Raises:
        BackboneError: No such source, or not of the form `SOURCE/MODEL[:TAG]`.
    """
    if name.startswith(f"{TUNED}:"):
        run = name.removeprefix(f"{TUNED}:")
        if not run:
            raise BackboneError("incomplete backbone name", got=name, expected=f"{TUNED}:runs/NAME")
        return BackboneName(TUNED, run)
    source, slash, rest = name.partition("/")
    model, colon, tag = rest.partition(":")
    if not slash:
        raise BackboneError(
            "a backbone's name begins with its source",
            got=name,
            expected=f"SOURCE/MODEL[:TAG] with SOURCE one of {', '.join(SOURCES)}",
            hint=f"embedcache backbones --search {name or 'TEXT'}",
        )
    if source == TUNED:
        raise BackboneError(
            "a tuned backbone is named with a colon", got=name, expected=f"{TUNED}:{rest}"
        )
    if source not in SOURCES:
        near = difflib.get_close_matches(source, SOURCES, n=1)
        raise BackboneError(
            "unknown source of backbones",
            got=source,
            expected=", ".join(SOURCES),
            hint=f"did you mean {near[0]}/{rest}?" if near else None,
        )
    if not model or (colon and not tag):
        raise BackboneError(
            "incomplete backbone name", got=name, expected=f"SOURCE/MODEL[:TAG], as {_EXAMPLE}"
        )
    return BackboneName(source, model, tag or None)


def resolve(source: str, attribute: str) -> Callable[..., Any]:
    """The function `attribute` of the module that answers for a source."""
    function: Callable[..., Any] = getattr(importlib.import_module(_MODULES[source]), attribute)
    return function


def unknown_model(name: BackboneName, known: Iterable[str]) -> BackboneError:
    """An error that lists the nearest models of a source.

    Args:
        name: What was asked for.
        known: Full names, source included, with or without tags.
    """
    models = {_untagged(item).lower(): _untagged(item) for item in known}
    near = difflib.get_close_matches(_untagged(str(name)).lower(), models, n=5, cutoff=0.5)
    return BackboneError(
        f"{name.source} has no such model",
        got=str(name),
        expected=", ".join(models[item] for item in near) or None,
        hint=f"embedcache backbones --search {_untagged(name.model)}",
    )


def unknown_weights(name: BackboneName, known: Iterable[str]) -> BackboneError:
    """An error that lists the weights of a model, the nearest first.

    Args:
        name: What was asked for.
        known: Full names of this model, tags included.
    """
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=len(names) or 1, cutoff=0)
    return BackboneError(
        "no such weights for this model" if name.tag else "this model needs a tag for its weights",
        got=str(name),
        expected=", ".join(near[:8]) + (", …" if len(near) > 8 else "") or None,
        hint=f"embedcache backbones --search {_untagged(name.model)}",
    )


def _untagged(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
