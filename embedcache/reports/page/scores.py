"""The page's numbers: the headline, all scores, the classes, how the setting was chosen."""

from __future__ import annotations

from collections import Counter

from embedcache.evaluation.evaluate import ClassScore, Evaluation, Score
from embedcache.evaluation.intervals import Interval
from embedcache.evaluation.multilabel import MultilabelEvaluation
from embedcache.heads.report import FitReport
from embedcache.heads.run_report import RunReport
from embedcache.reports.class_weight_text import class_weight_words
from embedcache.reports.page.charts import bar, curve, strip
from embedcache.reports.page.parts import bounds, inline, percent, section, table, text
from embedcache.reports.score_text import is_share
from embedcache.reports.selection_text import nearness

__all__ = [
    "bar_cell",
    "choice",
    "classes",
    "headline",
    "judged_by",
    "leaderboard",
    "score_cell",
    "score_section",
    "scores",
]

_LOSS_NAMES = {
    "log_loss": "log-loss",
    "accuracy": "error",
    "balanced_accuracy": "balanced error",
}
_MOST_CLASSES = 50
_WHISKERS = (
    '<p class="soft small">Out-of-fold {loss} of {rows:,} training rows; whiskers: one standard '
    "error of the paired distance to the best.</p>"
)


def headline(report: FitReport) -> str:
    """Accuracy with its interval, beside the majority baseline."""
    evaluation, accuracy = report.evaluation, report.evaluation.score("accuracy")
    kind = "rows out of fold" if report.split.folds else "test rows"
    value = accuracy.value or 0.0
    return (
        f'<section>\n<p class="big">{percent(value)} % '
        f"<small>{bounds(accuracy.interval)} accuracy</small></p>\n"
        f"{strip(value, accuracy.interval, accuracy.baseline)}\n"
        f"<p>On {evaluation.rows:,} {kind}, with a 95 % interval. Always answering "
        f"“{inline(evaluation.majority)}” is right in {percent(accuracy.baseline)}&nbsp;%.</p>\n"
        f'<p class="soft small">Judged: {text(report.split.reason)}. {judged_by(report)}</p>\n'
        "</section>"
    )


def judged_by(report: RunReport) -> str:
    """Whose score it is, and how many were judged on the same rows."""
    if report.split.folds:
        return (
            f"The score is of {report.split.folds} heads, each on rows that it had not seen; "
            "the head that is kept is fitted on all rows."
        )
    number = report.split.test_openings
    if number == 1:
        return "The first head of its runs folder that is judged on these test rows."
    return (
        f"Head number {number} that is judged on these test rows: the best of {number} looks "
        "better than it is."
    )


def scores(report: FitReport) -> str:
    """Every score with its interval and the same score of the majority baseline."""
    positive = report.evaluation.positive
    note = (
        f'<p class="soft small">AUROC and average precision: of “{inline(positive)}” '
        "against the rest.</p>"
        if positive is not None
        else ""
    )
    return score_section(report.evaluation, "majority", note)


def score_section(evaluation: Evaluation | MultilabelEvaluation, baseline: str, about: str) -> str:
    """Every score with its interval, beside what a baseline of that name gets.

    Args:
        evaluation: The scores, and notes on them.
        baseline: Its name.
        about: Markup that explains scores, between them and the notes.
    """
    rows = [
        [
            text(score.name),
            score_cell(score, score.value),
            bounds(score.interval, share=is_share(score.name)),
            score_cell(score, score.baseline),
        ]
        for score in evaluation.scores
    ]
    notes = "".join(f'<p class="soft small">{text(note)}</p>' for note in evaluation.notes)
    head = ["score", "value", "95 % interval", baseline]
    return section("Scores", table(head, rows, "<>>>"), about, notes)


def score_cell(score: Score, value: float | None) -> str:
    """A value of a score: its own, or that of the baseline."""
    if value is None:
        return "–"
    return f"{percent(value)}&nbsp;%" if is_share(score.name) else f"{value:.3f}"


