"""Small problems for tests of heads and reports."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.problem import Problem
from embedcache.records.feature_source import FeatureSource
from embedcache.records.identity import Identity
from embedcache.records.strings import Strings

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


def digests(count: int, start: int = 0) -> NDArray[np.uint8]:
    """Different digests, (count, 32) uint8."""
    raw = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(start, start + count))
    return np.frombuffer(raw, np.uint8).reshape(-1, 32).copy()


def blobs(
    labels: NDArray[np.integer], dim: int = 12, spread: float = 1.0, seed: int = 0
) -> NDArray[np.float16]:
    """Gaussian features around a random centre for each class, (N, dim) float16."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(int(labels.max(initial=0)) + 1, dim))
    noise = spread * rng.normal(size=(len(labels), dim))
    return (centres[np.maximum(labels, 0)] + noise).astype(np.float16)


def problem(labels: list[int] | NDArray[np.integer], **changes: Any) -> Problem:
    """A problem with the given labels; `changes` replaces any field."""
    codes = np.asarray(labels, np.int32)
    n = len(codes)
    features = changes.pop("features", None)
    features = blobs(codes) if features is None else features
    fields: dict[str, Any] = {
        "features": features,
        "labels": codes,
        "classes": tuple(f"class {i}" for i in range(int(codes.max(initial=-1)) + 1)),
        "digests": digests(n),
        "ids": Strings.of(f"image{i:04d}.png" for i in range(n)),
        "split": np.zeros(n, np.uint8),
        "group": np.full(n, -1, np.int32),
        "groups": Strings.of([]),
        "sources": (FeatureSource("fake/mean", IDENTITY, "c" * 64, features.shape[-1]),),
        "dataset": "blobs-12345678",
    }
    return Problem(**{**fields, **changes})


def cycle(classes: int, count: int) -> NDArray[np.int32]:
    """`count` labels that go round the classes."""
    return (np.arange(count) % classes).astype(np.int32)


def marked(labels: NDArray[np.uint8], spread: float = 1.0, **changes: Any) -> Problem:
    """A problem of any number of labels a row, (N, K): each label pulls its rows its own way."""
    n, k = labels.shape
    rng = np.random.default_rng(0)
    pulls = (labels == 1) @ rng.normal(size=(k, changes.pop("dim", 12)))
    features = (pulls + spread * rng.normal(size=pulls.shape)).astype(np.float16)
    names = tuple(f"label {i}" for i in range(k))
    fields = {"features": features, "classes": names, **changes}
    return replace(problem(np.zeros(n, np.int32), **fields), labels=labels)


def marks(count: int, shares: list[float], seed: int = 0) -> NDArray[np.uint8]:
    """Random marks, (count, K) uint8, each label on such a share of the rows."""
    return (np.random.default_rng(seed).random((count, len(shares))) < shares).astype(np.uint8)
