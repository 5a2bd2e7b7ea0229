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
from embedcache.heads.predictions import Predictions
from embedcache.heads.prepare import Prepared, prepare
from embedcache.heads.problem import Problem
from embedcache.heads.report import FitReport, SelectionRecord
from embedcache.heads.reporting import build_report
from embedcache.heads.rows import RunRows
from embedcache.heads.selection import Progress, select_c
from embedcache.heads.training import TrainingPart
from embedcache.runs.folder import REPORT
from embedcache.storage.publish import write_atomic

__all__ = ["MODELS", "ON_CONFLICT", "Fitted", "fit"]

MODELS = ("logreg",)
ON_CONFLICT = ("error", "drop")

_TOLERANCE = 1e-6
"""Of a fit that is kept: within 1e-5 of the optimum's objective on ELPV at every C to 10."""

_MAX_ITERATIONS = 5_000


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
    cs: tuple[float, ...] | None = None,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Fitted:
    """Choose C on training rows, fit on all of them, and judge on rows not seen.

    Hold-out: C is chosen by cross-validation within the training side, and the
    test rows are looked at once, by the finished head. Cross-validation: each
    outer fold chooses its own C within the rest and judges the fold; the scores
    are of those pooled answers, while the head that is shipped is fitted on all
    rows with the C chosen on all.

    Args:
        problem: Features and labels.
        model: One of `MODELS`.
        metric: What chooses C: one of `selection.METRICS`.
        seed: Of folds and bootstrap. The same seed gives the same head, bit by bit.
        on_conflict: `error`, or `drop` images whose labels contradict each other.
        cs: Exactly these C instead of the grid that finds its range.
        progress: Told what is being computed.
        notify: Told what a person should know before anything is fitted.

    Raises:
        UnfittableError: No head can be fitted to this, or none could be judged.
        UsageError: An argument is not one of those allowed.
    """
    _check_choice("model", model, MODELS)
    _check_choice("on_conflict", on_conflict, ON_CONFLICT)
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
    selection = select_c(
        features, labels[train], group[train], folds, metric=metric, cs=cs, progress=progress
    )
    head = _ship(prepared, features, model, selection, seed)
    if crossed:
        judge = _Judge(features, labels, group, metric, cs, progress, seed)
        probabilities, fold_cs = judge.all(folds)
    else:
        probabilities = np.zeros((len(prepared.judged), prepared.judged_k))
        probabilities[:, : prepared.k] = head.predict_proba(prepared.features(prepared.judged))
        fold_cs = ()
    report = build_report(prepared, head, selection, probabilities, fold_cs)
    return Fitted(head, _run_rows(prepared), _predictions(prepared, probabilities), report)


def _check_choice(name: str, got: str, allowed: tuple[str, ...]) -> None:
    if got not in allowed:
        raise UsageError(f"unknown {name}", got=got, expected=", ".join(allowed))


def _ship(
    prepared: Prepared,
    features: NDArray[np.float32],
    model: str,
    selection: SelectionRecord,
    seed: int,
) -> Head:
    part = TrainingPart(features, prepared.labels[prepared.train], np.float64)
    fit = part.fit(selection.c, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS)
    weights, intercept = part.raw_weights(fit)
    problem = prepared.problem
    return Head(
        prepared.classes[: prepared.k],
        prepared.classes[prepared.k :],
        weights,
        intercept,
        model,
        problem.dataset,
        problem.backbone,
        problem.identity,
        problem.content_digest,
        HowChosen(
            selection.c, selection.metric, seed, len(features), fit.converged, fit.iterations
        ),
    )


@dataclass(frozen=True, eq=False)
class _Judge:
    """Outer folds, each with a choice of C that has not seen it."""

    features: NDArray[np.float32]
    labels: NDArray[np.int32]
    group: NDArray[np.int32]
    metric: str
    cs: tuple[float, ...] | None
    progress: Progress | None
    seed: int

    def all(self, folds: NDArray[np.int64]) -> tuple[NDArray[np.float64], tuple[float, ...]]:
        """Out-of-fold probabilities (M, K), and the C of each fold."""
        k = int(self.labels.max()) + 1
        probabilities = np.zeros((len(self.labels), k))
        chosen = []
        numbers = np.unique(folds)
        for fold in numbers:
            rest, held_out = np.flatnonzero(folds != fold), folds == fold
            part_features, part_labels = self.features[rest], self.labels[rest]
            c = self._choose(part_features, part_labels, rest, int(fold), len(numbers))
            part = TrainingPart(part_features, part_labels, np.float64)
            fit = part.fit(c, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS)
            standardised = part.scaler.apply(self.features[held_out], np.float64)
            probabilities[held_out] = part.predict(fit, standardised, k)
            chosen.append(c)
        return probabilities, tuple(chosen)

    def _choose(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.int32],
        rest: NDArray[np.int64],
        fold: int,
        count: int,
    ) -> float:
        def told(text: str) -> None:
            if self.progress:
                self.progress(f"judging, fold {fold + 1} of {count}: {text}")

        # `select_c` wants codes without gaps; this part may miss a rare class.
        codes = np.unique(labels, return_inverse=True)[1]
        inner = stratified_folds(codes, self.group[rest], FOLDS, self.seed + 1 + fold)
        return select_c(
            features,
            codes,
            self.group[rest],
            inner,
            metric=self.metric,
            cs=self.cs,
            progress=told,
        ).c


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
