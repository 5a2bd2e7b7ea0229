"""The choice of a setting by out-of-fold loss, on ladders that find their own range.

n is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.folds import NEVER
from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.heads.ladder import Ladder
from embedcache.heads.model import Fit, Model, Refitting, Training
from embedcache.heads.search import Progress, Search
from embedcache.heads.tried import Judge

__all__ = ["Selected", "given_ladder", "select", "selected"]


@dataclass(frozen=True, eq=False)
class Selected:
    """The choice, and the out-of-fold losses of its rows.

    Attributes:
        record: All that the choice was made from.
        losses: float64, of the chosen setting, one for each of the n rows that is held out.
        accuracy: Its out-of-fold accuracy.
        folds: What the folds were made ready as, where a fit to all rows gains from it.
    """

    record: SelectionRecord
    losses: NDArray[np.float64]
    accuracy: float
    folds: Refitting | None = None

    def fit(self, model: Model, training: Training) -> Fit:
        """Fit the choice to keep, on the rows that it was made from."""
        setting = self.record.setting
        return model.fit(training, setting) if self.folds is None else self.folds.refit(setting)


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

    Each ladder is climbed from its first rung, each fit starting at those nearby where
    the solver can; it goes on up or down while the best is at the end, and the
    neighbours of the best that are not hopeless are added. Of all settings within one
    paired standard error of the best, or as good as equal, the simplest is chosen.

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
    labels, held_out = training.labels, folds != NEVER
    judge = Judge(training, held_out, metric, calibrated=model.calibrated)
    # Rows of a group must leave together, so groups need folds.
    needs_folds = by_folds or (group >= 0).any() or not held_out.all()
    alone = None if needs_folds else model.leave_one_out(training)
    if alone is not None:
        scorer, count, smallest = alone, len(labels), len(labels)
    else:
        sizes = np.unique(folds[held_out], return_counts=True)[1]
        scorer, count = model.out_of_fold(training, folds), len(sizes)
        smallest = len(labels) - int(sizes.max())
    search = Search(model, scorer, judge.judged, group[held_out], training.k, progress)
    for number, ladder in enumerate(model.ladders):
        if values is None:
            search.climb(number, ladder, smallest)
        else:
            search.exactly(number, given_ladder(model, ladder, values, len(labels)))
    return selected(search, search.simplest, metric, count)


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


def selected(search: Search, choice: tuple[int, int], metric: str, folds: int) -> Selected:
    """The choice, and all that it was made from.

    Args:
        search: What was tried.
        choice: Which of it is chosen.
        metric: What the losses are of.
        folds: How many, or the number of rows where each was left out in turn.
    """
    scores = []
    for key in sorted(search.tried):
        tried = search.tried[key]
        mean, error = search.difference(key)
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
    record = SelectionRecord(
        search.tried[choice].setting,
        search.tried[search.best].setting,
        metric,
        folds,
        tuple(scores),
        search.on_edge,
        search.stopped_early,
    )
    return Selected(
        record,
        search.tried[choice].losses,
        search.tried[choice].accuracy,
        search.scorer if isinstance(search.scorer, Refitting) else None,
    )
