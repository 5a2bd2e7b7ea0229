"""`fit`: from a problem to a head, an honest report on it, and the rows behind both.

M is the number of rows that take part, D the embedding dimension, K the number
of classes that have training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.splits import FOLDS, SIDE_UNUSED
from embedcache.heads.artefact import Head
from embedcache.heads.head_record import HowChosen
from embedcache.heads.json_records import dump_record
from embedcache.heads.judging import answers, judge
from embedcache.heads.leaderboard import Choice
from embedcache.heads.model import Fit, Training
from embedcache.heads.predictions import Predictions
from embedcache.heads.prepare import Prepared, prepare
from embedcache.heads.problem import Problem
from embedcache.heads.recipe import Recipe
from embedcache.heads.report import FitReport
from embedcache.heads.reporting import build_report
from embedcache.heads.rows import RunRows
from embedcache.heads.selection import Progress
from embedcache.runs.folder import REPORT
from embedcache.storage.publish import write_atomic

__all__ = ["ON_CONFLICT", "Fitted", "fit", "fitted_of"]

ON_CONFLICT = ("error", "drop")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A head, the rows behind it, what was predicted of the judged ones, and the report."""

    head: Head
    rows: RunRows
    predictions: Predictions
    report: FitReport

    def save(self, folder: Path) -> None:
        """Write head, rows, predictions and report into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        self.rows.save(folder)
        self.predictions.save(folder)
        self.head.save(folder)
        write_atomic(folder / REPORT, dump_record(self.report))


def fit(
    problem: Problem,
    model: str = "logreg",
    metric: str = "log_loss",
    seed: int = 0,
    on_conflict: str = "error",
    values: tuple[float, ...] | None = None,
    abstain_precision: float | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Fitted:
    """Choose on training rows, fit on all of them, and judge on rows not seen.

    Hold-out: model and setting are chosen by cross-validation within the training
    side, and the test rows are looked at once, by the finished head. Cross-validation:
    each outer fold chooses for itself within the rest and judges the fold; the scores
    are of those pooled answers, while the head that is shipped is fitted on all
    rows with the choice made on all.

    Args:
        problem: Features and labels.
        model: One of `names.MODEL_NAMES`, or `auto`.
        metric: What chooses: one of `selection.METRICS`.
        seed: Of folds and bootstrap. The same seed gives the same head, bit by bit.
        on_conflict: `error`, or `drop` images whose labels contradict each other.
        values: Exactly these values of the model's parameter (C, alpha, k or epochs)
            instead of the grid that finds its range.
        abstain_precision: Find the threshold above which answers are so often right.
        progress: Told what is being computed.
        notify: Told what a person should know before anything is fitted.

    Raises:
        UnfittableError: No head can be fitted to this, or none could be judged.
        UsageError: An argument is not one of those allowed.
    """
    if on_conflict not in ON_CONFLICT:
        raise UsageError("unknown on_conflict", got=on_conflict, expected=", ".join(ON_CONFLICT))
    if abstain_precision is not None and not 0 < abstain_precision < 1:
        raise UsageError(
            "a precision to abstain for lies between 0 and 1",
            got=abstain_precision,
            expected="such as 0.95",
        )
    prepared = prepare(problem, on_conflict=on_conflict, seed=seed)
    if notify is not None:
        for note in prepared.notes:
            notify(note)
    train, labels, group = prepared.train, prepared.labels, prepared.group
    features = prepared.features(train)
    crossed = prepared.protocol.is_cross_validation
    folds = (
        prepared.protocol.folds
        if crossed
        else stratified_folds(labels[train], group[train], FOLDS, seed)
    )
    recipe = Recipe(model, metric, values, progress)
    training = Training(features, labels[train], seed, prepared.prior)
    choice = recipe.choose(training, group[train], folds)
    made = choice.model.fit(training, choice.selected.record.setting)
    head = _head(prepared, choice, made, seed)
    if crossed:
        probabilities, fold_choices = judge(training, group, folds, recipe)
    else:
        probabilities = np.zeros((len(prepared.judged), prepared.judged_k))
        probabilities[:, : prepared.k] = answers(made.form, prepared.features(prepared.judged))
        fold_choices = ()
    report = build_report(
        prepared,
        head,
        choice.selected.record,
        choice.leaderboard,
        probabilities,
        fold_choices,
        abstain_precision,
    )
    return fitted_of(prepared, head, probabilities, report)


def fitted_of(
    prepared: Prepared, head: Head, probabilities: NDArray[np.float64], report: FitReport
) -> Fitted:
    """All that a run keeps, from the pieces of a fit.

    Args:
        prepared: Rows, classes and sides.
        head: The head that is shipped.
        probabilities: (J, K) of the J judged rows.
        report: On them.
    """
    return Fitted(head, _run_rows(prepared), _predictions(prepared, probabilities), report)


def _head(prepared: Prepared, choice: Choice, made: Fit, seed: int) -> Head:
    problem, selection = prepared.problem, choice.selected.record
    return Head(
        prepared.classes[: prepared.k],
        prepared.classes[prepared.k :],
        made.form,
        choice.model.name,
        problem.dataset,
        problem.sources,
        HowChosen(
            selection.setting,
            selection.metric,
            seed,
            len(prepared.train),
            made.converged,
            made.iterations,
        ),
    )


def _run_rows(prepared: Prepared) -> RunRows:
    problem = prepared.problem
    side = np.full(len(problem), SIDE_UNUSED, np.uint8)
    side[prepared.cleaned.rows] = prepared.protocol.side
    label = np.where(problem.labels < 0, -1, prepared.code[problem.labels]).astype(np.int32)
    return RunRows(np.asarray(problem.digests), label, side)


def _predictions(prepared: Prepared, probabilities: NDArray[np.float64]) -> Predictions:
    judged = prepared.judged
    return Predictions(
        prepared.cleaned.rows[judged],
        prepared.group[judged],
        probabilities.astype(np.float32),
    )
