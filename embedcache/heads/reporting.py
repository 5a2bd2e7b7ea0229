"""`build_report`: from the pieces of a fit to the record that is kept of it.

M is the number of rows that take part, J of those that are judged, K the number
of classes that training or judged rows have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.abstention import Abstention, Threshold, measure
from embedcache.evaluation.evaluate import evaluate
from embedcache.evaluation.splits import Protocol
from embedcache.heads.artefact import Head
from embedcache.heads.calibrate import calibration_of
from embedcache.heads.choice_records import Leaderboard, SelectionRecord
from embedcache.heads.judging import Judged
from embedcache.heads.prepare import Prepared
from embedcache.heads.recipe import Made
from embedcache.heads.report import FitReport
from embedcache.heads.row_records import (
    ClassRows,
    LabelDoubt,
    LabelDoubts,
    Mistake,
    RowCounts,
    Split,
)
from embedcache.heads.sides import Sides

__all__ = ["FORMAT", "LISTED", "MISTAKES", "build_report", "notes_after", "row_counts", "split_of"]

FORMAT = 3
"""Version of `report.json`."""

LISTED = 100
"""At most so many conflicts, crossings and doubtful labels are listed; all are counted."""

MISTAKES = 20
"""So many of the most confident ones are kept."""


def build_report(
    prepared: Prepared,
    head: Head,
    selection: SelectionRecord,
    leaderboard: Leaderboard | None,
    answers: Judged,
    made: Made | None,
    doubts: tuple[LabelDoubt, ...],
) -> FitReport:
    """Judge the answers and put everything known into one record.

    Args:
        prepared: Rows, classes and sides.
        head: The head that is shipped.
        selection: How its setting was chosen.
        leaderboard: How its model was chosen; None where it was given.
        answers: To the judged rows, by heads that had not seen them.
        made: How the head was made; None where it was fitted to nothing.
        doubts: Labels that are probably wrong, the most doubtful first.
    """
    probabilities = answers.probabilities
    choices = [each.choice for each in answers.outer]
    judged = prepared.judged
    labels, group = prepared.labels[judged], prepared.group[judged]
    k = prepared.judged_k
    classes = prepared.classes[:k]
    train = np.bincount(prepared.labels[prepared.train], minlength=k)
    seen = np.bincount(labels, minlength=k)
    shares = train if train.any() else seen
    problem, cleaned = prepared.problem, prepared.cleaned
    return FitReport(
        format=FORMAT,
        dataset=problem.dataset,
        sources=problem.sources,
        model=head.model,
        seed=head.chosen.seed,
        dim=head.dim,
        converged=head.chosen.converged,
        iterations=head.chosen.iterations,
        rows=row_counts(prepared, int(prepared.touched.sum())),
        classes=tuple(
            ClassRows(name, int(train[which]), int(seen[which]))
            for which, name in enumerate(classes)
        ),
        unseen=prepared.classes[prepared.k : k],
        split=split_of(
            prepared.protocol,
            [each.model.name for each in choices],
            [each.selected.record.setting for each in choices],
        ),
        selection=selection,
        leaderboard=leaderboard,
        evaluation=evaluate(
            labels,
            probabilities,
            classes,
            # Where nothing is fitted, the judged rows tell which class is the majority.
            shares / shares.sum(),
            group,
            seed=head.chosen.seed,
        ),
        calibration=calibration_of(
            labels,
            probabilities,
            answers.temperature,
            group,
            shipped=None if made is None else made.temperature,
            folds=tuple(each.temperature for each in answers.outer),
        ),
        abstention=None
        if made is None or made.threshold is None
        else Abstention(
            made.threshold,
            measure(labels, probabilities, group, answers.threshold),
            sum(_is_without(each.threshold) for each in answers.outer),
        ),
        mistakes=_mistakes(prepared, labels, probabilities),
        label_doubts=LabelDoubts(
            sum(each.trained for each in doubts),
            sum(each.judged for each in doubts),
            doubts[:LISTED],
        ),
        conflicts=cleaned.conflicts[:LISTED],
        crossings=cleaned.crossings[:LISTED],
        crossing_count=len(cleaned.crossings),
        notes=prepared.notes + notes_after(head, selection, leaderboard),
        near_duplicates=None,
        class_weight=head.chosen.class_weight,
    )


def _is_without(found: Threshold | None) -> bool:
    return found is not None and found.threshold is None


def _mistakes(
    prepared: Prepared, labels: NDArray[np.int32], probabilities: NDArray[np.float64]
) -> tuple[Mistake, ...]:
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    rows = prepared.cleaned.rows[prepared.judged[worst]]
    return tuple(
        Mistake(
            prepared.problem.ids.text(int(row)),
            prepared.classes[labels[at]],
            prepared.classes[predicted[at]],
            float(sure[at]),
        )
        for row, at in zip(rows, worst, strict=True)
    )


def row_counts(prepared: Sides, touched: int = 0) -> RowCounts:
    """Where the rows went; `touched` of those that are fitted are neither chosen nor judged by."""
    cleaned = prepared.cleaned
    return RowCounts(
        len(prepared.problem),
        cleaned.unlabelled,
        cleaned.duplicates,
        cleaned.conflicting,
        len(prepared.train),
        len(prepared.judged),
        touched,
    )


def split_of(
    protocol: Protocol, models: Sequence[str], settings: Sequence[dict[str, float]]
) -> Split:
    """How the head was judged.

    Args:
        protocol: The sides.
        models: What each outer fold chose, none of a hold-out.
        settings: Their settings.
    """
    return Split(
        protocol.kind,
        protocol.source,
        protocol.reason,
        len(models),
        tuple(models),
        tuple(settings),
        0 if protocol.is_cross_validation else 1,
    )


def notes_after(
    head: Head, selection: SelectionRecord, leaderboard: Leaderboard | None
) -> tuple[str, ...]:
    """What a person should know of the choice and the fit."""
    notes = []
    if not head.chosen.converged:
        notes.append(
            f"the solver did not converge in {head.chosen.iterations} iterations: "
            "the head is usable but not the optimum"
        )
    if selection.on_edge:
        parameter, value = next(iter(selection.best.items()))
        notes.append(
            f"the best {parameter}, {value:.3g}, is at the end of the grid: "
            "one beyond it may be better"
        )
    if leaderboard is not None:
        winner, *others = leaderboard.contenders
        close = [each.model for each in others if each.low <= 0]
        if close:
            notes.append(
                f"{winner.model} has the lowest loss, but these are not worse beyond doubt: "
                f"{', '.join(close)}"
            )
    return tuple(notes)
