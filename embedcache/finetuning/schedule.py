"""The learning rate as a pure function of the step: linear warm-up, then a cosine to zero.

Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts.
"""

from __future__ import annotations

import math

__all__ = ["rate_factor"]


def rate_factor(step: int, steps: int, warmup: float) -> float:
    """Factor on the peak rate, above 0 to 1.

    Args:
        step: From 0 to `steps` − 1.
        steps: Of the whole run.
        warmup: Share of the steps that the rate rises in.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2
