"""How far a head's probabilities can be believed, as plain text."""

from __future__ import annotations

import textwrap

from embedcache.evaluation.abstention import Abstention
from embedcache.evaluation.intervals import Interval
from embedcache.heads.calibrate import Calibration

__all__ = ["trust_lines"]


def trust_lines(calibration: Calibration, abstention: Abstention | None, width: int) -> list[str]:
    """Calibration without and with the temperature, and when the head answers."""
    lines = _wrapped(_calibrated(calibration), width)
    if abstention is not None:
        lines += _wrapped(_answering(abstention), width)
    return lines


def _calibrated(found: Calibration) -> str:
    if found.is_idle:
        why = "" if found.temperature is None else "; training rows ask for no temperature"
        return (
            f"calibration: ECE {100 * found.ece_after:.1f} points, log-loss "
            f"{found.log_loss_after:.3f}{why}"
        )
    change = found.log_loss_change
    bounds = "[–]" if change is None else f"[{change.low:+.4f}, {change.high:+.4f}]"
    return (
        f"calibration: logits over a temperature of {found.temperature:.3g}, from training rows "
        f"out of fold; on the judged rows ECE {100 * found.ece_before:.1f} → "
        f"{100 * found.ece_after:.1f} points, log-loss {found.log_loss_before:.3f} → "
        f"{found.log_loss_after:.3f}, change {bounds}"
    )


def _answering(found: Abstention) -> str:
    chosen, judged = found.chosen, found.judged
    wanted = f"{100 * chosen.wanted:.4g} %"
    if chosen.threshold is None or chosen.bound is None:
        return (
            f"abstention: the training rows show no threshold from which on {wanted} of the "
            "answers are right; the head answers every row"
        )
    text = (
        f"abstention: answers from a probability of {chosen.threshold:.3f} on, where at least "
        f"{100 * chosen.bound:.1f} % of the training rows' answers are right out of fold (wanted: "
        f"{wanted}); of the judged rows it answers {_share(judged.coverage)} "
        f"{_bounds(judged.coverage_interval)}, and {_share(judged.precision)} "
        f"{_bounds(judged.precision_interval)} of these answers are right"
    )
    if found.folds_without:
        text += f"; {found.folds_without} outer folds found no threshold and answered nothing"
    return text


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _bounds(interval: Interval | None) -> str:
    return "[–]" if interval is None else f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent="  ")
