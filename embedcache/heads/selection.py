"""The choice of a setting by out-of-fold loss, on ladders that find their own range.

n is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.folds import NEVER
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.units import paired_difference
from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.heads.features import BLOCK
from embedcache.heads.ladder import Ladder, Setting, described
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Fold, Glancing, Model, Scored, Training
from embedcache.heads.temperature import fit_temperature

__all__ = ["HOPELESS", "METRICS", "SOLVED", "Progress", "Selected", "given_ladder", "select"]

METRICS = ("log_loss", "accuracy", "balanced_accuracy")
"""What may choose: losses that are a mean over rows, so that two can be compared in pairs."""

Progress = Callable[[str], None]
"""Told in words what is being computed."""

# To rank settings no fit needs to converge. The gradient of the mean loss shrinks with the loss
# and is spread over K classes, so the tolerance is relative to both: an absolute one would let
# fits of easy data, or of many classes, end where they started. On ELPV this is about 1e-4 near
# the best C: a quarter of the iterations of 1e-6, at a held-out log-loss within 3e-4 of the limit.
_TOLERANCE = 6e-4

HOPELESS = 2.0
"""Higher rungs are left out once one is worse than the best by this many paired errors."""

SOLVED = 1e-3
"""Higher rungs are left out once the loss is below this: separable data would ask for
weights without end."""


@dataclass(frozen=True, eq=False)
class Selected:
    """The choice, and the out-of-fold losses of its rows.

    Attributes:
        record: All that the choice was made from.
        losses: float64, of the chosen setting, one for each of the n rows that is held out.
        accuracy: Its out-of-fold accuracy.
    """

    record: SelectionRecord
    losses: NDArray[np.float64]
    accuracy: float


@dataclass(frozen=True, eq=False)
class _Tried:
    setting: Setting
    losses: NDArray[np.float64]
    accuracy: float
    converged: bool
    iterations: int


def select(
    model: Model,
    training: Training,
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    *,
    metric: str = "log_loss",
    values: tuple[float, ...] | None = None,
    by_folds: bool = False,
    progress: Progress | None = None,
) -> Selected:
    """Choose the setting of a model.

    Each ladder is climbed from its first rung, each fit starting at the last where
    the solver can; it goes on up or down while the best is at the end, and the
    neighbours of the best are added. Of all settings within one paired standard
    error of the best the simplest is chosen.

    Args:
        model: What to fit.
        training: The n rows.
        group: (n,) int32 codes, negative for none: rows of a group err together.
        folds: (n,) fold of each row; `NEVER` for one that is fitted and not chosen by.
        metric: One of `METRICS`.
        values: Exactly these values of the model's parameter instead of the climb.
        by_folds: Never leave one out, so that models can be compared on equal terms.
        progress: Told of every setting.

    Raises:
        UsageError: Unknown metric, or a value that the parameter cannot have.
    """
    if metric not in METRICS:
        raise UsageError("unknown metric", got=metric, expected=", ".join(METRICS))
    labels, held_out = training.labels, folds != NEVER
    search = _Search(model, training, held_out, group, metric, progress)
    # Rows of a group must leave together, so groups need folds.
    needs_folds = by_folds or (group >= 0).any() or not held_out.all()
    alone = None if needs_folds else model.leave_one_out(training)
    if alone is not None:
        search.scorer, search.folds, smallest = alone, len(labels), len(labels)
    else:
        sizes = np.unique(folds[held_out], return_counts=True)[1]
        search.scorer, search.folds = model.out_of_fold(training, folds), len(sizes)
        smallest = len(labels) - int(sizes.max())
    for number, ladder in enumerate(model.ladders):
        if values is None:
            search.climb(number, ladder, smallest)
        else:
            search.exactly(number, given_ladder(model, ladder, values, len(labels)))
    return search.selected()


def given_ladder(model: Model, ladder: Ladder, values: tuple[float, ...], rows: int) -> Ladder:
    """A ladder of exactly these values.

    Raises:
        UsageError: The model has no parameter, or one that cannot have such a value.
    """
    if not ladder.parameter:
        raise UsageError(f"{model.name} has no parameter to choose", got=values)
    if not values or not all(0 < value < float("inf") for value in values):
        raise UsageError(
            f"{ladder.parameter} must be above 0 and finite", got=values, expected="such as 0.1, 1"
        )
    for value in values:
        model.check({ladder.parameter: value, **ladder.fixed}, rows)
    return ladder.exactly(values)


class _Search:
    scorer: Fold
    folds: int

    def __init__(
        self,
        model: Model,
        training: Training,
        held_out: NDArray[np.bool_],
        group: NDArray[np.int32],
        metric: str,
        progress: Progress | None,
    ) -> None:
        weights = training.weights
        self.model, self.held_out, self.labels = model, held_out, training.labels[held_out]
        self.weights = None if weights is None else weights[held_out]
        self.group, self.metric, self.progress = group[held_out], metric, progress
        self.k = training.k
        self.tried: dict[tuple[int, int], _Tried] = {}  # by ladder and rung, simplest first
        self.log_loss = float(np.log(self.k))
        self.stopped_early = self.on_edge = False

    def climb(self, number: int, ladder: Ladder, smallest: int) -> None:
        """Up until hopeless, then down, then the neighbours of the best."""
        top = len(ladder.values) - 1
        at = ladder.first
        while at <= ladder.top or (at <= top and self._best_of(number) == at - ladder.stride):
            if self._possible(ladder, at, smallest):
                # Only on the way up: from above a fit begins with what it must unlearn.
                self._try(number, ladder, at, glance=True)
                if ladder.stops and self._solved_or_worse(number, at):
                    self.stopped_early = True
                    break
            at += ladder.stride
        at = ladder.first - ladder.stride
        while at >= 0 and self._best_of(number) == at + ladder.stride:
            self._try(number, ladder, at)
            at -= ladder.stride
        if not ladder.open_ended:
            return
        best = self._best_of(number)
        self.on_edge |= self.best == (number, best) and best in {0, top}
        # From above, where the solver stands.
        for neighbour in (best + 1, best - 1):
            if 0 <= neighbour <= top:
                self._try(number, ladder, neighbour)

    def exactly(self, number: int, ladder: Ladder) -> None:
        """Every rung, without extension or early stop."""
        for at in range(len(ladder.values)):
            self._try(number, ladder, at)
        ends = {(number, 0), (number, len(ladder.values) - 1)}
        self.on_edge |= len(ladder.values) > 1 and self.best in ends

    def _possible(self, ladder: Ladder, at: int, rows: int) -> bool:
        try:
            self.model.check(ladder.setting(at), rows)
        except UsageError:
            return False  # such as more neighbours than rows
        return True

    @property
    def best(self) -> tuple[int, int]:
        """The setting of the lowest mean loss so far, the simpler of equals."""
        return min(self.tried, key=lambda key: (self.tried[key].losses.mean(), key))

    def _best_of(self, number: int) -> int:
        """The best rung of one ladder."""
        keys = [key for key in self.tried if key[0] == number]
        return min(keys, key=lambda key: (self.tried[key].losses.mean(), key), default=(0, -1))[1]

    def _try(self, number: int, ladder: Ladder, at: int, *, glance: bool = False) -> None:
        """Fit all folds at a setting and keep the loss of every out-of-fold row.

        With a glance, a setting that is hopeless after a few passes is not fitted to the end.
        """
        setting = ladder.setting(at)
        if self.progress:
            self.progress(f"choosing {self.model.name}: {described(setting)}")
        spent = 0
        if glance and self.tried and isinstance(self.scorer, Glancing):
            glanced = self.scorer.glance(setting)
            self.tried[number, at] = self._judged(setting, glanced)
            if glanced.converged or self._hopeless((number, at)):
                return
            spent = glanced.iterations
        made = self.scorer.score(setting, _TOLERANCE * self.log_loss / self.k)
        made = replace(made, iterations=made.iterations + spent)
        self.tried[number, at] = self._judged(setting, made)

    def _judged(self, setting: Setting, made: Scored) -> _Tried:
        """The losses of the rows, by blocks: all in float64 would be many times the features."""
        rows, temperature = np.flatnonzero(self.held_out), 1.0
        if not self.model.calibrated:
            scores = made.scores[rows].astype(np.float64)
            temperature = setting["temperature"] = fit_temperature(
                scores, self.labels, self.weights
            )
        log_losses, wrong = np.empty(len(rows)), np.empty(len(rows), np.bool_)
        for at in range(0, len(rows), BLOCK):
            block, labels = slice(at, at + BLOCK), self.labels[at : at + BLOCK]
            scores = made.scores[rows[block]].astype(np.float64)
            probabilities = softmax(scores / temperature)
            log_losses[block] = row_log_loss(labels, probabilities)
            wrong[block] = probabilities.argmax(axis=1) != labels
        losses = _row_losses(self.metric, self.labels, self.weights, log_losses, wrong)
        self.log_loss = min(self.log_loss, float(log_losses.mean()))
        return _Tried(setting, losses, 1 - float(wrong.mean()), made.converged, made.iterations)

    def _solved_or_worse(self, number: int, at: int) -> bool:
        solved = float(self.tried[number, at].losses.mean()) < SOLVED
        return solved or self._hopeless((number, at))

    def _hopeless(self, key: tuple[int, int]) -> bool:
        mean, error = self._difference(key)
        return mean > HOPELESS * error > 0

    def _difference(self, key: tuple[int, int]) -> tuple[float, float]:
        """Mean and standard error of the loss of a setting minus that of the best."""
        return paired_difference(self.tried[key].losses, self.tried[self.best].losses, self.group)

    def selected(self) -> Selected:
        """The choice and all that it was made from."""
        scores = []
        choice = best = self.best
        for key in sorted(self.tried, reverse=True):
            tried = self.tried[key]
            mean, error = self._difference(key)
            scores.append(
                SettingScore(
                    tried.setting,
                    float(tried.losses.mean()),
                    mean,
                    error,
                    tried.accuracy,
                    tried.converged,
                    tried.iterations,
                )
            )
            if key == best or mean <= error:
                choice = key  # the last of these is the simplest
        record = SelectionRecord(
            self.tried[choice].setting,
            self.tried[best].setting,
            self.metric,
            self.folds,
            tuple(reversed(scores)),
            self.on_edge,
            self.stopped_early,
        )
        return Selected(record, self.tried[choice].losses, self.tried[choice].accuracy)


def _row_losses(
    metric: str,
    labels: NDArray[np.integer],
    weights: NDArray[np.float64] | None,
    log_losses: NDArray[np.float64],
    wrong: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Loss of each row, (n,): their mean is the metric, or 1 minus it.

    The log-loss weighs rows as the fit does: a fit that is right about rare classes would
    look wrong by an unweighted one. The other metrics mean what their names say.
    """
    if metric == "log_loss":
        return log_losses if weights is None else log_losses * (weights / weights.mean())
    if metric == "accuracy":
        return wrong.astype(np.float64)
    rows = np.bincount(labels)
    share = len(labels) / (np.count_nonzero(rows) * np.maximum(rows, 1))
    weighed: NDArray[np.float64] = wrong * share[labels]
    return weighed
