"""The page's part on whether probabilities can be believed, and when the head answers."""

from __future__ import annotations

from embedcache.evaluation.calibration import reliability
from embedcache.heads.calibrate import Calibration
from embedcache.heads.report import FitReport
from embedcache.reports.page.charts import reliability_diagram
from embedcache.reports.page.material import Material
from embedcache.reports.page.parts import bounds, percent, section

__all__ = ["abstention", "calibration"]


def calibration(material: Material[FitReport]) -> str:
    """The reliability diagram, and what the temperature did."""
    found = material.report.calibration
    diagram = reliability(material.labels, material.probabilities, material.group)
    return section(
        "Can its probabilities be believed?",
        f"<p>Expected calibration error {percent(found.ece_after)} points, log-loss "
        f"{found.log_loss_after:.3f}{_without(found)}.</p>",
        reliability_diagram(diagram),
        '<p class="soft small">Each dot: the judged rows of one range of probability (larger: more '
        "rows), and how often they are right, with a 95 % interval. On the dashed line the "
        "probabilities are right; below it the head is too sure.</p>",
        _temperature(found),
    )


def _without(found: Calibration) -> str:
    if found.is_idle:
        return ""
    change = found.log_loss_change
    changed = f" (change {change.low:+.4f} to {change.high:+.4f})" if change else ""
    return (
        f"; without the temperature {percent(found.ece_before)} points and "
        f"{found.log_loss_before:.3f}{changed}"
    )


def _temperature(found: Calibration) -> str:
    if found.temperature is None:
        return ""
    if found.is_idle:
        return '<p class="soft small">Training rows out of fold ask for no temperature.</p>'
    spread = ""
    if found.fold_temperatures:
        least, most = min(found.fold_temperatures), max(found.fold_temperatures)
        spread = f", those of the outer folds by {least:.3g} to {most:.3g}"
    return (
        f'<p class="soft small">The logits of this head are divided by {found.temperature:.3g}'
        f"{spread}: of the least log-loss of training rows out of fold.</p>"
    )


def abstention(report: FitReport) -> str:
    """From which probability on the head answers, where a precision was asked for."""
    found = report.abstention
    if found is None:
        return ""
    chosen, judged = found.chosen, found.judged
    wanted = f"{100 * chosen.wanted:.4g}&nbsp;%"
    about = (
        '<p class="soft small">The threshold is of training rows out of fold, by a one-sided '
        "Wilson bound that is corrected for the choice among thresholds; judged rows had no part "
        "in it.</p>"
    )
    if chosen.threshold is None:
        return section(
            "When it answers",
            f"<p>No threshold can be shown to make {wanted} of the answers right: it answers every "
            "row.</p>",
            about,
        )
    without = (
        f'<p class="soft small">{found.folds_without} outer folds found no threshold; they count '
        "as answering nothing.</p>"
        if found.folds_without
        else ""
    )
    return section(
        "When it answers",
        f"<p>Where the probability is at least {chosen.threshold:.3f}: that is "
        f"{percent(judged.coverage)}&nbsp;% {bounds(judged.coverage_interval)} of the judged rows, "
        f"and {percent(judged.precision)}&nbsp;% {bounds(judged.precision_interval)} of these "
        f"answers are right (wanted: {wanted}).</p>",
        f'<p class="soft small">The training rows show at least {percent(chosen.bound)}&nbsp;% '
        f"with 95&nbsp;% confidence. <code>embedcache predict</code> marks the other rows, and "
        "<code>--no-abstain</code> answers them all the same.</p>",
        about,
        without,
    )
