"""`fit_multilabel`: from rows of any number of labels to a head and an honest report on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.splits import FOLDS, strata
from embedcache.heads.artefact import Head
from embedcache.heads.fitted import Fitted
from embedcache.heads.head_record import HowChosen
from embedcache.heads.multilabel.doubts import mark_doubts
from embedcache.heads.multilabel.fitting import FittedLabels, LabelRecipe, fit_labels
from embedcache.heads.multilabel.judging import cross_judge_labels, judge_labels
from embedcache.heads.multilabel.prepare import PreparedLabels, prepare_labels
from embedcache.heads.multilabel.reporting import build_multilabel_report
from embedcache.heads.predictions import Predictions
from embedcache.heads.problem import Problem
from embedcache.heads.rows import RunRows
from embedcache.heads.search import Progress

__all__ = ["fit_multilabel"]


def fit_multilabel(
    problem: Problem,
    model: str = "logreg",
    seed: int = 0,
    on_conflict: str = "error",
    values: tuple[float, ...] | None = None,
    *,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Fitted:
    """Choose on training rows, fit on all of them, and judge on rows not seen: as `fit.fit`.

    Each label is fitted against its absence; one setting serves all of them, chosen by the
    mean log-loss of rows and labels out of fold.

    Args:
        problem: Features and labels, multilabel.
        model: One of `names.MULTILABEL_MODELS`, or `auto`.
        seed: Of folds and bootstrap. The same seed gives the same head, bit by bit.
        on_conflict: `error`, or `drop` images whose labels contradict each other.
        values: Exactly these values of the model's parameter (C or alpha) instead of the
            grid that finds its range.
        progress: Told what is being computed.
        notify: Told what a person should know before anything is fitted.

    Raises:
        UnfittableError: No head can be fitted to this, or none could be judged.
        UsageError: An argument is not one of those allowed.
    """
    prepared = prepare_labels(problem, on_conflict=on_conflict, seed=seed)
    if notify is not None:
        for note in prepared.notes:
            notify(note)
    train = prepared.train
    labels, group = prepared.labels[train], prepared.group[train]
    features, protocol = prepared.features(train), prepared.protocol
    folds = (
        protocol.folds
        if protocol.is_cross_validation
        else stratified_folds(strata(labels), group, FOLDS, seed)
    )
    recipe = LabelRecipe(model, values, seed, progress)
    made = fit_labels(recipe, features, labels, group, folds)
    if protocol.is_cross_validation:
        judged = cross_judge_labels(recipe, features, labels, group, folds)
    else:
        judged = judge_labels(made, prepared.features(prepared.judged))
    head = _head(prepared, made, seed)
    doubts = mark_doubts(prepared, judged, made)
    predictions = Predictions(
        prepared.cleaned.rows[prepared.judged],
        prepared.group[prepared.judged],
        judged.probabilities.astype(np.float32),
    )
    rows = RunRows(
        np.asarray(problem.digests), np.asarray(problem.labels, np.uint8), prepared.row_sides
    )
    report = build_multilabel_report(prepared, head, made, judged, doubts)
    return Fitted(head, rows, predictions, report, doubts)


def _head(prepared: PreparedLabels, made: FittedLabels, seed: int) -> Head:
    problem, chosen = prepared.problem, made.chosen
    return Head(
        prepared.names,
        (),
        made.fit.form,
        chosen.model.name,
        problem.dataset,
        problem.sources,
        HowChosen(
            chosen.record.setting,
            chosen.record.metric,
            seed,
            len(prepared.train),
            made.fit.converged,
            made.fit.iterations,
        ),
        output="sigmoid",
    )
