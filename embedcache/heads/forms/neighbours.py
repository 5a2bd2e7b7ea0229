"""`Neighbours`: the nearest training rows vote, each by its cosine similarity.

The weighted vote of Wu et al. (2018), *Unsupervised feature learning via
non-parametric instance discrimination*, as DINO's evaluation uses it. N is the number
of rows, M of stored rows, D the embedding dimension, K the number of classes, k the
number of neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.forms.form import Shapes

__all__ = ["Neighbours", "nearest", "normalised", "votes"]

_QUERIES, _STORED = 256, 8192  # a block of similarities is 8 MiB of float32

_ROUNDING = 3e-5
"""More than float32 products of unit vectors are wrong by: 1e-6 at 4,096 dimensions."""


def normalised(
    features: NDArray[np.floating], widths: Sequence[int] | NDArray[np.integer] | None = None
) -> NDArray[np.float64]:
    """Rows of length 1, (N, D) float64; a row of zeros stays.

    Args:
        features: (N, D).
        widths: Number of columns of each source, None for one source. Each gets an equal
            part of the length, so that a cosine is the mean of the sources' cosines.
    """
    rows = features.astype(np.float64)
    widths = [rows.shape[1]] if widths is None else widths
    for end, width in zip(np.cumsum(widths), widths, strict=True):
        part = rows[:, end - width : end]
        # Not `np.linalg.norm`: BLAS rounds a row by its place.
        length = np.sqrt(len(widths) * np.square(part).sum(axis=1, keepdims=True))
        part /= np.where(length > 0, length, 1)
    return rows


def nearest(
    stored: NDArray[np.float16], rows: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest stored rows of each row, nearest first, equals by their position.

    Exact: float32 products by blocks leave every stored row that can be among the k,
    and those are compared in float64, each pair alone, so that no bit depends on the
    blocks.

    Args:
        stored: (M, D) float16 of length 1, M ≥ k.
        rows: (N, D) of length 1.
        k: How many.

    Returns:
        Positions (N, k) and similarities (N, k).
    """
    index = np.empty((len(rows), k), np.int64)
    similarity = np.empty((len(rows), k))
    for at in range(0, len(rows), _QUERIES):
        block = rows[at : at + _QUERIES]
        rough = np.empty((len(block), len(stored)), np.float32)
        single = block.astype(np.float32)
        for start in range(0, len(stored), _STORED):
            part = stored[start : start + _STORED].astype(np.float32)
            np.matmul(single, part.T, out=rough[:, start : start + len(part)])
        threshold = np.partition(rough, len(stored) - k, axis=1)[:, len(stored) - k]
        for offset, row in enumerate(block):
            found = np.flatnonzero(rough[offset] >= threshold[offset] - _ROUNDING)
            exact = (stored[found].astype(np.float64) * row).sum(axis=1)
            order = np.argsort(-exact, kind="stable")[:k]
            index[at + offset], similarity[at + offset] = found[order], exact[order]
    return index, similarity


def votes(
    labels: NDArray[np.integer],
    similarity: NDArray[np.float64],
    share: NDArray[np.float64],
    temperature: float,
) -> NDArray[np.float64]:
    """Log of the classes' shares of the vote, (N, K).

    A neighbour counts exp((s − s₁) / temperature), s₁ the nearest one's similarity.
    One more vote is shared out as the classes are, so that no class gets nothing
    (Cestnik 1990, *Estimating probabilities*, with m = 1).

    Args:
        labels: (N, k) classes of the neighbours.
        similarity: (N, k), falling.
        share: (K,) share of each class among the stored rows.
        temperature: Above 0; the larger, the more equal the votes.
    """
    n, k = len(labels), len(share)
    weight = np.exp((similarity - similarity[:, :1]) / temperature)
    place = labels + k * np.arange(n)[:, None]
    total = np.bincount(place.ravel(), weight.ravel(), n * k).reshape(n, k) + share
    logits: NDArray[np.float64] = np.log(total / total.sum(axis=1, keepdims=True))
    return logits


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Stored rows and the way they vote.

    Attributes:
        rows: (M, D) float16, of length 1 before rounding.
        labels: (M,) int32 classes, each at least once.
        neighbours: (1,) int32, k.
        vote_temperature: (1,) float64, of the votes.
        temperature: (1,) float64, of their softmax.
        widths: (sources,) int32, the number of columns of each; D in all.
    """

    rows: NDArray[np.float16]
    labels: NDArray[np.int32]
    neighbours: NDArray[np.int32]
    vote_temperature: NDArray[np.float64]
    temperature: NDArray[np.float64]
    widths: NDArray[np.int32]
    name: ClassVar[str] = "neighbours"

    @property
    def dim(self) -> int:
        """D."""
        return int(self.rows.shape[1])

    @property
    def k(self) -> int:
        """K."""
        return int(self.labels.max()) + 1

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, K)."""
        index, similarity = nearest(
            self.rows, normalised(features, self.widths), int(self.neighbours[0])
        )
        share = np.bincount(self.labels) / len(self.labels)
        logits = votes(self.labels[index], similarity, share, float(self.vote_temperature[0]))
        return logits / self.temperature

    def cooled(self, temperature: float) -> Neighbours:
        """The form whose logits are these over a temperature."""
        return replace(self, temperature=self.temperature * temperature)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The arrays that define it."""
        return {
            "rows": self.rows,
            "labels": self.labels,
            "neighbours": self.neighbours,
            "vote_temperature": self.vote_temperature,
            "temperature": self.temperature,
            "widths": self.widths,
        }

    @classmethod
    def shapes(cls, k: int, dim: int) -> Shapes:  # noqa: ARG003  # the number of classes is no side of an array here
        """What `tensors` gives."""
        return {
            "rows": ("float16", (None, dim)),
            "labels": ("int32", (None,)),
            "neighbours": ("int32", (1,)),
            "vote_temperature": ("float64", (1,)),
            "temperature": ("float64", (1,)),
            "widths": ("int32", (None,)),
        }

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Neighbours:
        """The form, from arrays of `shapes`.

        Raises:
            ValueError: Labels, neighbours, temperatures or widths that cannot be.
        """
        form = cls(
            tensors["rows"],
            tensors["labels"],
            tensors["neighbours"],
            tensors["vote_temperature"],
            tensors["temperature"],
            tensors["widths"],
        )
        widths = form.widths.tolist()
        if min(widths, default=0) < 1 or sum(widths) != form.dim:
            raise ValueError(f"sources of {widths} columns, {form.dim} in all")
        if len(form.labels) != len(form.rows) or not len(form.rows):
            raise ValueError("rows and labels of different lengths")
        # Their range first: a count up to any number is memory without end.
        if (
            not 0 <= form.labels.min() <= form.labels.max() < len(form.labels)
            or (np.bincount(form.labels, minlength=1) == 0).any()
        ):
            raise ValueError("classes without rows")
        if not 1 <= form.neighbours[0] <= len(form.rows):
            raise ValueError(f"{form.neighbours[0]} neighbours of {len(form.rows)} rows")
        if form.vote_temperature[0] <= 0 or form.temperature[0] <= 0:
            raise ValueError("a temperature that is not above 0")
        return form
