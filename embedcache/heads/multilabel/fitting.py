"""`fit_labels`: the setting chosen and every label fitted, as one form of K logits.

n is the number of rows, D the embedding dimension, K the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.heads.choice_records import Leaderboard
from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.leaderboard import rank, sensible
from embedcache.heads.model import Fit, Training
from embedcache.heads.multilabel.choosing import Chosen, choose_setting, multilabel_model
from embedcache.heads.multilabel.constant import constant_logits, varying
from embedcache.heads.names import AUTO, MULTILABEL_MODELS
from embedcache.heads.search import Progress

__all__ = ["FittedLabels", "LabelRecipe", "fit_labels"]


@dataclass(frozen=True, eq=False)
class FittedLabels:
    """A head of any number of labels a row.

    Attributes:
        chosen: How its setting was chosen.
        leaderboard: How its model was chosen; None where it was given.
        fit: What gives raw features K logits, one for the presence of each label.
    """

    chosen: Chosen
    leaderboard: Leaderboard | None
    fit: Fit


@dataclass(frozen=True, eq=False)
class LabelRecipe:
    """What was asked for, whichever rows it is followed on.

    Attributes:
        model: One of `names.MULTILABEL_MODELS`, or `auto`.
        values: Exactly these values of the model's parameter; None for its own grid.
        seed: The same seed gives the same head, bit by bit.
        progress: Told what is being computed.
    """

    model: str
    values: tuple[float, ...] | None
    seed: int
    progress: Progress | None = None


def fit_labels(
    recipe: LabelRecipe,
    features: Features,
    labels: NDArray[np.uint8],
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    prefix: str = "",
) -> FittedLabels:
    """Choose a setting for all labels, and fit each label against its absence on all rows.

    A label that all rows have, or that none has, is given the log-odds of its presence.

    With `auto`, every model chooses over the same folds and the one of the lowest loss is
    taken, as where a row has one class.

    Args:
        recipe: What was asked for.
        features: Of the n rows.
        labels: (n, K), 1 where the row has the label, else 0.
        group: (n,) int32 codes, negative for none.
        folds: (n,) fold of each row.
        prefix: Of what progress is told.

    Raises:
        UsageError: The model cannot fit rows that have any number of labels, or a value is not
            one that it can have.
    """

    def told(text: str) -> None:
        if recipe.progress:
            recipe.progress(prefix + text)

    if recipe.model == AUTO and recipe.values is not None:
        raise UsageError(
            "auto chooses every model's values itself",
            got=recipe.values,
            hint="name the model that they are for: --model logreg",
        )
    names, left_out = _candidates(recipe.model, features, labels.shape[1])
    tried = {
        name: choose_setting(
            multilabel_model(name),
            features,
            labels,
            group,
            folds,
            seed=recipe.seed,
            values=recipe.values,
            progress=told,
        )
        for name in names
    }
    board = None
    if recipe.model == AUTO:
        selected = {name: chosen.selected for name, chosen in tried.items()}
        board = rank(selected, group, left_out, metric="log_loss", seed=recipe.seed)
    chosen = tried[board.contenders[0].model if board else recipe.model]
    told(f"fitting {chosen.model.name}")
    return FittedLabels(chosen, board, _fit(chosen, features, labels, recipe.seed))


def _candidates(model: str, features: Features, k: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The models to try, and why others are not."""
    if model != AUTO:
        return (model,), ()
    names, reasons = sensible(len(features), features.dim, k)
    sane = tuple(name for name in names if name in MULTILABEL_MODELS)
    left_out = tuple(why for why in reasons if why.partition(":")[0] in MULTILABEL_MODELS)
    # Features larger than memory leave none: logreg reads them in blocks.
    return sane or ("logreg",), left_out


def _fit(chosen: Chosen, features: Features, labels: NDArray[np.uint8], seed: int) -> Fit:
    """Every label on all rows; one that no row has, or that every row has, by its odds."""
    which = np.flatnonzero(varying(labels))
    # Each label has a temperature of its own.
    setting = {**chosen.record.setting, "temperature": 1.0}
    fit = chosen.model.fit(Training(features, labels[:, which], seed), setting)
    assert isinstance(fit.form, Linear)
    weights, intercept = np.zeros((labels.shape[1], features.dim)), constant_logits(labels)
    divided = chosen.temperatures[which]
    weights[which] = fit.form.weights / divided[:, None]
    intercept[which] = fit.form.intercept / divided
    return Fit(Linear(weights, intercept), fit.converged, fit.iterations)
