"""`page`: the report on a fit as one HTML file."""

from __future__ import annotations

from embedcache.heads.report import FitReport
from embedcache.reports.page import evidence, scores, shots, trust
from embedcache.reports.page.confusion import confusion
from embedcache.reports.page.document import document
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import section, table, text

__all__ = ["page"]

_NARROW = 6
"""A confusion matrix of more classes gets the page's whole width."""


def page(material: Material) -> bytes:
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
        evidence.data(material),
        _repeat(material),
    ]
    return document(title, subtitle, parts)


def _beside(left: str, matrix: str, classes: int) -> tuple[str, ...]:
    return (_pair(left, matrix),) if classes <= _NARROW else (left, matrix)


def _pair(*sections: str) -> str:
    return '<div class="pair">\n' + "\n".join(part for part in sections if part) + "\n</div>"


def _repeat(material: Material) -> str:
    report = material.report
    facts = [
        *_sources(report),
        ("seed", text(report.seed)),
        ("solver", _solver(material)),
        ("versions", ", ".join(f"{text(n)} {text(v)}" for n, v in material.versions.items())),
    ]
    commands = "\n".join(text(command) for command in material.commands)
    return section(
        "To repeat it",
        f"<pre>{commands}</pre>",
        table(["", ""], ([name, value] for name, value in facts)),
    )


def _sources(report: FitReport) -> list[tuple[str, str]]:
    """Identity and content; with the backbone's name where there are several."""
    facts = []
    for source in report.sources:
        of = f" of {text(source.backbone)}" if len(report.sources) > 1 else ""
        facts += [
            (f"backbone's identity{of}", f"<code>{source.identity.digest}</code>"),
            (f"content of the cache{of}", f"<code>{text(source.content_digest)}</code>"),
        ]
    return facts


def _solver(material: Material) -> str:
    report = material.report
    state = "converged" if report.converged else "not converged"
    return f"{state} after {report.iterations:,} iterations"
