"""The curves of a fine-tuning's page: along its steps, and along the way to the tuned weights."""

from __future__ import annotations

from embedcache.evaluation.intervals import wilson
from embedcache.finetuning.interpolation import Sweep
from embedcache.finetuning.record import FinetuneRecord
from embedcache.reports.page.parts import percent, section, table
from embedcache.reports.page.series import Series, series_chart

__all__ = ["accuracies", "losses", "way"]


def losses(record: FinetuneRecord) -> str:
    """Log-loss along the steps."""
    lines = []
    if record.progress.losses:
        points = [(float(each.step), each.loss) for each in record.progress.losses]
        lines.append(Series("training, with label smoothing", points, kind="other"))
    if record.progress.judged:
        points = [(float(each.step), each.log_loss) for each in record.progress.judged]
        lines.append(Series("validation", points))
    if not lines:
        return ""
    return section("Log-loss", series_chart(lines, "steps", "Log-loss along the steps"))


def accuracies(record: FinetuneRecord) -> str:
    """Validation accuracy along the steps."""
    judged, rows = record.progress.judged, record.validation_rows
    if not judged:
        return ""
    found = [wilson(round(each.accuracy * rows), rows) for each in judged]
    line = Series(
        "",
        [(float(each.step), 100 * each.accuracy) for each in judged],
        [type(each)(100 * each.low, 100 * each.high) for each in found],
    )
    return section(
        "Validation accuracy",
        series_chart([line], "steps", "Validation accuracy along the steps", unit=" %"),
        f'<p class="soft small">Of {rows:,} rows, with 95&nbsp;% intervals. The last weights '
        "count: nothing is chosen by this curve.</p>",
    )


def way(record: FinetuneRecord) -> str:
    """How far to go from the frozen weights to the tuned ones."""
    swept = record.sweep
    if swept is None or not swept.points:
        return ""
    points = [(each.alpha, each.log_loss) for each in swept.points]
    rows = [
        [
            f"<b>{each.alpha:.1f}</b>" if each.alpha == swept.alpha else f"{each.alpha:.1f}",
            percent(each.accuracy),
            f"{each.log_loss:.3f}",
            f"{each.excess:.3f}",
            "–" if each.standard_error is None else f"{each.standard_error:.3f}",
        ]
        for each in swept.points
    ]
    straight = Series("straight line between the ends", [points[0], points[-1]], kind="guide")
    chart = series_chart(
        [Series("validation", points), straight],
        "share of the way from frozen (0) to tuned (1)",
        "Validation log-loss along the way from the frozen to the tuned weights",
        chosen=next((point for point in points if point[0] == swept.alpha), None),
    )
    head = ["share", "accuracy, %", "log-loss", "excess", "s.e."]
    return section(
        "How far to go",
        f'<div class="pair"><div>{chart}</div><div>{table(head, rows, ">>>>>")}</div></div>',
        f"<p>{swept.alpha:.1f} of the way is taken, {_why(swept)}, each point at "
        f"the temperature that suits it ({swept.temperature:.2f} there). The barrier on the way, "
        f"the most that the loss rises above the straight line, is {swept.barrier:.3f}.</p>",
    )


def _why(swept: Sweep) -> str:
    if not any(point.excess for point in swept.points if point.alpha == swept.alpha):
        return "that of the least log-loss"
    return (
        "that of the least log-loss but for the frozen weights, within a standard error of which "
        "it has more rows right"
    )
