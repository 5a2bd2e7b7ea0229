"""`choose`: one model's setting, or the best of the models that are sensible for the data.

n is the number of rows, D the embedding dimension, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.folds import NEVER
from embedcache.evaluation.simultaneous import simultaneous_differences
from embedcache.heads.choice_records import Contender, Leaderboard
from embedcache.heads.model import Model, Training
from embedcache.heads.models.index import MODELS
from embedcache.heads.models.shrunk import Shrunk
from embedcache.heads.names import AUTO, MODEL_NAMES
from embedcache.heads.search import Progress
from embedcache.heads.selection import Selected, select

__all__ = ["Choice", "choose", "rank", "sensible"]

_MEMORY = 8 << 30
"""Bytes of float32 features beyond which only a model that streams is tried."""


@dataclass(frozen=True, eq=False)
class Choice:
    """A model with its setting.

    Attributes:
        model: To be fitted.
        selected: How its setting was chosen.
        leaderboard: How the model was chosen; None where it was given.
    """

    model: Model
    selected: Selected
    leaderboard: Leaderboard | None


def choose(
    name: str,
    training: Training,
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    *,
    metric: str,
    values: tuple[float, ...] | None,
    progress: Progress | None,
) -> Choice:
    """Choose by out-of-fold loss alone.

    Args:
        name: Of a model, or `auto`: all sensible models over the same folds, of which the
            one with the lowest loss is taken.
        training: The n rows.
        group: (n,) int32 codes, negative for none.
        folds: (n,) fold of each row; `NEVER` for one that is fitted and not chosen by.
        metric: As for `selection.select`, like the next two.
        values: Exactly these values of the model's parameter.
        progress: Told of every setting.

    Raises:
        UsageError: Unknown model, or one that cannot weigh rows that have weights; or values
            of `auto`.
    """
    if name != AUTO:
        if name not in MODELS:
            raise UsageError("unknown model", got=name, expected=", ".join((*MODEL_NAMES, AUTO)))
        shrinks = name == "logreg" and training.prior is not None
        model = Shrunk() if shrinks else MODELS[name]
        if training.weights is not None and not model.weighs:
            raise UsageError(
                f"{model.name} has no use for class weights",
                expected=f"one of {', '.join(each for each in MODELS if MODELS[each].weighs)}",
                hint="--class-weight none, or another --model",
            )
        selected = select(
            model,
            training,
            group,
            folds,
            metric=metric,
            values=values,
            progress=progress,
        )
        return Choice(model, selected, None)
    if values is not None:
        raise UsageError(
            "auto chooses every model's values itself",
            got=values,
            hint="name the model that they are for: --model logreg",
        )
    names, left_out = sensible(len(training.features), training.features.dim, training.k)
    if training.weights is not None:
        left_out += tuple(f"{each}: no class weights" for each in names if not MODELS[each].weighs)
        names = tuple(each for each in names if MODELS[each].weighs)
    tried = {
        each: select(
            MODELS[each],
            training,
            group,
            folds,
            metric=metric,
            by_folds=True,
            progress=progress,
        )
        for each in names
    }
    board = rank(tried, group[folds != NEVER], left_out, metric=metric, seed=training.seed)
    winner = board.contenders[0].model
    return Choice(MODELS[winner], tried[winner], board)


def sensible(n: int, d: int, k: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Models that fit such data in seconds to minutes, and the others with the reason."""
    if 4 * n * d > _MEMORY:
        rest = [name for name in MODEL_NAMES if name != "linear-sgd"]
        return ("linear-sgd",), tuple(f"{name}: features larger than memory" for name in rest)
    reasons = {
        "ridge": min(n, d) > 8192 and "a decomposition of more than 8,192 dimensions",
        "lda": (d > 4096 or k * d * d > 1 << 30) and "a covariance of each of many classes",
        "linear-svm": n * d * k > 1 << 25 and "slow beyond some ten thousand rows",
        "knn": n > 200_000 and "every row against every other",
        "nystroem": not 200 <= n <= 30_000 and "for 200 to 30,000 rows",
        "mlp": n < 500 and "fewer than 500 rows",
        "linear-sgd": "logreg finds the same optimum exactly where the features fit into memory",
    }
    names = tuple(name for name in MODEL_NAMES if not reasons.get(name))
    return names, tuple(f"{name}: {why}" for name, why in reasons.items() if why)


def rank(
    tried: dict[str, Selected],
    group: NDArray[np.int32],
    left_out: tuple[str, ...],
    *,
    metric: str,
    seed: int,
) -> Leaderboard:
    """Models by rising loss over the same rows, each beside the best, all intervals at once.

    Args:
        tried: What each model chose, by name.
        group: (n,) int32 codes, negative for none.
        left_out: Models that were not tried, each with the reason.
        metric: What the losses are of.
        seed: Of the bootstrap.
    """
    # A sort keeps the order of equals: the simpler model is named first.
    names = sorted(tried, key=lambda name: float(tried[name].losses.mean()))
    differences = simultaneous_differences(
        np.stack([tried[name].losses for name in names]), group, seed=seed
    )
    return Leaderboard(
        metric,
        tuple(
            Contender(
                name,
                tried[name].record.setting,
                float(tried[name].losses.mean()),
                tried[name].accuracy,
                float(differences.mean[at, 0]),
                float(differences.mean[at, 0] - differences.half_width[at, 0]),
                float(differences.mean[at, 0] + differences.half_width[at, 0]),
            )
            for at, name in enumerate(names)
        ),
        left_out,
    )
