"""`choose_setting`: one setting for all labels, by their mean out-of-fold log-loss.

n is the number of rows, K the number of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import cell_log_loss
from embedcache.evaluation.multilabel import THRESHOLD
from embedcache.evaluation.units import paired_difference
from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.heads.features import Features
from embedcache.heads.ladder import Setting, described
from embedcache.heads.logreg import sigmoid
from embedcache.heads.model import Model
from embedcache.heads.models.index import MODELS
from embedcache.heads.multilabel.one_label import OneLabel
from embedcache.heads.names import MULTILABEL_MODELS
from embedcache.heads.selection import Progress

__all__ = ["Chosen", "choose_setting", "multilabel_model"]

_TOLERANCE = 2e-4
"""Of the gradient of the mean loss: what `selection` asks of two classes at a loss of ln 2."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The choice, and what it says of each row by fits that had not seen it.

    Attributes:
        record: All that the choice was made from; its accuracy is the share of rows and
            labels that are answered right.
        temperatures: (K,) float64, what each label's scores are divided by.
        probabilities: (n, K) float64, out of fold.
    """

    record: SelectionRecord
    temperatures: NDArray[np.float64]
    probabilities: NDArray[np.float64]


def multilabel_model(name: str) -> Model:
    """The model of that name.

    Raises:
        UsageError: It cannot fit rows that have any number of labels.
    """
    if name not in MULTILABEL_MODELS:
        raise UsageError(
            f"{name} cannot fit rows with any number of labels",
            got=f"--model {name}",
            expected=", ".join(MULTILABEL_MODELS),
            hint="--model logreg, which fits each label against its absence",
        )
    return MODELS[name]


def choose_setting(
    model: Model,
    features: Features,
    labels: NDArray[np.uint8],
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    *,
    seed: int,
    progress: Progress | None = None,
) -> Chosen:
    """Climb the model's ladder for all labels together.

    Of all settings within one paired standard error of the best the simplest is chosen, as
    where a row has one class.

    Args:
        model: One that `multilabel_model` gave.
        features: Of the n rows.
        labels: (n, K), 1 where the row has the label, else 0.
        group: (n,) int32 codes, negative for none.
        folds: (n,) fold of each row.
        seed: Of whatever a model draws.
        progress: Told of every label.
    """
    each = [OneLabel(model, features, column, seed) for column in labels.T]
    search = _Search(each, folds, progress)
    search.climb()
    choice = search.simplest(group)
    logits = np.empty(labels.shape)
    temperatures = np.ones(len(each))
    for which, label in enumerate(each):
        scores = label.out_of_fold(folds).at(search.tried[choice].setting, _TOLERANCE)
        logits[:, which], temperatures[which] = scores.logits, scores.temperature
    return Chosen(search.record(choice, group), temperatures, sigmoid(logits))


@dataclass(eq=False)
class _Tried:
    """A setting so far: sums over the labels that were fitted."""

    setting: Setting
    losses: NDArray[np.float64]
    right: float = 0.0
    converged: bool = True
    iterations: int = 0


class _Search:
    def __init__(
        self, labels: list[OneLabel], folds: NDArray[np.int64], progress: Progress | None
    ) -> None:
        self.labels, self.folds, self.progress = labels, folds, progress
        (self.ladder,) = labels[0].model.ladders
        self.tried: dict[int, _Tried] = {}  # by rung, simplest first

    def climb(self) -> None:
        """The ladder's own range, on while the best is at its end, then the best's neighbours."""
        ladder = self.ladder
        self._try(range(ladder.first, ladder.top + 1, ladder.stride))
        while beside := self._untried(ladder.stride):
            self._try(beside)
        self._try(self._untried(1))

    @property
    def best(self) -> int:
        """The rung of the lowest mean loss, the simpler of equals."""
        return min(self.tried, key=lambda at: (self.tried[at].losses.mean(), at))

    def _untried(self, stride: int) -> list[int]:
        beside = (self.best - stride, self.best + stride)
        return [at for at in beside if 0 <= at < len(self.ladder.values) and at not in self.tried]

    def _try(self, rungs: Sequence[int]) -> None:
        """Score all labels at some rungs, label after label: one is made ready at a time."""
        found = {at: _Tried(self.ladder.setting(at), np.zeros(len(self.folds))) for at in rungs}
        k = len(self.labels)
        for number, label in enumerate(self.labels if found else ()):
            if self.progress:
                settings = ", ".join(described(each.setting) for each in found.values())
                self.progress(f"label {number + 1} of {k}: {settings}")
            ready = label.out_of_fold(self.folds)
            for tried in found.values():
                scores = ready.at(tried.setting, _TOLERANCE)
                shares, has = sigmoid(scores.logits), label.has == 1
                tried.losses += cell_log_loss(has, shares) / k
                tried.right += float(np.mean((shares > THRESHOLD) == has)) / k
                tried.converged &= scores.converged
                tried.iterations += scores.iterations
        self.tried.update(found)

    def _difference(self, at: int, group: NDArray[np.int32]) -> tuple[float, float]:
        """Mean and standard error of the loss at a rung minus that at the best."""
        return paired_difference(self.tried[at].losses, self.tried[self.best].losses, group)

    def simplest(self, group: NDArray[np.int32]) -> int:
        """The lowest rung that is not worse than the best by more than one paired error."""
        for at in sorted(self.tried):
            mean, error = self._difference(at, group)
            if at == self.best or mean <= error:
                return at
        raise AssertionError("the best is not among those tried")

    def record(self, choice: int, group: NDArray[np.int32]) -> SelectionRecord:
        """All that the choice was made from."""
        rungs = sorted(self.tried)
        return SelectionRecord(
            self.tried[choice].setting,
            self.tried[self.best].setting,
            "log_loss",
            len(np.unique(self.folds)),
            tuple(
                SettingScore(
                    self.tried[at].setting,
                    float(self.tried[at].losses.mean()),
                    *self._difference(at, group),
                    self.tried[at].right,
                    self.tried[at].converged,
                    self.tried[at].iterations,
                )
                for at in rungs
            ),
            on_edge=self.best in {0, len(self.ladder.values) - 1},
            stopped_early=False,
        )
