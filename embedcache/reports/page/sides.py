"""`sides`: which rows changed sides, as pictures: those that a change has fixed and broken.

T is the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from embedcache.finetuning.gate_rows import GateRows
from embedcache.reports.page.parts import inline, percent, section, table

__all__ = ["sides"]

_MOST = 24


def sides(
    rows: GateRows,
    names: Sequence[str],
    ids: Sequence[str],
    picture: Callable[[int], str | None],
) -> str:
    """A table of the four kinds of rows, and two galleries.

    Args:
        rows: Their labels and answers.
        names: Of the classes.
        ids: Of the T rows.
        picture: Of one of them as a data URI; None where it is not there any more.
    """
    was, now = rows.before == rows.label, rows.after == rows.label
    counts = [
        ["right before", f"{(was & now).sum():,}", f"{(was & ~now).sum():,}"],
        ["wrong before", f"{(~was & now).sum():,}", f"{(~was & ~now).sum():,}"],
    ]
    moved = int(((rows.before != rows.after) & ~was & ~now).sum())
    also = f"<p>{moved:,} more went from one wrong answer to another.</p>" if moved else ""

    def gallery(chosen: np.ndarray) -> str:
        return (
            '<ul class="gallery">\n'
            + "\n".join(_item(rows, int(at), names, ids, picture) for at in chosen[:_MOST])
            + "\n</ul>"
        )

    parts = [
        section(
            "The same rows, before and after",
            table(["", "right after", "wrong after"], counts, "<>>"),
            also,
        )
    ]
    for title, chosen in (("Fixed", rows.fixed), ("Broken", rows.broken)):
        if len(chosen):
            shown = f"the surest {_MOST} of them" if len(chosen) > _MOST else "the surest first"
            parts.append(
                section(
                    f"{title}: {len(chosen):,}",
                    f'<p class="soft small">{shown.capitalize()}.</p>',
                    gallery(chosen),
                )
            )
        else:
            parts.append(section(title, "<p>No row.</p>"))
    return "\n".join(parts)


def _item(
    rows: GateRows,
    at: int,
    names: Sequence[str],
    ids: Sequence[str],
    picture: Callable[[int], str | None],
) -> str:
    found = picture(at)
    image = f'<img src="{found}" alt="">' if found else '<span class="blank">no picture</span>'
    before, after = (
        _answer(names, code, rows.label[at]) for code in (rows.before[at], rows.after[at])
    )
    return (
        f"<li>{image}{before} → {after} {percent(float(rows.sure[at]))}&nbsp;%<br>"
        f'<span class="id">{inline(ids[at], longest=48)}</span></li>'
    )


def _answer(names: Sequence[str], code: int, label: int) -> str:
    shown = inline(names[code], longest=24)
    return shown if code == label else f'<span class="wrong">{shown}</span>'
