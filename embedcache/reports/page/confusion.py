"""The confusion matrix as a heat table, or its worst pairs where classes are many."""

from __future__ import annotations

from embedcache.evaluation.evaluate import Evaluation
from embedcache.reports.page.parts import inline, percent, section, table, text

__all__ = ["confusion"]

_MOST_CLASSES = 20
_WORST_PAIRS = 20
_DEEP = 0.55  # from here on white text is legible on the cell in light and in dark


def confusion(evaluation: Evaluation) -> str:
    """Which classes are taken for which."""
    if len(evaluation.classes) <= _MOST_CLASSES:
        return section("Confusion", _matrix(evaluation))
    pairs = sorted(
        (cell for cell in evaluation.confusion if cell[0] != cell[1]), key=lambda c: (-c[2], c)
    )
    rows = [
        [
            inline(evaluation.classes[true].name),
            inline(evaluation.classes[guess].name),
            f"{count:,}",
            percent(count / evaluation.classes[true].rows),
        ]
        for true, guess, count in pairs[:_WORST_PAIRS]
    ]
    if not rows:
        return section("Confusion", "<p>No judged row was taken for another class.</p>")
    title = f"Confusion: the {len(rows)} most frequent pairs"
    return section(title, table(["is", "answered", "rows", "% of class"], rows, "<<>>"))


def _matrix(evaluation: Evaluation) -> str:
    counts = {(true, guess): count for true, guess, count in evaluation.confusion}
    names = [score.name for score in evaluation.classes]
    tall = ' class="tall"' if len(names) > 4 else ""
    heads = "".join(
        f'<th scope="col"{tall}><span>{inline(n, longest=24)}</span></th>' for n in names
    )
    lines = [
        '<div class="wide"><table class="matrix">',
        f'<thead><tr><th class="soft corner">is ↓ answered →</th>{heads}</tr></thead><tbody>',
    ]
    for true, score in enumerate(evaluation.classes):
        cells = "".join(
            _cell(counts.get((true, guess), 0), score.rows, names[true], names[guess])
            for guess in range(len(names))
        )
        name = inline(names[true], longest=24)
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    lines.append("</tbody></table></div>")
    lines.append(
        '<p class="soft small">Judged rows; the colour is the share of the true class.</p>'
    )
    return "\n".join(lines)


def _cell(count: int, rows: int, true: str, guess: str) -> str:
    if not count:
        return '<td class="none">·</td>'
    share = count / rows
    kind = "hit" if true == guess else "miss"
    deep = " deep" if share >= _DEEP else ""
    title = f"{text(true)} answered as {text(guess)}: {percent(share)} % of {rows:,}"
    # Never fainter than what an eye tells from nothing.
    style = f"--share:{max(0.08, share):.2f}"
    return f'<td class="{kind}{deep}" style="{style}" title="{title}">{count:,}</td>'
