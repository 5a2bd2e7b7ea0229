"""`contest`: heads against the one that is decided about, row by row, on a sample.

n is the number of sampled rows, M the number of heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.decision.out_of_fold import out_of_fold
from embedcache.decision.rbf_machine import rbf_errors
from embedcache.decision.signals import Contest, HeadScore
from embedcache.decision.training_rows import TrainingRows
from embedcache.evaluation.intervals import LEVEL
from embedcache.evaluation.paired import score_interval
from embedcache.evaluation.simultaneous import Differences, simultaneous_differences
from embedcache.heads.leaderboard import sensible
from embedcache.heads.models.index import MODELS
from embedcache.heads.selection import Selected, select

__all__ = ["Outcome", "contest", "sample_size"]

_SLOW = {
    "linear-svm": "a linear head beside logreg, and many times as slow",
    "mlp": "minutes of minibatches; nystroem stands for heads that are not linear",
}
"""Heads that are only tried where they are decided about."""

_CELLS = 21_000_000  # rows × dimensions × classes, about 30 s for all heads
_LEAST, _MOST = 1_000, 5_000


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a contest went.

    Attributes:
        record: What the report shows.
        chosen: The choice of the head that is decided about.
        c: Chosen for the softmax regression, which is always among the heads.
        discordance: Share of rows that only it or only the RBF machine has right.
    """

    record: Contest
    chosen: Selected
    c: float
    discordance: float


def sample_size(dim: int, classes: int) -> int:
    """Rows on which all heads take about half a minute."""
    return min(_MOST, max(_LEAST, _CELLS // (dim * max(10, classes))))


def contest(
    sample: TrainingRows,
    model: str,
    values: tuple[float, ...] | None,
    progress: Callable[[str], None] | None,
) -> Outcome:
    """Choose every sensible head's setting and compare its errors with those of `model`.

    The intervals hold for all pairs of heads at once.

    Args:
        sample: The n rows.
        model: Name of the head that is decided about.
        values: Exactly these values of its parameter.
        progress: Told of every setting.
    """
    training = sample.training
    names, left_out = sensible(len(sample), training.features.dim, training.k)
    others = (name for name in ("logreg", *names) if name not in _SLOW)
    names = tuple(dict.fromkeys((model, *others)))  # a pilot starts from logreg, whatever is asked
    reasons = dict(why.split(": ", 1) for why in left_out) | _SLOW
    left_out = tuple(f"{name}: {why}" for name, why in reasons.items() if name not in names)
    selected, wrong = {}, []
    for name in names:
        selected[name] = select(
            MODELS[name],
            training,
            sample.group,
            sample.folds,
            values=values if name == model else None,
            by_folds=True,
            progress=progress,
        )
        found = out_of_fold(sample, MODELS[name], selected[name].record.setting)
        wrong.append(found.argmax(axis=1) != sample.labels)
    errors = np.stack(wrong)
    differences = simultaneous_differences(
        errors.astype(np.float64), sample.group, seed=training.seed
    )
    heads = [
        _score(name, at, errors, differences, sample.group)
        for at, name in enumerate(names)
        if name != model
    ]
    accuracy = 1 - float(errors[0].mean())
    return Outcome(
        Contest(len(sample), accuracy, tuple(sorted(heads, key=lambda head: -head.gain)), left_out),
        selected[model],
        selected["logreg"].record.setting["C"],
        float((errors[0] != rbf_errors(sample)).mean()),
    )


def _score(
    name: str,
    at: int,
    errors: NDArray[np.bool_],
    differences: Differences,
    group: NDArray[np.int32],
) -> HeadScore:
    """A head's gain over the first, with an interval that holds for all pairs at once."""
    accuracy, gain = 1 - float(errors[at].mean()), float(differences.mean[0, at])
    if (group >= 0).any():
        half = float(differences.half_width[0, at])
        half = half if np.isfinite(half) else 1.0
        return HeadScore(name, accuracy, gain, max(-1.0, gain - half), min(1.0, gain + half))
    wins, losses = int((errors[0] & ~errors[at]).sum()), int((errors[at] & ~errors[0]).sum())
    quantile = max(NormalDist().inv_cdf((1 + LEVEL) / 2), differences.critical)
    interval = score_interval(wins, losses, len(group), quantile)
    return HeadScore(name, accuracy, gain, interval.low, interval.high)
