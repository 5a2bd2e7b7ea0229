"""`class_weight_words`: how much rows of each class counted, in one sentence."""

from __future__ import annotations

from embedcache.heads.report import FitReport
from embedcache.reports.columns import shorten
from embedcache.reports.escape import printable

__all__ = ["class_weight_words"]

_MOST = 6
_NAME = 30


def class_weight_words(report: FitReport) -> str:
    """The weights and what they do to probabilities; empty where all rows counted the same."""
    record = report.class_weight
    if record is None:
        return ""
    named = [
        f"'{shorten(printable(each.name), _NAME)}' {weight:.3g}"
        for each, weight in zip(report.classes, record.weights, strict=False)
    ]
    if len(named) > _MOST:
        order = sorted(range(len(record.weights)), key=lambda at: record.weights[at])
        named = [f"from {named[order[0]]} to {named[order[-1]]}"]
    return (
        f"class weights, {record.rule}: {', '.join(named)}; probabilities are those of classes "
        "as frequent as their weights make them"
    )
