"""Small caches, manifests and images for tests."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Identity, Numerics
from embedcache.records.manifest import SourceRecord
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.strings import Strings
from embedcache.store.cache import FeatureCache
from embedcache.store.contents import CacheMeta, RowTables
from embedcache.store.writer import write_cache

IDENTITY = Identity(
    source="fake",
    architecture="mean",
    weights="0" * 64,
    decode="rgb8-1",
    resize="squash",
    resize_to="8x8",
    image_size="8x8",
    interpolation="bilinear",
    fill="none",
    mean="0.5,0.5,0.5",
    std="0.5,0.5,0.5",
    layer="pre-logits",
    pooling="default",
    normalisation="none",
    precision="float32",
    stored_dtype="float16",
)

NUMERICS = Numerics(
    device="cpu",
    engine="eager",
    memory_format="contiguous",
    batch_size=4,
    torch="none",
    library="fake 1",
    codec="pillow",
)


def tables(count: int, rejects: int = 0) -> RowTables:
    """Row tables of `count` rows in three classes, with every code in use."""
    codes = np.arange(count)
    return RowTables(
        ids=Strings.of(f"class{i % 3}/picture {i}.png" for i in range(count)),
        sha256=np.random.default_rng(7).integers(0, 256, (count, 32), np.uint8),
        labels=(codes % 4 - 1).astype(np.int32),
        classes=Strings.of(["class0", "class1", "class2"]),
        split=(codes % 4).astype(np.uint8),
        group=(codes % 3 - 1).astype(np.int32),
        groups=Strings.of(["g0", "g1"]),
        numerics=np.zeros(count, np.uint8),
        rejects=tuple(
            Reject(b"bad%d.png" % i, bytes([i]) * 32, RejectReason.TRUNCATED, "cut short", "pillow")
            for i in range(rejects)
        ),
        seen=(codes % 3).astype(np.uint8),
    )


def multilabel_tables(count: int) -> RowTables:
    """The same with any of the three classes for each row, every fourth row unlabelled."""
    labels = np.random.default_rng(8).integers(0, 2, (count, 3), np.uint8)
    labels[::4] = 255
    return replace(tables(count), labels=labels)


def meta(dim: int, identity: Identity = IDENTITY) -> CacheMeta:
    """A meta record of `dim` dimensions."""
    return CacheMeta(
        backbone=BackboneSpec("fake/mean", identity, dim, 0, ""),
        request={},
        numerics=(NUMERICS,),
        environment={"python": "3"},
        source=SourceRecord("folder", "/nowhere"),
        root="/nowhere",
        created="2026-01-01T00:00:00+00:00",
        golden={},
    )


def features(count: int, dim: int, seed: int = 0) -> NDArray[np.float16]:
    """Random features, (count, dim) float16."""
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float16)


def make_cache(path: Path, count: int = 50, dim: int = 16, rejects: int = 2) -> FeatureCache:
    """Write a cache of random features and open it."""
    write_cache(path, tables(count, rejects), meta(dim), [features(count, dim)])
    return FeatureCache(path)


def png(seed: int, size: tuple[int, int] = (12, 9)) -> bytes:
    """A small PNG of noise, different for every seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def image_folder(root: Path, classes: int = 3, per_class: int = 4) -> Path:
    """A folder of class folders of small pictures, no two alike."""
    for label in range(classes):
        folder = root / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            (folder / f"{index:03d}.png").write_bytes(png(label * 1000 + index))
    return root
