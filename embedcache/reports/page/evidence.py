"""The page's pictures and lists: mistakes, labels in doubt, duplicates, rejects.

J is the number of judged rows.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np

from embedcache.heads.row_records import LabelDoubt, NearDuplicates
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import inline, percent, section, table, text
from embedcache.runs.folder import LABEL_DOUBTS

__all__ = ["data", "doubtful_labels", "mistakes"]

_MOST_MISTAKES = 24
_MOST_DOUBTFUL = 12
_MOST_LISTED = 10


def mistakes(material: Material) -> str:
    """The wrong answers that the head was surest of."""
    predicted, sure = material.probabilities.argmax(axis=1), material.probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != material.labels)
    if not len(wrong):
        return section("Mistakes", "<p>No judged row was answered wrong.</p>")
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:_MOST_MISTAKES]
    items = [
        _item(
            material,
            int(material.row[at]),
            f'<span class="wrong">{inline(material.class_name(predicted[at]), longest=30)} '
            f"{percent(float(sure[at]))}&nbsp;%</span><br>"
            f"labelled {inline(material.class_name(material.labels[at]), longest=30)}",
        )
        for at in worst
    ]
    count = f"{len(wrong):,} of {len(material.labels):,} judged rows are answered wrong"
    return section(
        "Most confident mistakes",
        f'<p class="soft small">{count}; the surest first.</p>',
        _gallery(items),
    )


def doubtful_labels(material: Material) -> str:
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
        _gallery(
            [_item(material, each.row, _doubt(each)) for each in found.listed[:_MOST_DOUBTFUL]]
        ),
    )


def _doubt(doubt: LabelDoubt) -> str:
    side = "" if doubt.trained else " · judged"
    return (
        f"labelled {inline(doubt.label, longest=30)} ({percent(doubt.self_confidence)}&nbsp;%)<br>"
        f'looks like <span class="wrong">{inline(doubt.suggested, longest=30)}</span> '
        f"({percent(doubt.probability)}&nbsp;%){side}"
    )


def _item(material: Material, row: int, caption: str) -> str:
    picture = material.picture(row)
    shown = f'<img src="{picture}" alt="">' if picture else '<span class="blank">no picture</span>'
    name = inline(material.ids.text(row), longest=48)
    return f'<li>{shown}{caption}<br><span class="id">{name}</span></li>'


def _gallery(items: list[str]) -> str:
    return '<ul class="gallery">\n' + "\n".join(items) + "\n</ul>"


def data(material: Material) -> str:
    """Where the rows went: duplicates, conflicts, crossings, rejects."""
    report = material.report
    rows, near = report.rows, report.near_duplicates
    counts = [
        ("rows in the cache", rows.total),
        ("fitted", rows.train),
        ("judged", rows.judged),
        ("without a label", rows.unlabelled),
        ("left out as duplicates", rows.duplicates),
        ("left out, same image under different labels", rows.conflicting),
        ("images on both sides of the source's split", report.crossing_count),
        ("near duplicates across sides", near.count if near else 0),
        ("inputs rejected, without a row", len(material.rejects)),
    ]
    parts = [table(["rows", "number"], ([text(n), f"{c:,}"] for n, c in counts), "<>")]
    parts += [_list("Notes", [text(note) for note in report.notes])]
    parts += [
        _list(
            "Same image, different labels",
            [
                ", ".join(
                    f"<code>{inline(name)}</code> as {inline(label)}"
                    for name, label in zip(conflict.ids, conflict.labels, strict=True)
                )
                for conflict in report.conflicts
            ],
        ),
        _list(
            "On both sides",
            [
                f"<code>{inline(crossing.train)}</code>, which left training, is "
                f"<code>{inline(crossing.test)}</code>"
                for crossing in report.crossings
            ],
            report.crossing_count,
        ),
        _near(report.near_duplicates),
        _list("Rejected", _rejects(material), len(material.rejects)),
    ]
    return section("Data", *parts)


def _near(found: NearDuplicates | None) -> str:
    if found is None or not found.count:
        return ""
    return _list(
        "Nearly the same picture, fitted and judged",
        [
            f"<code>{inline(pair.first)}</code> and <code>{inline(pair.second)}</code>, cosine "
            f"{pair.cosine:.3f}" + ("" if pair.difference is not None else ", not confirmed")
            for pair in found.pairs
        ],
        found.count,
    )


def _rejects(material: Material) -> list[str]:
    # The most frequent reason first: a page of one broken download hides the rest.
    frequency = Counter(reject.reason for reject in material.rejects)
    ordered = sorted(material.rejects, key=lambda reject: (-frequency[reject.reason], reject.id))
    return [
        f"<code>{inline(os.fsdecode(reject.id))}</code>: {text(reject.reason.label)}, "
        f"{inline(reject.detail)}"
        for reject in ordered
    ]


def _list(title: str, items: list[str], count: int | None = None) -> str:
    if not items:
        return ""
    lines = [f"<li>{item}</li>" for item in items[:_MOST_LISTED]]
    more = (len(items) if count is None else count) - len(lines)
    if more > 0:
        lines.append(f'<li class="soft">and {more:,} more</li>')
    return f'<h3>{text(title)}</h3>\n<ul class="plain small">\n' + "\n".join(lines) + "\n</ul>"
