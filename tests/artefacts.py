"""Files that an attacker may hand somebody, each where a command of ours would meet it.

Every maker plants one artefact at a place and gives the command line that meets it. What it
points at, loads or would run lies in `outside`, which must stay unopened.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hostile
import numpy as np

from embedcache.runs.folder import HEAD, HEAD_TENSORS, PREDICTIONS, ROWS
from embedcache.runs.ledger import LEDGER

__all__ = ["ARTEFACTS", "Place"]

Arguments = tuple[object, ...]


@dataclass(frozen=True)
class Place:
    """Where an artefact is planted.

    Attributes:
        folder: The working folder, with `cache/`, `runs/`, `x.npy` and `labels.csv`.
        outside: A folder with `secret`, `good.h5` and `run` that is nobody's business.
        cache: A sound cache of imported features.
        run: A run on it, with a sound run beside it.
        other: That.
    """

    folder: Path
    outside: Path
    cache: Path
    run: Path
    other: Path


class Malice:
    """Pickled, it writes a file where it is loaded."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self._target, "it ran")


def _pickled(place: Place) -> bytes:
    return pickle.dumps(Malice(place.outside / "ran"))


# -- caches ------------------------------------------------------------------------


def _cache(*command: str) -> Callable[[Callable[[h5py.File, Place], None]], Maker]:
    """An artefact that is a cache file with a change, met by a command on it."""

    def decorate(change: Callable[[h5py.File, Place], None]) -> Maker:
        def make(place: Place) -> Arguments:
            sound = place.cache.rename(place.cache.with_name(".sound"))
            with hostile.clone(sound, place.cache) as file:
                change(file, place)
            sound.unlink()
            return (*command, place.cache)

        return make

    return decorate


Maker = Callable[[Place], Arguments]


@_cache("inspect")
def _external_link(file: h5py.File, place: Place) -> None:
    del file["labels"]
    file["labels"] = h5py.ExternalLink(str(place.outside / "good.h5"), "/labels")


@_cache("inspect")
def _external_group(file: h5py.File, place: Place) -> None:
    del file["ids"]
    file["ids"] = h5py.ExternalLink(str(place.outside / "good.h5"), "/ids")


@_cache("fit-head")
def _soft_link(file: h5py.File, place: Place) -> None:
    del file["labels"]
    file["labels"] = h5py.SoftLink("/labels")


def _stored_outside(file: h5py.File, place: Place) -> None:
    size = file["labels"].shape[0]
    del file["labels"]
    where = [(str(place.outside / "secret"), 0, 4 * size)]
    file.create_dataset("labels", (size,), "<i4", external=where)


_external_storage = _cache("fit-head")(_stored_outside)
_external_storage_in_repair = _cache("verify", "--repair", "--drop-lost")(_stored_outside)


@_cache("inspect")
def _virtual(file: h5py.File, place: Place) -> None:
    shape = file["features"].shape
    layout = h5py.VirtualLayout(shape, "<f2")
    layout[:] = h5py.VirtualSource(str(place.outside / "good.h5"), "features", shape)
    del file["features"]
    file.create_virtual_dataset("features", layout)


@_cache("fit-head")
def _shape_bomb(file: h5py.File, place: Place) -> None:
    del file["features"]
    file.create_dataset("features", (1 << 40, 5), "<f2")


@_cache("verify")
def _chunk_bomb(file: h5py.File, place: Place) -> None:
    del file["labels"]
    file.create_dataset("labels", (1 << 40,), "<i4", chunks=(1 << 29,), compression="gzip")


@_cache("inspect")
def _zip_bomb(file: h5py.File, place: Place) -> None:
    shape = file["features"].shape
    del file["features"]
    file.create_dataset("features", data=np.zeros(shape, "<f2"), compression="gzip")


@_cache("inspect")
def _unknown_filter(file: h5py.File, place: Place) -> None:
    count = file["labels"].shape[0]
    del file["labels"]
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((count,))
    creation.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((count,))
    h5py.h5d.create(file.id, b"labels", h5py.h5t.STD_I32LE, space, dcpl=creation)
    os.environ["HDF5_PLUGIN_PATH"] = str(place.outside)


@_cache("inspect")
def _strings_of_any_length(file: h5py.File, place: Place) -> None:
    count = file["labels"].shape[0]
    del file["labels"]
    file.create_dataset("labels", data=["x"] * count, dtype=h5py.string_dtype())


