"""Class names as a head's weights, by the text tower of the cache's own backbone.

K is the number of classes, T of prompts, D the dimension of the space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.errors import BackboneError, IdentityMismatchError, UsageError
from embedcache.heads.zero_shot import Named
from embedcache.store.cache import FeatureCache

__all__ = ["PROMPTS", "class_features", "name_classes", "read_classes"]

PROMPTS = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)
"""The seven that CLIP's authors selected for ImageNet from their eighty, as in open_clip:
https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb"""

Encode = Callable[[Sequence[str]], NDArray[np.float64]]
"""From texts to features of length 1."""


def read_classes(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names as they are, from a file, one on each line, or from a text, between commas.

    Raises:
        UsageError: The file cannot be read as UTF-8.
    """
    if not isinstance(given, str):
        return tuple(given)
    path = Path(given)
    if "," not in given and path.is_file():
        try:
            names = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError("the class names cannot be read", where=path, got=error) from error
    else:
        names = given.split(",")
    return tuple(name.strip() for name in names if name.strip())


def name_classes(
    caches: Sequence[FeatureCache],
    classes: tuple[str, ...],
    prompts: tuple[str, ...] = PROMPTS,
    weights: Path | None = None,
) -> Named:
    """The classes in the space of a cache's features.

    Args:
        caches: One cache, of an open_clip backbone.
        classes: K names; underscores and hyphens are read as spaces.
        prompts: T templates, with `{}` for the name.
        weights: A local file of the whole model, in place of the one that `extract` took.

    Raises:
        UsageError: Several caches, fewer than two names, one twice, or a prompt without `{}`.
        BackboneError: The backbone has no text tower.
        WeightsUnavailableError: Its weights are not on this machine any more.
        IdentityMismatchError: They are not those that made the cache.
    """
    _check(caches, classes, prompts)
    (cache,) = caches
    try:
        request = BackboneRequest.from_json(cache.meta.request)
    except ValueError as error:
        raise BackboneError(
            "this cache does not say how to load its backbone, and so has no text tower",
            where=cache.path,
            got="features that were imported, or of a backbone made in memory",
            expected="a cache that embedcache extract made with a backbone of open_clip",
        ) from error
    from embedcache.backbones.text_tower import load_text_tower

    tower = load_text_tower(replace(request, weights=weights or request.weights))
    if tower.image_weights != cache.identity.weights:
        raise IdentityMismatchError(
            "the text tower is not of the model that made these features",
            where=cache.path,
            got=f"image tower {tower.image_weights[:12]}…",
            expected=f"{cache.identity.weights[:12]}…",
            hint="give the file that they were extracted with: --weights FILE",
        )
    return Named(classes, class_features(tower.encode, classes, prompts), tower.scale)


def class_features(
    encode: Encode, classes: Sequence[str], prompts: Sequence[str]
) -> NDArray[np.float64]:
    """(K, D) of length 1: for each class the mean of its T texts' features.

    Radford et al. (2021), *Learning transferable visual models from natural language
    supervision*, section 3.1.4.
    """
    texts = [prompt.replace("{}", _words(name)) for name in classes for prompt in prompts]
    means = encode(texts).reshape(len(classes), len(prompts), -1).mean(axis=1)
    unit: NDArray[np.float64] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def _words(name: str) -> str:
    return re.sub(r"[_\-\s]+", " ", name).strip()


def _check(
    caches: Sequence[FeatureCache], classes: tuple[str, ...], prompts: tuple[str, ...]
) -> None:
    if len(caches) > 1:
        raise UsageError(
            "zero-shot compares texts with the images of one backbone",
            got=f"{len(caches)} caches",
            expected="one, of open_clip",
        )
    if len(classes) < 2:
        raise UsageError(
            "a classifier needs the names of two classes or more",
            got=", ".join(classes) or "no names: the cache has no labels",
            hint="name them: --classes cat,dog or --classes FILE, one on each line",
        )
    if len(set(classes)) < len(classes):
        twice = next(name for at, name in enumerate(classes) if name in classes[:at])
        raise UsageError("a class is named twice", got=repr(twice))
    for prompt in prompts:
        if "{}" not in prompt:
            raise UsageError(
                "a prompt has no place for the name",
                got=repr(prompt),
                expected="such as 'a photo of a {}.'",
            )
