"""The page's pictures: mistakes and labels in doubt.

J is the number of judged rows.
"""

from __future__ import annotations

import numpy as np

from embedcache.heads.report import FitReport
from embedcache.heads.row_records import LabelDoubt
from embedcache.reports.page.gallery import gallery, gallery_item
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import inline, percent, section
from embedcache.runs.folder import LABEL_DOUBTS

__all__ = ["doubtful_labels", "mistakes"]

_MOST_MISTAKES = 24
_MOST_DOUBTFUL = 12


def mistakes(material: Material[FitReport]) -> str:
    """The wrong answers that the head was surest of."""
    classes = material.report.classes
    predicted, sure = material.probabilities.argmax(axis=1), material.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != material.labels)
    if not len(wrong):
        return section("Mistakes", "<p>No judged row was answered wrong.</p>")
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:_MOST_MISTAKES]
    items = [
        gallery_item(
            material,
            int(material.row[at]),
            f'<span class="wrong">{inline(classes[predicted[at]].name, longest=30)} '
            f"{percent(float(sure[at]))}&nbsp;%</span><br>"
            f"labelled {inline(classes[material.labels[at]].name, longest=30)}",
        )
        for at in worst
    ]
    count = f"{len(wrong):,} of {len(material.labels):,} judged rows are answered wrong"
    return section(
        "Most confident mistakes",
        f'<p class="soft small">{count}; the surest first.</p>',
        gallery(items),
    )


def doubtful_labels(material: Material[FitReport]) -> str:
    """Rows whose label is probably wrong."""
    report, found = material.report, material.report.label_doubts
    about = (
        '<p class="soft small">By confident learning (Northcutt et al. 2021): a row is listed when '
        "it reaches the usual probability of another class, by heads that had not seen it. Look "
        "before you change a label: these rows may also be hard, or the head weak.</p>"
    )
    counts = found.counted(report.rows, crossed=bool(report.split.folds))
    if not found.listed:
        return section("Labels in doubt", f"<p>{counts}.</p>", about)
    return section(
        "Labels in doubt",
        f"<p>{counts} look like another class than they say. "
        f"<code>{LABEL_DOUBTS}</code> has all of them.</p>",
        about,
        gallery(
            [
                gallery_item(material, each.row, _doubt(each))
                for each in found.listed[:_MOST_DOUBTFUL]
            ]
        ),
    )


def _doubt(doubt: LabelDoubt) -> str:
    side = "" if doubt.trained else " · judged"
    return (
        f"labelled {inline(doubt.label, longest=30)} ({percent(doubt.self_confidence)}&nbsp;%)<br>"
        f'looks like <span class="wrong">{inline(doubt.suggested, longest=30)}</span> '
        f"({percent(doubt.probability)}&nbsp;%){side}"
    )