def _cache_is_a_pickle(place: Place) -> Arguments:
    place.cache.write_bytes(_pickled(place))
    return "inspect", place.cache


# -- runs --------------------------------------------------------------------------


def _predict(place: Place) -> Arguments:
    return "predict", place.run, place.folder / "x.npy"


def _compare(place: Place) -> Arguments:
    return "compare", place.run, place.other


def _replaced(name: str, data: Callable[[Place], bytes], command: Maker = _predict) -> Maker:
    def make(place: Place) -> Arguments:
        (place.run / name).write_bytes(data(place))
        return command(place)

    return make


def _linked(name: str, command: Maker = _predict) -> Maker:
    """A link to a sound file of the same kind, outside."""

    def make(place: Place) -> Arguments:
        (place.run / name).unlink()
        (place.run / name).symlink_to(place.outside / name)
        return command(place)

    return make


def _tensors(change: Callable[[dict[str, Any]], None], name: str = HEAD_TENSORS) -> Maker:
    """The head's arrays under a false header; the description vouches for the file."""

    def make(place: Place) -> Arguments:
        path = place.run / name
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        _vouch(place.run, struct.pack("<Q", len(text)) + text + data[8 + length :])
        return _predict(place)

    return make


def _vouch(run: Path, tensors: bytes) -> None:
    import hashlib

    (run / HEAD_TENSORS).write_bytes(tensors)
    record = json.loads((run / HEAD).read_bytes())
    record["tensors_sha256"] = hashlib.sha256(tensors).hexdigest()
    (run / HEAD).write_text(json.dumps(record, indent=1) + "\n")


def _beyond(header: dict[str, Any]) -> None:
    header["weights"]["data_offsets"][1] += 1 << 40


def _overlap(header: dict[str, Any]) -> None:
    low = header["weights"]["data_offsets"][0]
    header["intercept"]["data_offsets"] = [low, low + 8 * header["intercept"]["shape"][0]]


def _huge_shape(header: dict[str, Any]) -> None:
    header["weights"]["shape"] = [1 << 31, 1 << 31]


def _doubled_key(place: Place) -> Arguments:
    path = place.run / HEAD_TENSORS
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = data[8 : 8 + length].rstrip()
    again = json.dumps(json.loads(text)["weights"]).encode()
    text = text[:-1] + b',"weights":' + again.replace(b"F64", b"I64") + b"}"
    _vouch(place.run, struct.pack("<Q", len(text)) + text + data[8 + length :])
    return _predict(place)


def _ledger_link(place: Place) -> Arguments:
    (place.run.parent / LEDGER).unlink(missing_ok=True)
    (place.run.parent / LEDGER).symlink_to(place.outside / LEDGER)
    return "fit-head", place.cache, "--c", "0.1"


def _lock_link(place: Place) -> Arguments:
    lock = place.cache.with_name(f".{place.cache.stem}.lock")
    lock.unlink(missing_ok=True)
    lock.symlink_to(place.outside / "secret")
    hostile.flip_feature(place.cache, 3)
    return "verify", "--repair", "--drop-lost", place.cache


# -- what people bring -------------------------------------------------------------


def _brought(name: str, data: Callable[[Place], bytes], *command: object) -> Maker:
    def make(place: Place) -> Arguments:
        path = place.folder / name
        path.write_bytes(data(place))
        return tuple(path if each == "FILE" else each for each in command)

    return make


_IMPORT = ("import", "FILE", "--backbone-name", "dino", "--name", "new")


def _objects(_: Place) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1.0, "x"]], object), allow_pickle=True)
    return buffer.getvalue()


def _archive_of_objects(place: Place) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, features=np.array([Malice(place.outside / "ran")], object))
    return buffer.getvalue()


def _npy_bomb(_: Place) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((4, 5), "f4"))
    return buffer.getvalue().replace(b"(4, 5), }        ", b"(4000000000, 5), }")


def _npy_of_code(place: Place) -> bytes:
    text = f"__import__('pathlib').Path({str(place.outside / 'ran')!r}).write_text('it ran')"
    header = ("{'descr': " + text + ", 'fortran_order': False, 'shape': (1, 1)}").encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(8)


