"""`fit_text`: the report on a fit as plain text, headline first."""

from __future__ import annotations

import textwrap

from embedcache.evaluation.evaluate import ClassScore, Evaluation, Score
from embedcache.evaluation.intervals import Interval
from embedcache.heads.report import FitReport
from embedcache.reports.columns import columns, shorten
from embedcache.reports.confusion_text import confusion_lines
from embedcache.reports.escape import printable
from embedcache.reports.label_doubts import doubt_lines
from embedcache.reports.near_text import near_lines
from embedcache.reports.selection_text import curve_lines, how_lines, leaderboard_lines
from embedcache.reports.shots_text import shots_lines
from embedcache.reports.trust_text import trust_lines

__all__ = ["fit_text", "headline"]

_PERCENT = {"accuracy", "balanced accuracy", "macro-F1"}
_MOST_CLASSES = 20
_MOST_LISTED = 5


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
        _data(report, width),
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
    baseline = _value(accuracy, accuracy.baseline)
    majority = shorten(printable(evaluation.majority), 40)
    best = tuned or accuracy
    where = f"(95 %, {evaluation.rows:,} {rows})"
    lines = [f"accuracy {_value(best, best.value)} {_interval(best)} {where}"]
    if tuned is not None:
        lines.append(f"frozen   {_value(accuracy, accuracy.value)} {_interval(accuracy)}")
    lines.append(f"majority {baseline}, always '{majority}'")
    if report.split.folds:
        lines.append(
            f"judged by {report.split.folds} heads on rows they had not seen; "
            "this head is fitted on all rows"
        )
    return lines


def _scores(evaluation: Evaluation) -> list[str]:
    table = [["score", "value", "95 % interval", "majority"]]
    table += [
        [score.name, _value(score, score.value), _interval(score), _value(score, score.baseline)]
        for score in evaluation.scores
        if score.name != "accuracy"
    ]
    lines = columns(table, "<><>")
    if evaluation.positive is not None:
        name = shorten(printable(evaluation.positive), 40)
        lines.append(f"AUROC and average precision: of '{name}' against the rest")
    return lines


def _value(score: Score, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if score.name in _PERCENT else f"{value:.3f}"


def _interval(score: Score) -> str:
    return _bounds(score.interval, percent=score.name in _PERCENT)


def _bounds(interval: Interval | None, *, percent: bool) -> str:
    if interval is None:
        return "[–]"
    low, high = interval.low, interval.high
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if percent else f"[{low:.3f}, {high:.3f}]"


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
        cells.append("" if value is None else _bounds(interval, percent=True))
    return cells


def _data(report: FitReport, width: int) -> list[str]:
    rows = report.rows
    parts = [
        f"{count} {what}"
        for count, what in (
            (rows.unlabelled, "unlabelled"),
            (rows.duplicates, "duplicates"),
            (rows.conflicting, "with conflicting labels"),
        )
        if count
    ]
    left_out = ", ".join(parts) if parts else "none"
    lines = _wrapped(f"rows left out, of {rows.total:,}: {left_out}", width)
    for conflict in report.conflicts[:_MOST_LISTED]:
        pairs = ", ".join(
            f"{printable(name)} as {printable(label)}"
            for name, label in zip(conflict.ids, conflict.labels, strict=True)
        )
        lines += _wrapped(f"conflict: {pairs}", width)
    for crossing in report.crossings[:_MOST_LISTED]:
        same = f"{printable(crossing.train)} (left training) = {printable(crossing.test)}"
        lines += _wrapped(f"on both sides: {same}", width)
    more = report.crossing_count - _MOST_LISTED
    if more > 0:
        lines.append(f"and {more} more on both sides: see report.json")
    lines += near_lines(report.near_duplicates, width)
    for note in (*report.notes, *report.evaluation.notes):
        lines += _wrapped(f"note: {printable(note)}", width)
    return lines
