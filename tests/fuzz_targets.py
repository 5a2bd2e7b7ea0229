"""Every file that embedcache reads and that anybody may have written, as a target for fuzzing.

Libraries are imported where a target is made, so that a child pays for its own only.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import builders
import hostile
import numpy as np
import xxhash
from fuzzing import Files, Target

from embedcache.errors import CacheError, SourceError, UsageError
from embedcache.heads.json_records import dump_record, load_record
from embedcache.records.strings import Strings
from embedcache.runs import folder as names

__all__ = ["TARGETS", "UNSUMMED", "example"]

# -- the cache file ----------------------------------------------------------------


def _cache(signer: Callable[[], Callable[[Files], Files]], *, stays: bool = False) -> Target:
    from embedcache.store.cache import FeatureCache

    def make(folder: Path) -> None:
        builders.make_cache(folder / "c.h5", count=20, dim=4)

    def read(folder: Path) -> object:
        cache = FeatureCache(folder / "c.h5")
        cache.select(label=cache.classes[0] if cache.classes else None)
        cache.ids.texts()
        return {
            name: value.tobytes() if isinstance(value, np.ndarray) else value
            for name, value in hostile.everything(cache).items()
        }

    return Target(make, read, (CacheError,), sign=signer(), stays=stays)


Spans = Mapping[str, tuple[int, int]]


def _sound_cache() -> tuple[bytes, Spans]:
    """The sound file, and where the tables lie in it: offset and size in bytes."""
    import tempfile

    import h5py

    from embedcache.store.layout import TABLES

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "c.h5"
        builders.make_cache(path, count=20, dim=4)
        with h5py.File(path) as file:
            spans = {each: (file[each].id.get_offset(), file[each].nbytes) for each in TABLES}
        return path.read_bytes(), spans


def _table_signer() -> Callable[[Files], Files]:
    """What makes the sums of a spoilt cache right, where its tables still lie in their places."""
    from embedcache.storage.digests import block_sum
    from embedcache.store.layout import TABLES
    from embedcache.store.writer import content_digest

    data, spans = _sound_cache()
    start, size = spans["meta"]
    meta_bytes = data[start : start + size]
    content = json.loads(meta_bytes)["content"].encode()
    start, size = spans["checksums"]
    old = block_sum("meta+checksums", 0, meta_bytes + data[start : start + size])
    at = data.index(struct.pack("<Q", old))
    tables = [each for each in TABLES if each not in ("features", "meta", "checksums")]

    def sign(files: Files) -> Files:
        spoilt = bytearray(files["c.h5"])

        def table(name: str) -> bytes:
            start, size = spans[name]
            return bytes(spoilt[start : start + size])

        sums = [block_sum("features", 0, table("features"))]
        sums += [block_sum(each, 0, table(each)) for each in tables]
        checksums = np.array(sums, "<u8")
        meta = table("meta").replace(content, content_digest(checksums).encode())
        for name, value in (("checksums", checksums.tobytes()), ("meta", meta)):
            start = spans[name][0]
            spoilt[start : start + len(value)] = value
        total = block_sum("meta+checksums", 0, meta + checksums.tobytes())
        spoilt[at : at + 8] = struct.pack("<Q", total)
        return {"c.h5": bytes(spoilt)}

    return sign


def _header_signer() -> Callable[[Files], Files]:
    """What puts the tables back, so that only what HDF5 itself wrote is spoilt."""
    data, spans = _sound_cache()

    def sign(files: Files) -> Files:
        spoilt = bytearray(files["c.h5"][: len(data)])
        for start, size in spans.values():
            if start + size <= len(spoilt):
                spoilt[start : start + size] = data[start : start + size]
        return {"c.h5": bytes(spoilt)}

    return sign


# -- runs --------------------------------------------------------------------------


def _head() -> Target:
    from problems import IDENTITY

    from embedcache.heads.artefact import Head
    from embedcache.heads.forms.linear import Linear
    from embedcache.heads.head_record import AbstainRule, HowChosen
    from embedcache.records.feature_source import FeatureSource

    def make(folder: Path) -> None:
        rng = np.random.default_rng(1)
        Head(
            ("cat", "dog", "hen"),
            ("unseen",),
            Linear(rng.normal(size=(3, 7)), rng.normal(size=3)),
            "logreg",
            "pets",
            (FeatureSource("fake/mean", IDENTITY, "c" * 64, 7),),
            HowChosen({"C": 0.1}, "log_loss", 0, 100, True, 12),
            AbstainRule(0.95, 0.8),
        ).save(folder)

    def read(folder: Path) -> object:
        head = Head.load(folder)
        shares = head.predict_proba(np.ones((2, head.dim)))
        assert shares.shape == (2, len(head.classes))
        assert np.isfinite(shares).all()
        head.abstains(shares)
        described = [getattr(head, each.name) for each in dataclasses.fields(head)]
        return [shares.tobytes(), *(each for each in described if each is not head.form)]

    def sign(files: Files) -> Files:
        try:
            record = json.loads(files[names.HEAD])
            described = hashlib.sha256(
                json.dumps({**record, "tensors_sha256": ""}, indent=1).encode() + b"\n"
            ).hexdigest()
            header, body = _safetensors(files[names.HEAD_TENSORS])
            header["__metadata__"] = {"description": described}
            tensors = _as_safetensors(header, body)
            record["tensors_sha256"] = hashlib.sha256(tensors).hexdigest()
        except (ValueError, TypeError, KeyError, struct.error, RecursionError):
            return files
        return {
            names.HEAD: json.dumps(record, indent=1).encode() + b"\n",
            names.HEAD_TENSORS: tensors,
        }

    return Target(make, read, (CacheError,), sign=sign)


def _rows() -> Target:
    from embedcache.heads.rows import RunRows

    def make(folder: Path) -> None:
        tables = builders.tables(9)
        RunRows(tables.sha256, tables.labels, tables.split).save(folder)

    def read(folder: Path) -> object:
        rows = RunRows.load(folder)
        return [each.tobytes() for each in (rows.digest, rows.label, rows.side)]

    def sign(files: Files) -> Files:
        return _sign_columns(files, names.ROWS, ("digest", "label", "side"))

    return Target(make, read, (CacheError,), sign=sign)


def _predictions() -> Target:
    from embedcache.heads.predictions import Predictions
    from embedcache.heads.rows import RunRows

    def rows() -> RunRows:
        return RunRows(np.zeros((9, 32), np.uint8), np.arange(9) % 3, np.zeros(9, np.uint8))

    def make(folder: Path) -> None:
        shares = np.full((5, 3), 1 / 3, np.float32)
        Predictions(np.arange(5), np.full(5, -1, np.int32), shares).save(folder)

    def read(folder: Path) -> object:
        found = Predictions.load(folder, rows())
        return [each.tobytes() for each in (found.row, found.group, found.probability)]

    def sign(files: Files) -> Files:
        return _sign_columns(files, names.PREDICTIONS, ("row", "group", "probability"))

    return Target(make, read, (CacheError,), sign=sign)


def _safetensors(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if not isinstance(header, dict):
        raise TypeError("not a header")
    return header, data[8 + length :]


def _as_safetensors(header: Mapping[str, Any], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _sign_columns(files: Files, name: str, columns: tuple[str, ...]) -> Files:
    try:
        header, body = _safetensors(files[name])
        spans = [header[column]["data_offsets"] for column in columns]
        total = hashlib.sha256(b"".join(body[low:high] for low, high in spans)).hexdigest()
        header["__metadata__"] = {"sha256": total}
        return {**files, name: _as_safetensors(header, body)}
    except (ValueError, TypeError, KeyError, struct.error, RecursionError):
        return files


def _tuned_backbone() -> Target:
    from embedcache.backbones.tuned_folder import (
        DESCRIPTION,
        SEEN,
        TOWER,
        Description,
        read_description,
        read_seen,
        seen_bytes,
    )
    from embedcache.records.seen import SeenRows

    def sum_of(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    def make(folder: Path) -> None:
        seen = seen_bytes(SeenRows(builders.tables(4).sha256, np.array([1, 2, 1, 2], np.uint8)))
        (folder / SEEN).write_bytes(seen)
        files = {TOWER: "0" * 64, SEEN: sum_of(seen)}
        description = Description("fake/mean", 8, None, builders.IDENTITY, "MIT", files)
        (folder / DESCRIPTION).write_bytes(description.to_bytes())

    def read(folder: Path) -> object:
        description = read_description(folder)
        seen = read_seen(folder, description)
        return description, seen.digest.tobytes(), seen.part.tobytes()

    def sign(files: Files) -> Files:
        try:
            value = json.loads(files[DESCRIPTION])
            value.pop("sum", None)
            value["files"][SEEN] = sum_of(files[SEEN])
            text = json.dumps(value, sort_keys=True, separators=(",", ":"))
            value["sum"] = sum_of(text.encode())
            return {**files, DESCRIPTION: json.dumps(value).encode()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return files

    return Target(make, read, (CacheError,), sign=sign)


# -- records -----------------------------------------------------------------------


def example(kind: Any) -> Any:
    """A value of a record's type, each tuple with two entries."""
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{each.name: example(hints[each.name]) for each in dataclasses.fields(kind)})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is types.UnionType:
        return example(next(each for each in arguments if each is not types.NoneType))
    if origin is tuple:
        kinds = arguments[:1] * 2 if arguments[-1] is Ellipsis else arguments
        return tuple(map(example, kinds))
    if origin is dict:
        return {"a": example(arguments[1])}
    return {int: 3, float: 0.5, str: "text", bool: True}[kind]