def classes(report: FitReport) -> str:
    """Recall, precision and F1 of each class as bars with intervals."""
    shown, title = list(report.evaluation.classes), "Classes"
    if len(shown) > _MOST_CLASSES:
        judged = [score for score in shown if score.recall is not None]
        shown = sorted(judged, key=lambda score: (score.recall or 0.0, score.name))[:_MOST_CLASSES]
        title = f"Classes: the {len(shown)} of lowest recall, of {len(report.evaluation.classes)}"
    rows = [_class_row(score) for score in shown]
    head = ["class", "rows", "recall, %", "precision, %", "F1, %"]
    return section(title, table(head, rows, "<>", kind="classes"))


def _class_row(score: ClassScore) -> list[str]:
    return [
        f'<div class="name">{inline(score.name)}</div>',
        f"{score.rows:,}",
        bar_cell(score.recall, score.recall_interval),
        bar_cell(score.precision, score.precision_interval),
        bar_cell(score.f1, score.f1_interval),
    ]


def bar_cell(value: float | None, interval: Interval | None) -> str:
    """A share with its interval, as numbers and as a bar."""
    if value is None:
        return '<div class="cell">–</div>'
    low_high = f' <span class="soft small">{bounds(interval)}</span>' if interval else ""
    return f'<div class="cell">{percent(value)}{low_high}{bar(value, interval)}</div>'


def choice(report: RunReport) -> str:
    """How the setting was chosen: the loss along it."""
    selection, split = report.selection, report.split
    loss = _LOSS_NAMES[selection.metric]
    if not report.rows.train:
        return section("Choice", f"<p>Nothing is fitted: {_setting(selection.setting)}.</p>")
    if not selection.setting.keys() - {"temperature"}:
        nothing = f"<p>{text(report.model)} has nothing to choose.</p>"
        return section("Choice", nothing, _class_weights(report))
    if len(selection.scores) == 1:
        given = f"<p>{_setting(selection.setting)}, as it was given.</p>"
        return section("Choice", given, _class_weights(report))
    best = (
        "the best"
        if selection.setting == selection.best
        else f"{nearness(selection)} the best, {_setting(selection.best)}"
    )
    lines = [
        f"<p>{_setting(selection.setting)}: {best}, by {loss} over {selection.folds:,} folds.</p>",
        curve(selection, loss),
        _WHISKERS.format(loss=loss, rows=report.rows.chosen_by),
    ]
    if split.folds:
        lines.append(f'<p class="soft small">The outer folds chose: {_fold_choices(report)}.</p>')
    if selection.stopped_early:
        lines.append(
            '<p class="soft small">Weaker regularisation was left out: worse beyond doubt, or '
            "nothing left to gain.</p>"
        )
    return section("Choice", *lines, _class_weights(report))


def _class_weights(report: RunReport) -> str:
    words = class_weight_words(report) if isinstance(report, FitReport) else ""
    return f'<p class="soft small">Used {text(words)}.</p>' if words else ""


def _fold_choices(report: RunReport) -> str:
    """What each outer fold chose for itself, the most frequent first."""
    split = report.split
    choices = Counter(
        (f"{text(model)}, " if model != report.model else "") + _setting(setting)
        for model, setting in zip(split.fold_models, split.fold_settings, strict=True)
    )
    return "; ".join(
        f"{chosen} ({count} of {split.folds})" for chosen, count in choices.most_common()
    )


def _setting(setting: dict[str, float]) -> str:
    return ", ".join(f"{text(name)} = {value:.3g}" for name, value in setting.items())


def leaderboard(report: RunReport, right: str = "accuracy") -> str:
    """The models that were compared, where several were.

    Args:
        report: Of a fit.
        right: What the share of right answers is called.
    """
    board = report.leaderboard
    if board is None:
        return ""
    rows = [
        [
            text(each.model),
            _setting(each.setting),
            f"{each.loss:.4f}",
            "" if not rank else f"{each.difference:.4f} [{each.low:.4f}, {each.high:.4f}]",
            f"{percent(each.accuracy)}&nbsp;%",
        ]
        for rank, each in enumerate(board.contenders)
    ]
    loss = _LOSS_NAMES[board.metric]
    return section(
        "Leaderboard",
        table(["model", "setting", loss, "worse by", right], rows, "<<>>>"),
        f'<p class="soft small">Out-of-fold {loss} of the training rows, in pairs, with '
        "simultaneous 95 % intervals: a model whose interval holds 0 may be as good.</p>",
        *(f'<p class="soft small">Left out: {text(reason)}</p>' for reason in board.left_out),
    )
