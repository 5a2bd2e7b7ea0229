"""`report_text`: the report on a fit as plain text, whatever its labels are."""

from __future__ import annotations

from embedcache.evaluation.evaluate import Score
from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.heads.report import FitReport
from embedcache.reports.fit_text import fit_text, headline
from embedcache.reports.multilabel_text import multilabel_headline, multilabel_text

__all__ = ["headline_text", "report_text"]


def headline_text(report: FitReport | MultilabelReport, tuned: Score | None = None) -> list[str]:
    """The score that counts, its interval and baseline, and how it was judged.

    Args:
        report: Of a fit.
        tuned: Accuracy of the fine-tuned model, where that is what counts.
    """
    if isinstance(report, MultilabelReport):
        return multilabel_headline(report)
    return headline(report, tuned)


def report_text(report: FitReport | MultilabelReport, width: int = 80) -> str:
    """The report for people.

    Args:
        report: What was fitted and how good it is.
        width: Cells in a line.
    """
    if isinstance(report, MultilabelReport):
        return multilabel_text(report, width)
    return fit_text(report, width)