def _record(name: str, kind: type) -> Target:
    """A record that `load_record` reads; it has no sum, so that damage may pass as a value."""
    from embedcache.runs.files import read_regular

    def make(folder: Path) -> None:
        (folder / name).write_bytes(dump_record(example(kind)))

    def read(folder: Path) -> object:
        record = load_record(kind, read_regular(folder / name, 1 << 24))
        assert load_record(kind, dump_record(record)) == record
        return record

    return Target(make, read, (ValueError, CacheError), sign=lambda files: files)


def _finetune() -> Target:
    from embedcache.finetuning.record import FinetuneRecord

    return _record(names.FINETUNE, FinetuneRecord)


def _decision() -> Target:
    from embedcache.decision.record import Decision

    return _record(names.DECISION, Decision)


def _ledger() -> Target:
    from embedcache.runs.ledger import LEDGER, next_gate, record_opening

    def make(folder: Path) -> None:
        record_opening(folder, "a" * 64, "one head")
        record_opening(folder, "a" * 64, "another head")
        record_opening(folder, "b" * 64, "gate of 1")

    def read(folder: Path) -> object:
        return next_gate(folder, "a" * 64, "x"), next_gate(folder, "b" * 64, "x")

    return Target(make, read, (CacheError,), damaged=(LEDGER,), sign=lambda files: files)


