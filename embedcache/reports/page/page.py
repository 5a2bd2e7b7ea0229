"""`page`: the report as one HTML file that needs no script, no network and no other file."""

from __future__ import annotations

from embedcache.heads.report import FitReport
from embedcache.reports.page import evidence, scores, trust
from embedcache.reports.page.confusion import confusion
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import section, table, text
from embedcache.reports.page.style import STYLE

__all__ = ["page"]

# The file comes from other people's names and labels: were one of them not escaped, a browser
# would still load and run nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


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
        evidence.mistakes(material),
        evidence.doubtful_labels(material),
        evidence.data(material),
        _repeat(material),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{text(title)}</h1>\n<p class="soft">{text(subtitle)}</p>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    ).encode()


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
