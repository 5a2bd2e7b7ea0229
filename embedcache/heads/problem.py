"""`Problem`: all that fitting a head needs to know of a cache.

N is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UnfittableError
from embedcache.heads.features import Table
from embedcache.records.feature_source import FeatureSource, joined_name
from embedcache.records.label_arrays import Labels, check_labels, is_multilabel, labelled
from embedcache.records.strings import Strings

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """Features with labels, and where they came from.

    Attributes:
        features: (N, D) float16 or float32, possibly mapped from disk, of several sources
            side by side.
        labels: (N,) int32 codes into `classes`, −1 for unlabelled; or (N, K) uint8 indicators,
            `label_arrays.UNLABELLED` throughout a row that is.
        classes: K class names.
        digests: (N, 32) uint8, SHA-256 of each image's bytes.
        ids: N names, for people.
        split: (N,) uint8 codes into `records.manifest.SPLITS`.
        group: (N,) int32 codes into `groups`, −1 for none.
        groups: Names of the groups.
        sources: Where the features are from, in the order of their columns.
        dataset: Name of the data set.
        prior: (K, D) float64: weights for features of length 1 that `logreg` shrinks
            towards instead of zero; None for zero.
        seen: (N,) bool, images that trained a backbone or chose among its weights; None for
            none of them.
        device: Where a model that can compute elsewhere should: `cpu`, `cuda`, `cuda:1`.
    """

    features: Table
    labels: Labels
    classes: tuple[str, ...]
    digests: NDArray[np.uint8]
    ids: Strings
    split: NDArray[np.uint8]
    group: NDArray[np.int32]
    groups: Strings
    sources: tuple[FeatureSource, ...]
    dataset: str
    prior: NDArray[np.float64] | None = None
    seen: NDArray[np.bool_] | None = None
    device: str = "cpu"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def backbone(self) -> str:
        """The backbone's name, or the names of several."""
        return joined_name(self.sources)

    @property
    def is_multilabel(self) -> bool:
        """Whether a row may have any number of labels."""
        return is_multilabel(self.labels)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label, (N,) bool; "none of them" is one, too."""
        return labelled(self.labels)

    def named(self, row: int) -> str:
        """The label of a labelled row, or its labels, for people."""
        if not self.is_multilabel:
            return self.classes[int(self.labels[row])]
        return " + ".join(self.classes[k] for k in np.flatnonzero(self.labels[row])) or "none"

    def check(self) -> None:
        """Refuse arrays that do not belong together.

        Raises:
            UnfittableError: Two arrays differ in length, or a code has no name.
        """
        if self.features.ndim != 2 or self.features.shape[1] == 0:
            raise UnfittableError(
                "the features are not a table",
                got=f"shape {self.features.shape}",
                expected="(rows, dimension), both at least 1",
            )
        n = len(self.features)
        for name in ("labels", "digests", "ids", "split", "group"):
            if len(getattr(self, name)) != n:
                raise UnfittableError(
                    f"features and {name} differ in length",
                    got=f"{len(getattr(self, name))} {name}",
                    expected=f"{n}, one for each row of features",
                )
        try:
            check_labels(self.labels, len(self.classes))
        except ValueError as error:
            raise UnfittableError("a label has no name, or is no mark", got=error) from error
        codes, count = self.group, len(self.groups)
        if n and not -1 <= codes.min() <= codes.max() < count:
            raise UnfittableError(
                "a code in group has no name",
                got=f"codes {codes.min()} to {codes.max()}",
                expected=f"-1 to {count - 1}",
            )
