"""`fit_labels`: the setting chosen and every label fitted, as one form of K logits.

n is the number of rows, D the embedding dimension, K the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.model import Fit
from embedcache.heads.multilabel.choosing import Chosen, choose_setting, multilabel_model
from embedcache.heads.multilabel.one_label import OneLabel
from embedcache.heads.selection import Progress

__all__ = ["FittedLabels", "fit_labels"]


@dataclass(frozen=True, eq=False)
class FittedLabels:
    """A head of any number of labels a row.

    Attributes:
        chosen: How its setting was chosen.
        fit: What gives raw features K logits, one for the presence of each label.
    """

    chosen: Chosen
    fit: Fit


def fit_labels(
    name: str,
    features: Features,
    labels: NDArray[np.uint8],
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    *,
    seed: int,
    progress: Progress | None = None,
) -> FittedLabels:
    """Choose a setting for all labels, and fit each label against its absence on all rows.

    Args:
        name: One of `names.MULTILABEL_MODELS`.
        features: Of the n rows.
        labels: (n, K), 1 where the row has the label, else 0.
        group: (n,) int32 codes, negative for none.
        folds: (n,) fold of each row.
        seed: The same seed gives the same head, bit by bit.
        progress: Told what is being computed.

    Raises:
        UsageError: The model cannot fit rows that have any number of labels.
    """
    model = multilabel_model(name)
    chosen = choose_setting(model, features, labels, group, folds, seed=seed, progress=progress)
    made = [
        OneLabel(model, features, column, seed).fit(chosen.record.setting, temperature)
        for column, temperature in zip(labels.T, chosen.temperatures, strict=True)
    ]
    lines, converged, iterations = zip(*made, strict=True)
    form = Linear(
        np.concatenate([line.weights for line in lines]),
        np.concatenate([line.intercept for line in lines]),
    )
    return FittedLabels(chosen, Fit(form, all(converged), max(iterations)))
