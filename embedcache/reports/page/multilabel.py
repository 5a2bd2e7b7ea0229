"""`multilabel_page`: the report on a fit to rows of any number of labels as one HTML file."""

from __future__ import annotations

from embedcache.evaluation.calibration import label_reliability
from embedcache.evaluation.evaluate import Score
from embedcache.evaluation.multilabel import THRESHOLD, LabelScore
from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.reports.multilabel_text import lowest_first
from embedcache.reports.page.charts import reliability_diagram, strip
from embedcache.reports.page.document import document
from embedcache.reports.page.label_evidence import doubtful_marks, wrong_labels
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import bounds, inline, percent, section, table, text
from embedcache.reports.page.repeat import repeat
from embedcache.reports.page.rows import data
from embedcache.reports.page.scores import (
    bar_cell,
    choice,
    judged_by,
    leaderboard,
    score_cell,
    score_section,
)

__all__ = ["multilabel_page"]

_MOST_LABELS = 50
_SHOWN = ("average precision", "AUROC", "F1", "recall", "precision")


def multilabel_page(material: Material[MultilabelReport]) -> bytes:
    """The report, UTF-8."""
    report = material.report
    subtitle = f"{report.backbone}, {report.dim:,} features, {len(report.labels):,} labels"
    pair = f'<div class="pair">\n{choice(report)}\n{_calibration(material)}\n</div>'
    parts = [
        _headline(report),
        _scores(report),
        _labels(report),
        leaderboard(report, "labels right"),
        pair,
        wrong_labels(material),
        doubtful_marks(material),
        data(material),
        repeat(material),
    ]
    return document(f"{report.model} on {report.dataset}", subtitle, parts)


def _headline(report: MultilabelReport) -> str:
    """Mean average precision with its interval, beside what the labels' shares alone give."""
    evaluation = report.evaluation
    score = evaluation.score("mAP")
    kind = "rows out of fold" if report.split.folds else "test rows"
    drawn = (
        ""
        if score.value is None
        else strip(score.value, score.interval, score.baseline, "mAP", "baseline")
    )
    others = ", ".join(
        f"{name} {score_cell(each, each.value)} {bounds(each.interval)}"
        for name in ("macro-F1", "micro-F1")
        for each in [evaluation.score(name)]
    )
    return (
        f'<section>\n<p class="big">{percent(score.value)} % '
        f"<small>{bounds(score.interval)} mAP</small></p>\n{drawn}\n"
        f"<p>Mean over labels of the average precision, on {evaluation.rows:,} {kind}, with a "
        f"95 % interval; {others}.</p>\n"
        f'<p class="soft small">The baseline, {percent(score.baseline)}&nbsp;%, gives every row '
        "the labels' shares of the training rows. Judged: "
        f"{text(report.split.reason)}. {judged_by(report)}</p>\n</section>"
    )


def _scores(report: MultilabelReport) -> str:
    about = (
        '<p class="soft small">Exact match: every label of a row is right. F1 is of the labels '
        f"answered, those with a probability above {THRESHOLD:g}; log-loss is the mean over rows "
        "and labels.</p>"
    )
    return score_section(report.evaluation, "baseline", about)


def _labels(report: MultilabelReport) -> str:
    """Scores of each label as bars with intervals."""
    shown = lowest_first(report.evaluation, _MOST_LABELS)
    count = len(report.evaluation.labels)
    title = "Labels"
    if len(shown) < count:
        title = f"Labels: the {len(shown)} of lowest average precision, of {count:,}"
    head = ["label", "rows", "AP", "AUROC", "F1", "recall", "precision", "have it, %"]
    return section(title, table(head, map(_label_row, shown), "<>", kind="classes labels"))


def _label_row(label: LabelScore) -> list[str]:
    scores: list[Score] = [label.score(name) for name in _SHOWN]
    return [
        f'<div class="name">{inline(label.name)}</div>',
        f"{label.rows:,}",
        *(bar_cell(score.value, score.interval) for score in scores),
        bar_cell(label.prevalence, label.prevalence_interval),
    ]


def _calibration(material: Material[MultilabelReport]) -> str:
    found = label_reliability(material.labels == 1, material.probabilities, material.group)
    temperatures = [each.temperature for each in material.report.labels]
    least, most = min(temperatures), max(temperatures)
    divided = (
        f'<p class="soft small">Each label\'s scores are divided by a temperature of its own, '
        f"{least:.3g} to {most:.3g}: of the least log-loss of training rows out of fold.</p>"
        if (least, most) != (1.0, 1.0)
        else ""
    )
    return section(
        "Can its probabilities be believed?",
        f"<p>Expected calibration error {percent(found.ece)} points, over all rows and labels.</p>",
        reliability_diagram(found, "probability of a label"),
        '<p class="soft small">Each dot: the judged rows and labels of one range of probability '
        "(larger: more of them), and how often the row has the label, with a 95 % interval. On the "
        "dashed line the probabilities are right.</p>",
        divided,
    )
