"""`build_multilabel_report`: from the pieces of a fit to the record that is kept of it.

J is the number of judged rows, K the number of labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.calibration import label_reliability
from embedcache.evaluation.multilabel import THRESHOLD, evaluate_multilabel
from embedcache.heads.artefact import Head
from embedcache.heads.multilabel.fitting import FittedLabels
from embedcache.heads.multilabel.judging import JudgedLabels
from embedcache.heads.multilabel.prepare import PreparedLabels
from embedcache.heads.multilabel.report import (
    LabelRows,
    MarkDoubt,
    MarkDoubts,
    MarkMistake,
    MultilabelReport,
)
from embedcache.heads.reporting import FORMAT, LISTED, MISTAKES, notes_after, row_counts, split_of

__all__ = ["build_multilabel_report", "wrong_marks"]


def build_multilabel_report(
    prepared: PreparedLabels,
    head: Head,
    made: FittedLabels,
    answers: JudgedLabels,
    doubts: tuple[MarkDoubt, ...],
) -> MultilabelReport:
    """Judge the answers and put everything known into one record.

    Args:
        prepared: Rows and sides.
        head: The head that is shipped.
        made: How it was made.
        answers: To the judged rows, by heads that had not seen them.
        doubts: Marks that are probably wrong, the most doubtful first.
    """
    problem, cleaned, judged = prepared.problem, prepared.cleaned, prepared.judged
    labels, group, shares = prepared.labels[judged], prepared.group[judged], answers.probabilities
    train = prepared.labels[prepared.train]
    outer = [each.chosen for each in answers.outer]
    selection = made.chosen.record
    return MultilabelReport(
        format=FORMAT,
        dataset=problem.dataset,
        sources=problem.sources,
        model=head.model,
        seed=head.chosen.seed,
        dim=head.dim,
        converged=head.chosen.converged,
        iterations=head.chosen.iterations,
        rows=row_counts(prepared),
        split=split_of(
            prepared.protocol,
            [each.model.name for each in outer],
            [each.record.setting for each in outer],
        ),
        selection=selection,
        leaderboard=made.leaderboard,
        conflicts=cleaned.conflicts[:LISTED],
        crossings=cleaned.crossings[:LISTED],
        crossing_count=len(cleaned.crossings),
        notes=prepared.notes + notes_after(head, selection, made.leaderboard),
        near_duplicates=None,
        labels=tuple(
            LabelRows(name, int(fitted), int(seen), float(temperature))
            for name, fitted, seen, temperature in zip(
                prepared.names,
                train.sum(axis=0, dtype=np.int64),
                labels.sum(axis=0, dtype=np.int64),
                made.chosen.temperatures,
                strict=True,
            )
        ),
        evaluation=evaluate_multilabel(
            labels, shares, prepared.names, train.mean(axis=0), group, seed=head.chosen.seed
        ),
        ece=label_reliability(labels == 1, shares, group).ece,
        mistakes=_mistakes(prepared, labels, shares),
        label_doubts=MarkDoubts(
            sum(each.trained for each in doubts),
            sum(each.judged for each in doubts),
            doubts[:LISTED],
        ),
    )


def wrong_marks(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> NDArray[np.int64]:
    """Rows and labels that are answered wrong, (number of them, 2), the surest first.

    Args:
        labels: (J, K), 1 where the row has the label, else 0.
        probabilities: (J, K) that it has.
    """
    wrong = np.argwhere((probabilities > THRESHOLD) != (labels == 1))
    surprise = np.abs(labels - probabilities)[tuple(wrong.T)]
    return wrong[np.argsort(-surprise, kind="stable")]


def _mistakes(
    prepared: PreparedLabels, labels: NDArray[np.uint8], probabilities: NDArray[np.float64]
) -> tuple[MarkMistake, ...]:
    rows = prepared.cleaned.rows[prepared.judged]
    return tuple(
        MarkMistake(
            prepared.problem.ids.text(int(rows[at])),
            prepared.names[label],
            bool(labels[at, label]),
            float(probabilities[at, label]),
        )
        for at, label in wrong_marks(labels, probabilities)[:MISTAKES].tolist()
    )
