"""`near_duplicates`: pairs of rows that show nearly the same picture.

N is the number of rows, D the embedding dimension, P the number of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedcache.heads.features import Features
from embedcache.heads.standardise import Scaler

__all__ = ["MOST_PAIRS", "Pairs", "Picture", "near_duplicates"]

Picture = Callable[[int], Image.Image | None]
"""The picture of a row; None where its file is not there any more."""

MOST_PAIRS = 20_000
"""More similar pairs are not looked for: the features of such data tell nothing apart."""

_COSINE = 0.98
"""Of standardised features; raw ones of one network all have a cosine near 1. On ELPV one pair
of 3.4 million exceeds it."""

_SKETCH = 128
_LOOSE = 0.96
"""A random projection to 128 dimensions moves a cosine of 0.98 by 0.004 (one standard deviation):
five of them below the limit no pair is lost, and the search costs a tenth."""

_BLOCK = 4096

_SIDE = 32  # pixels
_DIFFERENCE, _CONTRAST = 4.0, 0.2
"""Mean difference of 32 × 32 RGB values, of 255, and as a share of the picture's own spread. On
ELPV random pairs differ by 7 or more; different cells that are both nearly blank differ by 2,
but by 0.44 of their spread; neighbouring frames of one cell by 0.1."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of similar rows.

    Attributes:
        first: (P,) int64 rows.
        second: (P,) int64 rows, each after its first.
        cosine: (P,) float64 of standardised features.
        difference: (P,) float64, mean difference of pixel values, of 255; NaN where a
            picture is not there, so that nothing confirms the features.
        unlike: Number of pairs that the features take for the same, and the pixels do not.
        is_complete: Whether all pairs were looked at.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cosine: NDArray[np.float64]
    difference: NDArray[np.float64]
    unlike: int
    is_complete: bool

    def __len__(self) -> int:
        return len(self.first)


def near_duplicates(
    features: Features, side: NDArray[np.integer] | None, picture: Picture
) -> Pairs:
    """Find pairs by their features and confirm them by their pixels.

    Args:
        features: N rows.
        side: (N,) codes; only pairs of different sides are looked for. None for all pairs.
        picture: Of a row of the features' table.
    """
    scaler = Scaler.of(features)
    found, is_complete = _candidates(_sketch(features, scaler), side)
    cosine = np.concatenate([np.zeros(0), *_cosines(features, scaler, found)])
    close = cosine > _COSINE
    found, cosine = found[close], cosine[close]
    small: dict[int, NDArray[np.float32] | None] = {}
    for row in np.unique(features.rows[found]).tolist():
        image = picture(row)
        small[row] = None if image is None else _shrunk(image)
    pairs = features.rows[found]
    checks = [_compare(small[a], small[b]) for a, b in pairs.tolist()]
    same = np.array([same for same, _ in checks], bool)
    difference = np.array([difference for _, difference in checks], np.float64)
    order = np.argsort(-cosine[same], kind="stable")
    pairs = np.sort(pairs[same][order], axis=1)
    return Pairs(
        pairs[:, 0],
        pairs[:, 1],
        cosine[same][order],
        difference[same][order],
        int((~same).sum()),
        is_complete,
    )


def _sketch(features: Features, scaler: Scaler) -> NDArray[np.float32]:
    """Unit rows whose products are nearly the cosines, (N, at most `_SKETCH`)."""
    dim = features.dim
    rng = np.random.default_rng(0)
    projection = (
        rng.normal(size=(dim, _SKETCH)).astype(np.float32)
        if dim > _SKETCH
        else np.eye(dim, dtype=np.float32)
    )
    sketch = np.empty((len(features), projection.shape[1]), np.float32)
    for place, block in features.blocks():
        sketch[place] = scaler.apply(block, np.float32) @ projection
    return _unit(sketch)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)


def _candidates(
    sketch: NDArray[np.float32], side: NDArray[np.integer] | None
) -> tuple[NDArray[np.int64], bool]:
    """Positions of pairs that may be similar, (P, 2), and whether those are all."""
    found, count = [np.zeros((0, 2), np.int64)], 0
    for start in range(0, len(sketch), _BLOCK):
        rows = slice(start, start + _BLOCK)
        for other in range(start, len(sketch), _BLOCK):
            columns = slice(other, other + _BLOCK)
            close = sketch[rows] @ sketch[columns].T > _LOOSE
            if side is not None:
                close &= side[rows, None] != side[None, columns]
            if start == other:
                close = np.triu(close, 1)
            found.append(np.argwhere(close) + np.array([start, other]))
            count += len(found[-1])
            if count > MOST_PAIRS:
                return np.concatenate(found)[:MOST_PAIRS], False
    return np.concatenate(found), True


def _cosines(
    features: Features, scaler: Scaler, pairs: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    for at in range(0, len(pairs), _BLOCK):
        first, second = (
            _unit(scaler.apply(features.take(rows).array(), np.float32))
            for rows in pairs[at : at + _BLOCK].T
        )
        yield np.einsum("ij,ij->i", first, second).astype(np.float64)


def _shrunk(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)


def _compare(
    first: NDArray[np.float32] | None, second: NDArray[np.float32] | None
) -> tuple[bool, float]:
    """Whether pixels allow the pair, and how far they differ."""
    if first is None or second is None:
        return True, float("nan")
    difference = float(np.abs(first - second).mean())
    spread = max(1.0, float(first.std()))
    return difference <= min(_DIFFERENCE, _CONTRAST * spread), difference
