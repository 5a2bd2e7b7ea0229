"""`multilabel_text`: the report on a fit to rows of any number of labels, headline first."""

from __future__ import annotations

import textwrap

from embedcache.evaluation.evaluate import Score
from embedcache.evaluation.multilabel import THRESHOLD, LabelScore, MultilabelEvaluation
from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.reports.columns import columns, shorten
from embedcache.reports.escape import printable
from embedcache.reports.label_doubts import mark_doubt_lines
from embedcache.reports.rows_text import row_lines
from embedcache.reports.score_text import bounds_text, interval_text, score_lines, value_text
from embedcache.reports.selection_text import curve_lines, how_lines, leaderboard_lines

__all__ = ["lowest_first", "multilabel_headline", "multilabel_text"]

_MOST_LABELS = 20


def multilabel_text(report: MultilabelReport, width: int = 80) -> str:
    """The report for people.

    Args:
        report: What was fitted and how good it is.
        width: Cells in a line.
    """
    title = (
        f"{report.model} on {report.dataset} with {report.backbone}, {report.dim} features, "
        f"{len(report.labels)} labels"
    )
    right = "labels right"
    sections = [
        textwrap.wrap(printable(title), width, subsequent_indent="  "),
        multilabel_headline(report, width),
        score_lines(
            (score for score in report.evaluation.scores if score.name != "mAP"), "baseline"
        ),
        _labels(report.evaluation, width),
        _trust(report, width),
        how_lines(report, width),
        leaderboard_lines(report.leaderboard, width, right),
        curve_lines(report.selection, right),
        mark_doubt_lines(report, width),
        row_lines(report, report.evaluation.notes, width),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def lowest_first(evaluation: MultilabelEvaluation, most: int) -> tuple[LabelScore, ...]:
    """The labels, or those of lowest average precision where there are more than `most`."""
    if len(evaluation.labels) <= most:
        return evaluation.labels
    ranked = [each for each in evaluation.labels if _precision(each).value is not None]
    return tuple(sorted(ranked, key=lambda each: (_precision(each).value, each.name))[:most])


def _precision(label: LabelScore) -> Score:
    return label.score("average precision")


def multilabel_headline(report: MultilabelReport, width: int = 80) -> list[str]:
    """Mean average precision, its interval, what the baseline gets, and how it was judged."""
    evaluation, split = report.evaluation, report.split
    score = evaluation.score("mAP")
    rows = "rows out of fold" if split.folds else "test rows"
    value, baseline = value_text(score, score.value), value_text(score, score.baseline)
    lines = [
        f"mAP {value} {interval_text(score)} (95 %, {evaluation.rows:,} {rows})",
        f"baseline {baseline}: every row gets the labels' shares of the training rows",
    ]
    if split.folds:
        lines += textwrap.wrap(
            f"judged by {split.folds} heads on rows they had not seen; this head is fitted on "
            "all rows",
            width,
        )
    return lines


def _labels(evaluation: MultilabelEvaluation, width: int) -> list[str]:
    shown = lowest_first(evaluation, _MOST_LABELS)
    count = len(evaluation.labels)
    title = "per label, %"
    if len(shown) < count:
        title = f"the {len(shown)} labels of lowest average precision, of {count}, %"
    names = [shorten(printable(each.name), max(12, width - 68)) for each in shown]
    table = [["label", "rows", "have it", "", "AP", "", "AUROC", ""]]
    table += [
        [
            name,
            str(each.rows),
            f"{100 * each.prevalence:.1f}",
            bounds_text(each.prevalence_interval),
            *_cells(each.score("average precision")),
            *_cells(each.score("AUROC")),
        ]
        for name, each in zip(names, shown, strict=True)
    ]
    answers = [["label", "given", "F1", "", "recall", "", "precision", ""]]
    answers += [
        [
            name,
            str(each.predicted),
            *(cell for kind in ("F1", "recall", "precision") for cell in _cells(each.score(kind))),
        ]
        for name, each in zip(names, shown, strict=True)
    ]
    aligned = "<>><><><"
    return [
        title,
        *columns(table, aligned, gap=1),
        f"and given to the rows whose probability is above {THRESHOLD:g}:",
        *columns(answers, "<>><><><", gap=1),
    ]


def _cells(score: Score) -> list[str]:
    if score.value is None:
        return ["–", ""]
    return [f"{100 * score.value:.1f}", bounds_text(score.interval)]


def _trust(report: MultilabelReport, width: int) -> list[str]:
    text = f"calibration: ECE {100 * report.ece:.1f} points over all rows and labels"
    temperatures = [each.temperature for each in report.labels]
    if set(temperatures) != {1.0}:
        text += (
            f"; each label's scores over a temperature of its own, {min(temperatures):.3g} to "
            f"{max(temperatures):.3g}, from training rows out of fold"
        )
    return textwrap.wrap(text, width, subsequent_indent="  ")
