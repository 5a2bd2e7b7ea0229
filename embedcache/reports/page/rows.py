"""The page's lists of rows: where they went, what was left out, duplicates, rejects."""

from __future__ import annotations

import os
from collections import Counter

from embedcache.heads.row_records import NearDuplicates
from embedcache.heads.run_report import RunReport
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import inline, section, table, text

__all__ = ["data"]

_MOST_LISTED = 10


def data(material: Material[RunReport]) -> str:
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


def _rejects(material: Material[RunReport]) -> list[str]:
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
