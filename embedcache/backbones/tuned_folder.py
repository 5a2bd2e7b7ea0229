"""The folder of a tuned backbone, `runs/NAME/backbone/`: found by name, read with suspicion.

`backbone.json` says how to build the model and has the sum of every other file: the tensors, the
images that trained it, and what the base's library wants beside them. Reading it needs no torch.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.names import TUNED
from embedcache.errors import BackboneError, CacheInvalidError, FormatVersionError
from embedcache.records.identity import Identity
from embedcache.records.json_text import parse_json
from embedcache.records.seen import TRAINED, VALIDATED, SeenRows
from embedcache.runs.files import read_regular
from embedcache.runs.folder import BACKBONE, FINETUNE, runs_root
from embedcache.storage.digests import sha256_hex

__all__ = [
    "DESCRIPTION",
    "SEEN",
    "TOWER",
    "Description",
    "locate",
    "read_description",
    "read_file",
    "read_seen",
    "seen_by",
    "seen_bytes",
    "settled",
    "tuned_names",
]

DESCRIPTION = "backbone.json"
TOWER = "tower.safetensors"
SEEN = "rows.safetensors"

_FORMAT = 1
_KIND = "embedcache-backbone"
_LARGEST_DESCRIPTION = 1 << 20
_LARGEST = 1 << 38
_PREFIX = f"{TUNED}:"


@dataclass(frozen=True)
class Description:
    """`backbone.json`.

    Attributes:
        base: Name of the backbone that gives the architecture; never a tuned one.
        image_size: That was asked of it; None for its own.
        pooling: Likewise.
        identity: Of the tuned features, at the precision and dtype that it was judged with.
        license: Of the base's weights, empty where unknown.
        files: SHA-256 of each other file in the folder, by name.
    """

    base: str
    image_size: int | None
    pooling: str | None
    identity: Identity
    license: str
    files: Mapping[str, str]

    def to_bytes(self) -> bytes:
        """JSON, with a sum over all of it."""
        value = {
            "format": _FORMAT,
            "kind": _KIND,
            "base": self.base,
            "image_size": self.image_size,
            "pooling": self.pooling,
            "identity": self.identity.to_json(),
            "license": self.license,
            "files": dict(self.files),
        }
        return json.dumps({**value, "sum": _sum(value)}, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Description:
        """The description, from what `to_bytes` gave.

        Raises:
            ValueError: It is anything else, or its sum is wrong.
        """
        value = parse_json(data)
        match value:
            case {
                "format": 1,
                "kind": "embedcache-backbone",
                "base": str(base),
                "image_size": int() | None as image_size,
                "pooling": str() | None as pooling,
                "identity": dict(identity),
                "license": str(license_name),
                "files": dict(files),
                "sum": str(total),
            } if len(value) == 9 and all(
                isinstance(text, str) for pair in files.items() for text in pair
            ):
                del value["sum"]
                if total != _sum(value):
                    raise ValueError("it was altered")
                if base.startswith(_PREFIX) or not {TOWER, SEEN} <= files.keys():
                    raise ValueError(f"base {base!r} and files {sorted(files)}")
                if any(name != os.path.basename(name) for name in files):
                    raise ValueError("files outside of its folder")
                known = Identity.from_json(identity)
                return cls(base, image_size, pooling, known, license_name, files)
            case {"kind": "embedcache-backbone", "format": int(version)} if version > _FORMAT:
                raise FormatVersionError(
                    "this backbone was written by a newer embedcache",
                    got=f"format {version}",
                    expected=f"format {_FORMAT}",
                    hint="pip install --upgrade embedcache",
                )
        raise ValueError("not the description of a tuned backbone")


def locate(run: str, beside: Path | None = None) -> Path:
    """The run that has a tuned backbone, absolute.

    It is looked for where its name says, then by its last part in the runs folder: so it is found
    again after that has moved.

    Args:
        run: Name or folder.
        beside: A run that names it: it may lie in that one or next to it.

    Raises:
        BackboneError: There is none.
    """
    root, name = runs_root(None), Path(run).name
    places = [Path(run), root / run, root / name]
    if beside is not None:
        places = [beside / run, beside.parent / name, *places]
    for place in places:
        if (place / BACKBONE).is_dir():
            return Path(os.path.abspath(place))
    if any((place / FINETUNE).is_file() for place in places):
        raise BackboneError(
            "this fine-tuning shipped no backbone: the frozen one stays",
            got=_PREFIX + run,
            hint="its finetune.json has the evidence; extract with the frozen backbone",
        )
    near = difflib.get_close_matches(_PREFIX + name, tuned_names(), n=3, cutoff=0.3)
    raise BackboneError(
        "there is no such tuned backbone",
        got=_PREFIX + run,
        expected=", ".join(near) or None,
        hint=f"give its run's folder, {_PREFIX}FOLDER, or name the folder of runs in "
        "EMBEDCACHE_RUNS_DIR",
    )


def tuned_names() -> list[str]:
    """Names of the tuned backbones in the runs folder."""
    found = runs_root(None).glob(f"*/{BACKBONE}/{DESCRIPTION}")
    return sorted(_PREFIX + path.parent.parent.name for path in found)


def settled(request: BackboneRequest, beside: Path | None = None) -> BackboneRequest:
    """The request with a tuned backbone's run as an absolute folder; any other as it is.

    Raises:
        BackboneError: There is no such tuned backbone.
    """
    if not request.name.startswith(_PREFIX):
        return request
    return replace(request, name=f"{_PREFIX}{locate(request.name.removeprefix(_PREFIX), beside)}")


def seen_by(request: BackboneRequest) -> SeenRows | None:
    """The images that trained a backbone; None where it is not a tuned one.

    Raises:
        BackboneError: There is no such tuned backbone.
        CacheInvalidError: Its folder is damaged.
    """
    if not request.name.startswith(_PREFIX):
        return None
    folder = locate(request.name.removeprefix(_PREFIX)) / BACKBONE
    return read_seen(folder, read_description(folder))


def read_description(folder: Path) -> Description:
    """`backbone.json` of a folder that may come from anybody.

    Raises:
        CacheInvalidError: Missing, damaged, or not of a tuned backbone.
        FormatVersionError: Written by a newer embedcache.
    """
    path = folder / DESCRIPTION
    try:
        return Description.from_bytes(read_regular(path, _LARGEST_DESCRIPTION))
    except ValueError as error:
        raise _invalid("not the description of a tuned backbone", path, error) from error


def read_file(folder: Path, description: Description, name: str) -> bytes:
    """A file of the folder, if it is the one that the description names.

    Raises:
        CacheInvalidError: It is missing, or another one.
    """
    data, expected = read_regular(folder / name, _LARGEST), description.files[name]
    if sha256_hex(data) != expected:
        raise _invalid(
            "a file of this tuned backbone is not the one that was shipped",
            folder / name,
            f"SHA-256 {sha256_hex(data)[:12]}…",
            f"{expected[:12]}…",
        )
    return data


def read_seen(folder: Path, description: Description) -> SeenRows:
    """The images that trained it, and all that trained what it was made of.

    Raises:
        CacheInvalidError: The file is missing, or another one.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(read_file(folder, description, SEEN))
        digest, part = tensors["digest"], tensors["part"]
    except (SafetensorError, KeyError, ValueError) as error:
        raise _invalid("not the rows of a tuned backbone", folder / SEEN, error) from error
    if (
        {str(digest.dtype), str(part.dtype)} != {"uint8"}
        or part.ndim != 1
        or digest.shape != (len(part), 32)
        or not np.isin(part, (TRAINED, VALIDATED)).all()
    ):
        raise _invalid("not the rows of a tuned backbone", folder / SEEN, digest.shape)
    return SeenRows(digest, part)


def seen_bytes(seen: SeenRows) -> bytes:
    """The images as `read_seen` reads them."""
    from safetensors.numpy import save

    return save({"digest": seen.digest, "part": seen.part})


def _sum(value: Mapping[str, Any]) -> str:
    return sha256_hex(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _invalid(what: str, where: Path, got: object, expected: object = None) -> CacheInvalidError:
    return CacheInvalidError(
        what,
        where=where,
        got=got,
        expected=expected,
        hint="embedcache finetune --overwrite makes it again; without it, use the frozen backbone",
    )
