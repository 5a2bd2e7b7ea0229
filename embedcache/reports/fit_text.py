"""`fit_text`: the report on a fit as plain text, headline first."""

from __future__ import annotations

import textwrap

from embedcache.evaluation.evaluate import ClassScore, Evaluation, Score
from embedcache.heads.report import FitReport
from embedcache.reports.columns import columns, shorten
from embedcache.reports.confusion_text import confusion_lines
from embedcache.reports.escape import printable
from embedcache.reports.label_doubts import doubt_lines
from embedcache.reports.rows_text import row_lines
from embedcache.reports.score_text import bounds_text, interval_text, score_lines, value_text
from embedcache.reports.selection_text import curve_lines, how_lines, leaderboard_lines
from embedcache.reports.shots_text import shots_lines
from embedcache.reports.trust_text import trust_lines

__all__ = ["fit_text", "headline"]

_MOST_CLASSES = 20


def fit_text(report: FitReport, width: int = 80, *, run: str | None = None) -> str:
    """The report for people.

    Args:
        report: What was fitted and how good it is.
        width: Cells in a line.
        run: Name or path of the run, for the next command.
    """
    title = f"{report.model} on {report.dataset} with {report.backbone}, {report.dim} features"
    sections = [
        _wrapped(printable(title), width),
        headline(report),
        _scores(report.evaluation),
        _classes(report.evaluation, width),
        confusion_lines(report.evaluation, width),
        trust_lines(report.calibration, report.abstention, width),
        how_lines(report, width),
        leaderboard_lines(report.leaderboard, width),
        curve_lines(report.selection),
        shots_lines(report, width),
        doubt_lines(report, width),
        row_lines(report, report.evaluation.notes, width),
        [f"next: embedcache predict {printable(run)} IMAGES"] if run else [],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent)


def headline(report: FitReport, tuned: Score | None = None) -> list[str]:
    """Accuracy and its interval, the majority baseline, and how it was judged.

    Args:
        report: Of the head on frozen features.
        tuned: Accuracy of what was fine-tuned from there and is better, on the same rows.
    """
    evaluation = report.evaluation
    accuracy = evaluation.score("accuracy")
    rows = "rows out of fold" if report.split.folds else "test rows"
    baseline = value_text(accuracy, accuracy.baseline)
    majority = shorten(printable(evaluation.majority), 40)
    best = tuned or accuracy
    where = f"(95 %, {evaluation.rows:,} {rows})"
    lines = [f"accuracy {value_text(best, best.value)} {interval_text(best)} {where}"]
    if tuned is not None:
        lines.append(f"frozen   {value_text(accuracy, accuracy.value)} {interval_text(accuracy)}")
    lines.append(f"majority {baseline}, always '{majority}'")
    if report.split.folds:
        lines.append(
            f"judged by {report.split.folds} heads on rows they had not seen; "
            "this head is fitted on all rows"
        )
    return lines


def _scores(evaluation: Evaluation) -> list[str]:
    others = (score for score in evaluation.scores if score.name != "accuracy")
    lines = score_lines(others, "majority")
    if evaluation.positive is not None:
        name = shorten(printable(evaluation.positive), 40)
        lines.append(f"AUROC and average precision: of '{name}' against the rest")
    return lines


def _classes(evaluation: Evaluation, width: int) -> list[str]:
    shown = list(evaluation.classes)
    title = "per class, %"
    if len(shown) > _MOST_CLASSES:
        judged = [score for score in shown if score.recall is not None]
        shown = sorted(judged, key=lambda score: (score.recall or 0.0, score.name))[:_MOST_CLASSES]
        title = f"the {len(shown)} classes of lowest recall, of {len(evaluation.classes)}, %"
    table = [["class", "rows", "recall", "", "precision", "", "F1", ""]]
    table += [_class_cells(score, max(12, width - 68)) for score in shown]
    return [title, *columns(table, "<>><><><", gap=1)]


def _class_cells(score: ClassScore, width: int) -> list[str]:
    cells = [shorten(printable(score.name), width), str(score.rows)]
    for value, interval in (
        (score.recall, score.recall_interval),
        (score.precision, score.precision_interval),
        (score.f1, score.f1_interval),
    ):
        cells.append("–" if value is None else f"{100 * value:.1f}")
        cells.append("" if value is None else bounds_text(interval))
    return cells