# -- unfinished work, and what is disposable ---------------------------------------


def _plan() -> Target:
    from embedcache.extraction.plan import Plan

    def make(folder: Path) -> None:
        ids = Strings.of(f"class/picture {number}.png" for number in range(20))
        Plan("1" * 64, 4, 8, ids).save(folder)

    def read(folder: Path) -> object:
        plan = Plan.load(folder)
        if plan is None:
            return None
        for number in plan.jobs[:3]:
            plan.job(number)
            plan.files(folder, number)
        return plan.identity, plan.batch_size, plan.job_rows, list(plan.ids)

    def sign(files: Files) -> Files:
        try:
            header = json.loads(files["plan.json"])
            samples = files["plan.samples"]
            header["samples"] = samples.count(b"\0")
            header["samples_sha256"] = hashlib.sha256(samples).hexdigest()
            header.pop("key", None)
            key = hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()[:8]
            return {**files, "plan.json": json.dumps({**header, "key": key}).encode()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            return files

    return Target(make, read, (), empty=None, sign=sign)


def _files_index() -> Target:
    from embedcache.extraction.files_index import _MAGIC, FilesIndex

    def make(folder: Path) -> None:
        stats = [(b"/a/%d.png" % number, (1, 2, 3, 4, number), b"d" * 32) for number in range(9)]
        FilesIndex.of(stats).save(folder / "files.index")

    def read(folder: Path) -> object:
        index = FilesIndex.load(folder / "files.index")
        merged = FilesIndex.merge([index, FilesIndex.of([(b"/a", (0, 0, 0, 0, 0), b"e" * 32)])])
        merged.known_digests([b"/a/1.png", b"/a"], 2)
        return list(index.paths), index.stats.tobytes(), index.digests.tobytes()

    def sign(files: Files) -> Files:
        payload = files["files.index"][len(_MAGIC) + 8 :]
        return {"files.index": _MAGIC + xxhash.xxh3_64_digest(payload) + payload}

    return Target(make, read, (), empty=([], b"", b""), sign=sign)


def _checkpoint() -> Target:
    import torch

    from embedcache.finetuning.checkpoint import Checkpoint, Saved, _sum
    from embedcache.finetuning.curve import Judged, Loss, Progress

    def make(folder: Path) -> None:
        tensors = {"model.a": torch.arange(6.0).reshape(2, 3), "average.b": torch.ones(4)}
        progress = Progress(5, 8, 1.5, (Loss(5, 0.7),), (Judged(0, 0.9, 0.5),))
        Checkpoint(folder / "state.safetensors", "one", 60).save(Saved(progress, tensors))

    def read(folder: Path) -> object:
        saved = Checkpoint(folder / "state.safetensors", "one", 60).load()
        if saved is None:
            return None
        return saved.progress, {name: each.tolist() for name, each in saved.tensors.items()}

    def sign(files: Files) -> Files:
        from safetensors.torch import load, save

        data = files["state.safetensors"]
        try:
            record = _safetensors(data)[0]["__metadata__"]["progress"]
            tensors = load(data)
            metadata = {"fingerprint": "one", "progress": record, "sha256": _sum(record, tensors)}
            return {"state.safetensors": save(tensors, metadata)}
        except Exception:  # noqa: BLE001  # a file that cannot be signed is one without a sum
            return files

    return Target(make, read, (CacheError,), empty=None, sign=sign)


# -- what people bring -------------------------------------------------------------

_CSV = """path,label,split,group\r
a/1.png,cat,train,g1\r
"a/2.png","dog ""Rex"", large",val,g1\r
a/3.png,01,test,"g
2"\r
é.png,NaN,,\r
"""


def _table() -> Target:
    from embedcache.datasets.source import SourceOptions, open_source

    def make(folder: Path) -> None:
        (folder / "t.csv").write_bytes(_CSV.encode())
        (folder / "é.png").write_bytes(b"")

    def read(folder: Path) -> object:
        manifest = open_source(folder / "t.csv", SourceOptions())
        for each in manifest.ids:
            assert not each.startswith((b"/", b"../"))
            assert b"/../" not in each
        return [list(manifest.ids), list(manifest.classes), manifest.labels.tolist()]

    words = (b"..", b"../", b"/etc/passwd", b";", b"\t", b'""', b"path", b"label", b",,", b"\r\r")
    return Target(
        make, read, (SourceError,), damaged=("t.csv",), sign=lambda files: files, words=words
    )


def _features() -> Target:
    from embedcache.datasets.feature_file import finite_rows, map_features, stored_blocks

    def make(folder: Path) -> None:
        np.save(folder / "x.npy", np.arange(24, dtype=np.float32).reshape(6, 4))

    def read(folder: Path) -> object:
        features = map_features(folder / "x.npy")
        keep = finite_rows(features, "float32", folder / "x.npy")
        return [block.tobytes() for block in stored_blocks(features, keep, "float32")]

    words = (b"'|O'", b"(6, 4)", b"True", b"'descr': '|O'", b"99999999999,", b"__import__('os')")
    return Target(make, read, (UsageError, CacheError), sign=lambda files: files, words=words)


def _config() -> Target:
    import click

    from embedcache.cli.config import _defaults, _read
    from embedcache.cli.extract import extract

    def make(folder: Path) -> None:
        text = '[extract]\nbackbone = "bundled/efficientnet_lite0"\nbatch-size = 8\nquiet = true\n'
        (folder / "c.toml").write_text(text)

    def read(folder: Path) -> object:
        content = _read(folder / "c.toml")
        section = content.get("extract")
        if not isinstance(section, dict):
            return None
        return _defaults(extract, "extract", section, folder / "c.toml")

    words = (b"[extract]", b"= 1979-05-27", b"'''", b"{a=1}", b"= inf", b"= nan", b"seed = ")
    return Target(make, read, (UsageError, click.UsageError), sign=lambda f: f, words=words)


def _weights(name: str) -> Target:
    import torch
    from safetensors.torch import save_file

    from embedcache.backbones.weights import read_weights, tensors_digest
    from embedcache.errors import BackboneError

    def make(folder: Path) -> None:
        tensors = {"a": torch.arange(6.0), "b": torch.ones(2, 2)}
        if name.endswith(".safetensors"):
            save_file(tensors, folder / name)
        else:
            torch.save(tensors, folder / name)

    def read(folder: Path) -> object:
        return tensors_digest(read_weights(folder / name)[0])

    return Target(make, read, (CacheError, BackboneError), sign=lambda files: files)


TARGETS: dict[str, Callable[[], Target]] = {
    "cache": lambda: _cache(_table_signer),
    "cache headers": lambda: _cache(_header_signer, stays=True),
    "head": _head,
    "rows of a run": _rows,
    "predictions of a run": _predictions,
    "tuned backbone": _tuned_backbone,
    "finetune.json": _finetune,
    "decision.json": _decision,
    "ledger.json": _ledger,
    "plan": _plan,
    "files index": _files_index,
    "checkpoint": _checkpoint,
    "table": _table,
    "features to import": _features,
    "configuration": _config,
    "weights.pth": lambda: _weights("weights.pth"),
    "weights.safetensors": lambda: _weights("weights.safetensors"),
}
"""By name."""

UNSUMMED = {
    "finetune.json",
    "decision.json",
    "ledger.json",
    "table",
    "features to import",
    "configuration",
    "weights.pth",
    "weights.safetensors",
}
"""Formats without a sum: damage that reads as another value cannot be told from that value."""