def _manifest(cell: Callable[[Place], str]) -> Maker:
    def text(place: Place) -> bytes:
        return f"path,label\n{cell(place)},cat\n".encode()

    return _brought("t.csv", text, "extract", "FILE", "--dry-run")


def _climbing_archive(place: Place) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(f"../{place.outside.name}/ran")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"ran"))
    return buffer.getvalue()


_WEIGHTS = ("extract", ".", "--backbone", "timm/resnet10t", "--weights", "FILE")


def _torch_pickle(place: Place) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save({"conv1.weight": Malice(place.outside / "ran")}, buffer)
    return buffer.getvalue()


def _false_weights(_: Place) -> bytes:
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 1 << 50]}
    text = json.dumps({"a": entry}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


def _tuned_backbone(place: Place) -> Arguments:
    folder = place.run / "backbone"
    folder.mkdir()
    description = {"format": 1, "kind": "embedcache-backbone", "files": {"../../secret": "0"}}
    (folder / "backbone.json").write_text(json.dumps(description))
    return "extract", ".", "--backbone", f"tuned:{place.run}"


ARTEFACTS: dict[str, tuple[int, Maker]] = {
    "cache: external link": (4, _external_link),
    "cache: external link to a group": (4, _external_group),
    "cache: soft link": (4, _soft_link),
    "cache: external storage": (4, _external_storage),
    "cache: external storage, in a repair": (4, _external_storage_in_repair),
    "cache: virtual data set": (4, _virtual),
    "cache: shape bomb": (4, _shape_bomb),
    "cache: chunk bomb": (4, _chunk_bomb),
    "cache: compressed": (4, _zip_bomb),
    "cache: unknown filter and a plugin": (4, _unknown_filter),
    "cache: strings of any length": (4, _strings_of_any_length),
    "cache: pickle": (4, _cache_is_a_pickle),
    "head: arrays are a pickle": (4, _replaced(HEAD_TENSORS, _pickled)),
    "head: description is a pickle": (4, _replaced(HEAD, _pickled)),
    "head: nested JSON": (4, _replaced(HEAD, lambda _: b"[" * 200_000)),
    "head: header of 2^60 bytes": (
        4,
        _replaced(HEAD_TENSORS, lambda _: struct.pack("<Q", 1 << 60) + b"{}"),
    ),
    "head: offsets beyond the file": (4, _tensors(_beyond)),
    "head: offsets that overlap": (4, _tensors(_overlap)),
    "head: shape bomb": (4, _tensors(_huge_shape)),
    "head: one key twice": (4, _doubled_key),
    "head: link to another's description": (4, _linked(HEAD)),
    "head: link to another's arrays": (4, _linked(HEAD_TENSORS)),
    "run: link to another's rows": (4, _linked(ROWS, _compare)),
    "run: link to another's predictions": (4, _linked(PREDICTIONS, _compare)),
    "run: predictions are a pickle": (4, _replaced(PREDICTIONS, _pickled, _compare)),
    "run: ledger is a link": (4, _ledger_link),
    "run: backbone of files that climb out": (4, _tuned_backbone),
    "lock: link": (5, _lock_link),
    "weights: pickle": (4, _brought("w.pth", _torch_pickle, *_WEIGHTS)),
    "weights: false offsets": (4, _brought("w.safetensors", _false_weights, *_WEIGHTS)),
    "features: array of objects": (2, _brought("o.npy", _objects, *_IMPORT)),
    "features: archive of objects": (2, _brought("o.npz", _archive_of_objects, *_IMPORT)),
    "features: pickle": (2, _brought("p.npy", _pickled, *_IMPORT)),
    "features: shape bomb": (2, _brought("b.npy", _npy_bomb, *_IMPORT)),
    "features: header of code": (2, _brought("c.npy", _npy_of_code, *_IMPORT)),
    "manifest: path that climbs out": (2, _manifest(lambda p: f"../{p.outside.name}/secret")),
    "manifest: absolute path": (2, _manifest(lambda p: str(p.outside / "secret"))),
    "manifest: path that climbs within": (
        2,
        _manifest(lambda p: f"a/../../{p.outside.name}/secret"),
    ),
    "archive: member that climbs out": (
        2,
        _brought("a.tar", _climbing_archive, "extract", "FILE", "--dry-run"),
    ),
}
"""By name: the exit code, 4 for what is ours and 2 for what a person brings, and the maker."""
