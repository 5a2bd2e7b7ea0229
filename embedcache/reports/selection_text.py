"""How a model and its setting were chosen, as plain text."""

from __future__ import annotations

import textwrap

from embedcache.heads.choice_records import Leaderboard, SelectionRecord, SettingScore
from embedcache.heads.ladder import described
from embedcache.heads.report import FitReport
from embedcache.heads.run_report import RunReport
from embedcache.heads.search import is_hopeless
from embedcache.reports.class_weight_text import class_weight_words
from embedcache.reports.columns import columns

__all__ = ["curve_lines", "how_lines", "leaderboard_lines"]

_METRIC_NAMES = {
    "log_loss": "log-loss",
    "accuracy": "error",
    "balanced_accuracy": "balanced error",
}
_MOST_SETTINGS = 15


def how_lines(report: RunReport, width: int) -> list[str]:
    """The split and the choice, in sentences."""
    split, selection = report.split, report.selection
    lines = _wrapped(f"judged: {split.reason}", width)
    if split.folds:
        each = "; ".join(
            (f"{model} " if report.leaderboard else "") + described(setting)
            for model, setting in zip(split.fold_models, split.fold_settings, strict=True)
        )
        lines += _wrapped(f"choice of each outer fold: {each}", width)
    else:
        lines += _wrapped(_openings(split.test_openings), width)
    if not report.rows.train:
        return [*lines, *_wrapped(f"nothing is fitted: {described(selection.setting)}", width)]
    if selection.setting == selection.best:
        best = "the best" if len(selection.scores) > 1 else "the only setting"
    else:
        best = f"{nearness(selection)} {described(selection.best)}"
    rows = report.rows.chosen_by
    folds = "leaving out each" if selection.folds == rows else f"over {selection.folds} folds"
    lines += _wrapped(
        f"{described(selection.setting)}: {best} by {_METRIC_NAMES[selection.metric]} "
        f"{folds} of {rows:,} training rows",
        width,
    )
    if isinstance(report, FitReport):
        lines += _wrapped(class_weight_words(report), width)
    return lines


def nearness(selection: SelectionRecord) -> str:
    """How near the choice is to the best: an error may be smaller than what matters."""
    chosen = [score for score in selection.scores if score.setting == selection.setting]
    is_near = all(score.difference <= score.difference_error for score in chosen)
    return "within one error of" if is_near else "as good as equal to"


def _openings(number: int) -> str:
    if number == 1:
        return "the first head of this runs folder that is judged on these test rows"
    return (
        f"head number {number} that is judged on these test rows: "
        f"the best of {number} looks better than it is"
    )


def leaderboard_lines(board: Leaderboard | None, width: int, right: str = "accuracy") -> list[str]:
    """Every model that was tried, the winner first; nothing where the model was given.

    Args:
        board: How the model was chosen.
        width: Cells in a line.
        right: What the share of right answers is called.
    """
    if board is None:
        return []
    name = _METRIC_NAMES[board.metric]
    table = [["model", name, right, "worse by", "95 %, all at once", "setting"]]
    table += [
        [
            each.model,
            f"{each.loss:.4f}",
            f"{100 * each.accuracy:.1f} %",
            f"{each.difference:.4f}" if at else "",
            f"[{each.low:.4f}, {each.high:.4f}]" if at else "← chosen",
            described(each.setting),
        ]
        for at, each in enumerate(board.contenders)
    ]
    lines = ["models, out of fold on the training rows:", *columns(table, "<>>><<")]
    if board.left_out:
        lines += _wrapped("not tried: " + "; ".join(board.left_out), width)
    return lines


def curve_lines(selection: SelectionRecord, right: str = "accuracy") -> list[str]:
    """The loss at every setting; nothing where there was one setting at most.

    Args:
        selection: How the setting was chosen.
        right: What the share of right answers is called.
    """
    scores, best = list(selection.scores), selection.best
    if len(scores) < 2:
        return []
    title = []
    if len(scores) > _MOST_SETTINGS:
        kept = sorted(score.loss for score in scores)[_MOST_SETTINGS - 1]
        scores = [each for each in scores if each.loss <= kept or each.setting == selection.setting]
        title = [f"the {len(scores)} best of {len(selection.scores)} settings:"]
    names = list(best)
    table = [[*names, _METRIC_NAMES[selection.metric], "worse by", "", right, "", ""]]
    table += [
        [
            *(f"{score.setting[name]:.3g}" for name in names),
            f"{score.loss:.4f}",
            f"{score.difference:.4f}",
            f"± {score.difference_error:.4f}",
            f"{100 * score.accuracy:.1f} %",
            "← chosen" if score.setting == selection.setting else "",
            _ending(score),
        ]
        for score in scores
    ]
    lines = [*title, *columns(table, ">" * len(names) + ">><><<")]
    if selection.stopped_early:
        lines.append(
            "weaker regularisation was left out: worse beyond doubt, or nothing left to gain"
        )
    return lines


def _ending(score: SettingScore) -> str:
    """How its fits ended, if not at their optimum."""
    if score.converged:
        return ""
    hopeless = is_hopeless(score.difference, score.difference_error)
    return "given up" if hopeless else "not converged"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ")
