"""`page`: the report on a fit as one HTML file."""

from __future__ import annotations

from embedcache.heads.report import FitReport
from embedcache.reports.page import evidence, scores, shots, trust
from embedcache.reports.page.confusion import confusion
from embedcache.reports.page.document import document
from embedcache.reports.page.material import Material
from embedcache.reports.page.repeat import repeat
from embedcache.reports.page.rows import data

__all__ = ["page"]

_NARROW = 6
"""A confusion matrix of more classes gets the page's whole width."""


def page(material: Material[FitReport]) -> bytes:
    """The report, UTF-8."""
    report = material.report
    title = f"{report.model} on {report.dataset}"
    subtitle = f"{report.backbone}, {report.dim:,} features, {len(report.classes):,} classes"
    parts = [
        scores.headline(report),
        *_beside(scores.scores(report), confusion(report.evaluation), len(report.classes)),
        scores.classes(report),
        scores.leaderboard(report),
        _pair(scores.choice(report), trust.calibration(material)),
        trust.abstention(report),
        shots.few_shot(report),
        evidence.mistakes(material),
        evidence.doubtful_labels(material),
        data(material),
        repeat(material),
    ]
    return document(title, subtitle, parts)


def _beside(left: str, matrix: str, classes: int) -> tuple[str, ...]:
    return (_pair(left, matrix),) if classes <= _NARROW else (left, matrix)


def _pair(*sections: str) -> str:
    return '<div class="pair">\n' + "\n".join(part for part in sections if part) + "\n</div>"
