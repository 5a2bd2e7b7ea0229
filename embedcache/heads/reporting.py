"""`build_report`: from the pieces of a fit to the record that is kept of it.

M is the number of rows that take part, J of those that are judged, K the number
of classes that training or judged rows have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.evaluate import evaluate
from embedcache.heads.artefact import Head
from embedcache.heads.prepare import Prepared
from embedcache.heads.report import (
    ClassRows,
    FitReport,
    Mistake,
    RowCounts,
    SelectionRecord,
    Split,
)

__all__ = ["FORMAT", "LISTED", "build_report"]

FORMAT = 1
"""Version of `report.json`."""

LISTED = 100
"""At most so many conflicts and crossings are listed; all are counted."""

_MISTAKES = 20


def build_report(
    prepared: Prepared,
    head: Head,
    selection: SelectionRecord,
    probabilities: NDArray[np.float64],
    fold_cs: tuple[float, ...],
) -> FitReport:
    """Judge the answers and put everything known into one record.

    Args:
        prepared: Rows, classes and sides.
        head: The head that is shipped.
        selection: How its C was chosen.
        probabilities: (J, K) of the judged rows, by heads that had not seen them.
        fold_cs: The C of each outer fold; empty for a hold-out.
    """
    judged = prepared.judged
    labels = prepared.labels[judged]
    k = prepared.judged_k
    classes = prepared.classes[:k]
    train = np.bincount(prepared.labels[prepared.train], minlength=k)
    seen = np.bincount(labels, minlength=k)
    problem, cleaned, protocol = prepared.problem, prepared.cleaned, prepared.protocol
    return FitReport(
        format=FORMAT,
        dataset=problem.dataset,
        backbone=problem.backbone,
        identity=problem.identity.digest,
        content_digest=problem.content_digest,
        model=head.model,
        seed=head.chosen.seed,
        dim=head.dim,
        converged=head.chosen.converged,
        iterations=head.chosen.iterations,
        rows=RowCounts(
            len(problem),
            cleaned.unlabelled,
            cleaned.duplicates,
            cleaned.conflicting,
            len(prepared.train),
            len(judged),
        ),
        classes=tuple(
            ClassRows(name, int(train[which]), int(seen[which]))
            for which, name in enumerate(classes)
        ),
        unseen=prepared.classes[prepared.k : k],
        split=Split(
            protocol.kind,
            protocol.source,
            protocol.reason,
            len(fold_cs),
            fold_cs,
            0 if protocol.is_cross_validation else 1,
        ),
        selection=selection,
        evaluation=evaluate(
            labels,
            probabilities,
            classes,
            train / train.sum(),
            prepared.group[judged],
            seed=head.chosen.seed,
        ),
        mistakes=_mistakes(prepared, labels, probabilities),
        conflicts=cleaned.conflicts[:LISTED],
        crossings=cleaned.crossings[:LISTED],
        crossing_count=len(cleaned.crossings),
        notes=prepared.notes + _notes_after(head, selection),
    )


def _mistakes(
    prepared: Prepared, labels: NDArray[np.int32], probabilities: NDArray[np.float64]
) -> tuple[Mistake, ...]:
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES]
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


def _notes_after(head: Head, selection: SelectionRecord) -> tuple[str, ...]:
    notes = []
    if not head.chosen.converged:
        notes.append(
            f"the solver did not converge in {head.chosen.iterations} iterations: "
            "the head is usable but not the optimum"
        )
    if selection.on_edge:
        notes.append(
            f"the best C, {selection.best:.3g}, is at the end of the grid: "
            "one beyond it may be better"
        )
    return tuple(notes)
