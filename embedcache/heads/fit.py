"""`fit`: from a problem to a head, an honest report on it, and the rows behind both.

M is the number of rows that take part, D the embedding dimension, K the number
of classes that have training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.folds import folds_around
from embedcache.evaluation.splits import FOLDS
from embedcache.heads.artefact import Head
from embedcache.heads.choice_records import Leaderboard, SelectionRecord
from embedcache.heads.class_weights import NONE, ClassWeight, ClassWeightRecord, ClassWeights
from embedcache.heads.doubts import doubts_of
from embedcache.heads.fitted import Fitted
from embedcache.heads.head_record import AbstainRule, HowChosen
from embedcache.heads.judging import Judged, cross_judge, judge
from embedcache.heads.model import Training
from embedcache.heads.predictions import Predictions
from embedcache.heads.prepare import Prepared, prepare
from embedcache.heads.problem import Problem
from embedcache.heads.recipe import Made, Recipe
from embedcache.heads.reporting import build_report
from embedcache.heads.rows import RunRows
from embedcache.heads.search import Progress
from embedcache.heads.shot_records import ShotCurve
from embedcache.heads.shots import few_shot

__all__ = ["fit", "fitted_of"]


def fit(
    problem: Problem,
    model: str = "logreg",
    metric: str = "log_loss",
    seed: int = 0,
    on_conflict: str = "error",
    values: tuple[float, ...] | None = None,
    abstain_precision: float | None = None,
    shots: tuple[int, ...] = (),
    seeds: int = 3,
    class_weight: ClassWeight = NONE,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Fitted:
    """Choose on training rows, fit on all of them, and judge on rows not seen.

    Hold-out: model and setting are chosen by cross-validation within the training
    side, and the test rows are looked at once, by the finished head. Cross-validation:
    each outer fold chooses for itself within the rest and judges the fold; the scores
    are of those pooled answers, while the head that is shipped is fitted on all
    rows with the choice made on all. Temperature and threshold are of training rows out
    of fold.

    Args:
        problem: Features and labels.
        model: One of `names.MODEL_NAMES`, or `auto`.
        metric: What chooses: one of `tried.METRICS`.
        seed: Of folds and bootstrap. The same seed gives the same head, bit by bit.
        on_conflict: `error`, or `drop` images whose labels contradict each other.
        values: Exactly these values of the model's parameter (C, alpha, k or epochs)
            instead of the grid that finds its range.
        abstain_precision: Let the head answer only where so many answers are right.
        shots: Rows of each class for a few-shot curve; none for no curve.
        seeds: Draws for each point of the curve.
        class_weight: How much rows of each class count in fit and choice: `none`,
            `balanced` for classes of equal weight together, or weights by class.
        progress: Told what is being computed.
        notify: Told what a person should know before anything is fitted.

    Raises:
        UnfittableError: No head can be fitted to this, or none could be judged.
        UsageError: An argument is not one of those allowed.
    """
    if abstain_precision is not None and not 0 < abstain_precision < 1:
        raise UsageError(
            "a precision to abstain for lies between 0 and 1",
            got=abstain_precision,
            expected="such as 0.95",
        )
    if shots and (min(shots) < 1 or seeds < 1):
        raise UsageError(
            "a few-shot curve needs rows and draws",
            got=f"{', '.join(map(str, shots))} rows of each class, {seeds} draws",
            expected="1 or more of each",
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
        else folds_around(labels[train], group[train], prepared.touched[train], FOLDS, seed)
    )
    weights = ClassWeights.of(class_weight, prepared.classes[: prepared.k])
    recipe = Recipe(model, metric, values, abstain_precision, progress, weights)
    counts = recipe.row_weights(labels[train])
    training = Training(features, labels[train], seed, prepared.prior, counts)
    made = recipe.make(training, group[train], folds)
    if crossed:
        judged = cross_judge(training, group, folds, recipe)
    else:
        judged = judge(made, prepared.features(prepared.judged), prepared.judged_k)
    selected = made.choice.selected.record
    record = None if weights is None else weights.record(labels[train])
    curve = None
    if shots:
        curve = few_shot(prepared, training, recipe, made, judged.outer, shots, seeds)
    return fitted_of(
        prepared,
        _head(prepared, made, seed, record),
        selected,
        made.choice.leaderboard,
        judged,
        made,
        curve,
    )


def fitted_of(
    prepared: Prepared,
    head: Head,
    selection: SelectionRecord,
    leaderboard: Leaderboard | None,
    judged: Judged,
    made: Made | None = None,
    shots: ShotCurve | None = None,
) -> Fitted:
    """All that a run keeps, from the pieces of a fit.

    Args:
        prepared: Rows, classes and sides.
        head: The head that is shipped.
        selection: How its setting was chosen.
        leaderboard: How its model was chosen; None where it was given.
        judged: What was said of the judged rows.
        made: How the head was made; None where it was fitted to nothing.
        shots: The few-shot curve, if one was asked for.
    """
    doubts = doubts_of(prepared, judged, made)
    report = build_report(prepared, head, selection, leaderboard, judged, made, doubts)
    predictions = _predictions(prepared, judged.probabilities)
    rows, report = _run_rows(prepared), replace(report, shots=shots)
    return Fitted(head, rows, predictions, report, doubts)


def _head(
    prepared: Prepared, made: Made, seed: int, class_weight: ClassWeightRecord | None
) -> Head:
    problem, selection, threshold = prepared.problem, made.choice.selected.record, made.threshold
    return Head(
        prepared.classes[: prepared.k],
        prepared.classes[prepared.k :],
        made.fit.form,
        made.choice.model.name,
        problem.dataset,
        problem.sources,
        HowChosen(
            selection.setting,
            selection.metric,
            seed,
            len(prepared.train),
            made.fit.converged,
            made.fit.iterations,
            made.temperature,
            class_weight,
        ),
        None
        if threshold is None or threshold.threshold is None
        else AbstainRule(threshold.wanted, threshold.threshold),
    )


def _run_rows(prepared: Prepared) -> RunRows:
    problem = prepared.problem
    label = np.where(problem.labels < 0, -1, prepared.code[problem.labels]).astype(np.int32)
    return RunRows(np.asarray(problem.digests), label, prepared.row_sides)


def _predictions(prepared: Prepared, probabilities: NDArray[np.float64]) -> Predictions:
    judged = prepared.judged
    return Predictions(
        prepared.cleaned.rows[judged],
        prepared.group[judged],
        probabilities.astype(np.float32),
    )
