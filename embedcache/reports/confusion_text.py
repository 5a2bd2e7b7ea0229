"""`confusion_lines`: which classes are taken for which, as a matrix or as the worst pairs.

K is the number of classes.
"""

from __future__ import annotations

from rich.cells import cell_len

from embedcache.evaluation.evaluate import Evaluation
from embedcache.reports.columns import columns, shorten
from embedcache.reports.escape import printable

__all__ = ["confusion_lines"]

_MOST_CLASSES = 20
_PAIRS = 10


def confusion_lines(evaluation: Evaluation, width: int) -> list[str]:
    """The matrix where K ≤ 20 and it fits into `width` cells, else the commonest mistakes."""
    k = len(evaluation.classes)
    if k <= _MOST_CLASSES:
        lines = _matrix(evaluation, k)
        if max(map(cell_len, lines)) <= width:
            return lines
    return _worst_pairs(evaluation, width)


def _matrix(evaluation: Evaluation, k: int) -> list[str]:
    counts = [[0] * k for _ in range(k)]
    for true, predicted, rows in evaluation.confusion:
        counts[true][predicted] = rows
    table = [["true \\ predicted", "", *(str(which + 1) for which in range(k))]]
    for which, score in enumerate(evaluation.classes):
        cells = [str(count) if count else "·" for count in counts[which]]
        table.append([shorten(printable(score.name), 20), str(which + 1), *cells])
    return columns(table, "<>" + ">" * k, gap=1)


def _worst_pairs(evaluation: Evaluation, width: int) -> list[str]:
    mistakes = [cell for cell in evaluation.confusion if cell[0] != cell[1]]
    if not mistakes:
        return []
    mistakes.sort(key=lambda cell: (-cell[2], cell))
    side = max(8, (width - 20) // 2)
    table = [["rows", "true", "predicted"]]
    table += [
        [
            str(rows),
            shorten(printable(evaluation.classes[true].name), side),
            shorten(printable(evaluation.classes[predicted].name), side),
        ]
        for true, predicted, rows in mistakes[:_PAIRS]
    ]
    return ["the commonest mistakes", *columns(table, "><<")]
