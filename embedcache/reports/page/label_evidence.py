"""The page's pictures where rows have any number of labels: mistakes by label, marks in doubt."""

from __future__ import annotations

import numpy as np

from embedcache.heads.multilabel.report import MarkDoubt, MultilabelReport
from embedcache.heads.multilabel.reporting import wrong_marks
from embedcache.reports.multilabel_text import lowest_first
from embedcache.reports.page.gallery import gallery, gallery_item
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import inline, percent, section
from embedcache.runs.folder import LABEL_DOUBTS

__all__ = ["doubtful_marks", "wrong_labels"]

_MOST_LABELS = 12
_EACH = 6
_MOST_DOUBTFUL = 12


def wrong_labels(material: Material[MultilabelReport]) -> str:
    """For each label the wrong answers that the head was surest of."""
    report, marks = material.report, material.labels
    wrong = wrong_marks(marks, material.probabilities)
    if not len(wrong):
        return section("Mistakes", "<p>No label of a judged row was answered wrong.</p>")
    names = [each.name for each in report.labels]
    shown = [each.name for each in lowest_first(report.evaluation, _MOST_LABELS)]
    parts = []
    for name in shown:
        rows = wrong[wrong[:, 1] == names.index(name), 0]
        if not len(rows):
            continue
        column = names.index(name)
        items = [
            gallery_item(
                material,
                int(material.row[at]),
                _mistake(
                    float(material.probabilities[at, column]), has=bool(marks[at, column] == 1)
                ),
            )
            for at in rows[:_EACH]
        ]
        count = f'<span class="soft small">{len(rows):,} wrong</span>'
        parts += [f"<h3>{inline(name)} {count}</h3>", gallery(items)]
    total = f"{len(wrong):,} of {np.size(marks):,} answers about a row and a label are wrong"
    some = (
        f"; labels of lowest average precision, {len(shown)} of them"
        if len(shown) < len(names)
        else ""
    )
    return section(
        "Most confident mistakes",
        f'<p class="soft small">{total}; the surest first{some}.</p>',
        *parts,
    )


def _mistake(probability: float, *, has: bool) -> str:
    said = "labelled so" if has else "not labelled so"
    return f'<span class="wrong">{percent(probability)}&nbsp;%</span>, {said}'


def doubtful_marks(material: Material[MultilabelReport]) -> str:
    """Labels that are probably wrong or missing."""
    report, found = material.report, material.report.label_doubts
    about = (
        '<p class="soft small">By confident learning (Northcutt et al. 2021), each label against '
        "its absence, by heads that had not seen the row. Look before you change a label: these "
        "rows may also be hard, or the head weak.</p>"
    )
    counts = found.counted(report.rows, len(report.labels), crossed=bool(report.split.folds))
    if not found.listed:
        return section("Labels in doubt", f"<p>{counts}.</p>", about)
    items = [
        gallery_item(material, each.row, _doubt(each)) for each in found.listed[:_MOST_DOUBTFUL]
    ]
    return section(
        "Labels in doubt",
        f"<p>{counts}, one for each row and label, look wrong or missing. "
        f"<code>{LABEL_DOUBTS}</code> has all of them.</p>",
        about,
        gallery(items),
    )


def _doubt(doubt: MarkDoubt) -> str:
    side = "" if doubt.trained else " · judged"
    name = inline(doubt.label, longest=30)
    said = f"labelled {name}, seems not" if doubt.has else f"not labelled {name}, seems so"
    return f'{said} <span class="wrong">({percent(doubt.probability)}&nbsp;%)</span>{side}'
