"""`knn`: the k nearest training rows by cosine vote."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.heads.features import Features
from embedcache.heads.forms.neighbours import Neighbours, nearest, normalised, votes
from embedcache.heads.ladder import Ladder, Setting
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.threads import one_thread

__all__ = ["Knn"]

_KS = (200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 3.0, 1.0)
_TEMPERATURES = (1.0, 0.2, 0.07, 0.03, 0.01)  # 0.07 is DINO's


class Knn(Base):
    """Nothing is fitted but the number of neighbours and how fast their vote fades."""

    name = "knn"
    calibrated = False
    ladders: tuple[Ladder, ...] = tuple(
        Ladder("k", _KS, fixed={"vote_temperature": each}) for each in _TEMPERATURES
    )
    """A ladder of k for each temperature, the most equal votes first."""

    def check(self, setting: Setting, rows: int) -> None:
        """Refuse more neighbours than rows, and parts of a neighbour."""
        k = setting["k"]
        if k != int(k) or not 1 <= k <= rows:
            raise UsageError(
                "not a number of neighbours that these rows have",
                got=f"k = {k:g} of {rows} training rows",
                expected=f"a whole number from 1 to {rows}",
            )

    def fold(self, training: Training, held_out: Features) -> KnnFold:
        """Look up the neighbours when the first k is known."""
        features = training.features
        queries = normalised(held_out.array(), features.widths)
        return KnnFold(_stored(features), training.labels, queries)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Store the rows."""
        self.check(setting, len(training.features))
        return Fit(
            Neighbours(
                _stored(training.features),
                training.labels.astype(np.int32),
                np.array([setting["k"]], np.int32),
                np.array([setting["vote_temperature"]]),
                np.array([setting["temperature"]]),
                np.array(training.features.widths, np.int32),
            )
        )


class KnnFold:
    """Stored rows; the neighbours of the held-out ones are looked up once for all k."""

    def __init__(
        self,
        stored: NDArray[np.float16],
        labels: NDArray[np.integer],
        held_out: NDArray[np.float64],
    ) -> None:
        self._stored, self._labels, self._held_out = stored, labels, held_out
        self._share = np.bincount(labels) / len(labels)
        self._found: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # nothing is solved
        """Log of the vote, by at most as many neighbours as there are rows."""
        k = min(int(setting["k"]), len(self._stored))
        if self._found is None or self._found[0].shape[1] < k:
            most = min(max(k, int(_KS[0])), len(self._stored))
            with one_thread():
                self._found = nearest(self._stored, self._held_out, most)
        index, similarity = self._found
        voted = votes(
            self._labels[index[:, :k]],
            similarity[:, :k],
            self._share,
            setting["vote_temperature"],
        )
        return Scored(voted)


def _stored(features: Features) -> NDArray[np.float16]:
    stored = np.empty((len(features), features.dim), np.float16)
    for place, block in features.blocks():
        stored[place] = normalised(block, features.widths)
    return stored
