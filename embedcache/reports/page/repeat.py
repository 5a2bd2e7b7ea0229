"""The page's part on how to repeat a run: commands, identities, versions."""

from __future__ import annotations

from embedcache.heads.run_report import RunReport
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import section, table, text

__all__ = ["repeat"]


def repeat(material: Material[RunReport]) -> str:
    """The commands, and all that the numbers depend on."""
    report = material.report
    facts = [
        *_sources(report),
        ("seed", text(report.seed)),
        ("solver", _solver(report)),
        ("versions", ", ".join(f"{text(n)} {text(v)}" for n, v in material.versions.items())),
    ]
    commands = "\n".join(text(command) for command in material.commands)
    return section(
        "To repeat it",
        f"<pre>{commands}</pre>",
        table(["", ""], ([name, value] for name, value in facts)),
    )


def _sources(report: RunReport) -> list[tuple[str, str]]:
    """Identity and content; with the backbone's name where there are several."""
    facts = []
    for source in report.sources:
        of = f" of {text(source.backbone)}" if len(report.sources) > 1 else ""
        facts += [
            (f"backbone's identity{of}", f"<code>{source.identity.digest}</code>"),
            (f"content of the cache{of}", f"<code>{text(source.content_digest)}</code>"),
        ]
    return facts


def _solver(report: RunReport) -> str:
    state = "converged" if report.converged else "not converged"
    return f"{state} after {report.iterations:,} iterations"
