"""Classify features that were made elsewhere, with a run on imported features."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from embedcache.datasets.feature_file import map_features
from embedcache.errors import UsageError
from embedcache.heads.artefact import Head
from embedcache.heads.features import BLOCK
from embedcache.records.imported import is_imported
from embedcache.workflows.prediction import Prediction

__all__ = ["FeaturePredictor", "takes_features"]


def takes_features(head: Head) -> bool:
    """Whether a head is for imported features of one backbone."""
    return len(head.sources) == 1 and is_imported(head.sources[0].identity)


class FeaturePredictor:
    """A head of imported features, ready to classify.

    That the new features are of the same backbone is for their owner to know: a file of
    numbers does not say it. Only their dimension is checked.

    Args:
        head: Of one backbone, as `takes_features` says.
    """

    def __init__(self, head: Head) -> None:
        self.head = head

    def predict(self, files: Sequence[str | os.PathLike[str]]) -> Iterator[Prediction]:
        """Classify the rows of `.npy` files, each (N, D) floats; ids are `FILE:ROW`.

        Raises:
            UsageError: Something else was given, such as an image.
            SourceError: A file is not a table of floats.
            IdentityMismatchError: It has another dimension than the head.
        """
        for name in files:
            yield from self._rows(Path(name))

    def _rows(self, path: Path) -> Iterator[Prediction]:
        if path.suffix != ".npy":
            raise UsageError(
                "this run was fitted on imported features: it cannot embed images",
                where=path,
                got=path.suffix or "no suffix",
                expected=f"a .npy file of features by {self.head.backbone}",
                hint="embedcache predict RUN FEATURES.npy",
            )
        features = map_features(path)
        # Rounded as in the cache: the same probabilities, whether a row is imported or not.
        stored = np.dtype(self.head.sources[0].identity.stored_dtype)
        for start in range(0, len(features), BLOCK):
            block = np.asarray(features[start : start + BLOCK])
            fits = (np.abs(block) <= np.finfo(stored).max).all(axis=1)  # NaN does not
            rows = np.where(fits[:, None], block, 0).astype(stored)
            probabilities = self.head.predict_proba(rows)
            abstained = self.head.abstains(probabilities)
            for offset, is_sound in enumerate(fits):
                id_ = os.fsencode(f"{path}:{start + offset}")
                if is_sound:
                    yield Prediction(id_, probabilities[offset], "", bool(abstained[offset]))
                else:
                    yield Prediction(
                        id_, None, f"a feature is not finite, or does not fit into {stored}"
                    )
