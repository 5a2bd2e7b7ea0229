"""How far a head's probabilities can be believed, as plain text."""

from __future__ import annotations

import textwrap

from embedcache.evaluation.abstention import Abstention
from embedcache.heads.calibrate import Calibration

__all__ = ["trust_lines"]


def trust_lines(calibration: Calibration, abstention: Abstention | None, width: int) -> list[str]:
    """Calibration before and after a temperature, and when to answer."""
    text = (
        f"calibration: ECE {100 * calibration.ece_before:.1f} points; with a temperature of "
        f"{calibration.temperature:.3g} {100 * calibration.ece_after:.1f} points, "
        f"log-loss {calibration.log_loss_after:.3f}"
    )
    lines = textwrap.wrap(text, width, subsequent_indent="  ")
    if abstention is not None:
        lines += textwrap.wrap(_when(abstention), width, subsequent_indent="  ")
    return lines


def _when(found: Abstention) -> str:
    wanted = f"{100 * found.wanted:.4g} %"
    if found.threshold is None or found.precision is None or found.bound is None:
        return f"abstention: no threshold can be shown to make {wanted} of the answers right"
    return (
        f"abstention: answer from a probability of {found.threshold:.3f} on, "
        f"{100 * found.coverage:.1f} % of the rows; {100 * found.precision:.1f} % of the answers "
        f"are right, at least {100 * found.bound:.1f} % with 95 % confidence (wanted: {wanted})"
    )
