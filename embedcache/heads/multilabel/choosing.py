"""`choose_setting`: one setting for all labels, by their mean out-of-fold log-loss.

n is the number of rows, K the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import cell_log_loss
from embedcache.evaluation.multilabel import THRESHOLD
from embedcache.heads.choice_records import SelectionRecord
from embedcache.heads.features import Features
from embedcache.heads.ladder import Setting
from embedcache.heads.logreg import sigmoid
from embedcache.heads.model import Fold, Model, Scored, Training
from embedcache.heads.models.index import MODELS
from embedcache.heads.multilabel.constant import constant_logits, varying
from embedcache.heads.names import MULTILABEL_MODELS
from embedcache.heads.search import Progress, Search
from embedcache.heads.selection import Selected, given_ladder, selected
from embedcache.heads.temperature import fit_temperature
from embedcache.heads.tried import Tried

__all__ = ["Chosen", "choose_setting", "multilabel_model"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The choice, and what it says of each row by fits that had not seen it.

    Attributes:
        model: What was chosen for.
        selected: All that the choice was made from. Losses are means over labels, (n,); the
            accuracy is the share of rows and labels that are answered right.
        temperatures: (K,) float64, what each label's scores are divided by.
        probabilities: (n, K) float64, out of fold.
    """

    model: Model
    selected: Selected
    temperatures: NDArray[np.float64]
    probabilities: NDArray[np.float64]

    @property
    def record(self) -> SelectionRecord:
        """The choice as it is reported."""
        return self.selected.record


def multilabel_model(name: str) -> Model:
    """The model of that name.

    Raises:
        UsageError: It cannot fit rows that have any number of labels.
    """
    if name not in MULTILABEL_MODELS:
        raise UsageError(
            f"{name} cannot fit rows with any number of labels",
            got=f"--model {name}",
            expected=", ".join(MULTILABEL_MODELS),
            hint="--model logreg, which fits each label against its absence",
        )
    return MODELS[name]


def choose_setting(
    model: Model,
    features: Features,
    labels: NDArray[np.uint8],
    group: NDArray[np.int32],
    folds: NDArray[np.int64],
    *,
    seed: int,
    values: tuple[float, ...] | None = None,
    progress: Progress | None = None,
) -> Chosen:
    """Climb the model's ladder for all labels together.

    Of all settings within one paired standard error of the best, or as good as equal, the simplest
    is chosen, as where a row has one class. A label that the training rows of some fold all have,
    or all lack, cannot be held out: it answers by its odds, at every setting the same, and so has
    no say.

    Args:
        model: One that `multilabel_model` gave.
        features: Of the n rows.
        labels: (n, K), 1 where the row has the label, else 0.
        group: (n,) int32 codes, negative for none.
        folds: (n,) fold of each row.
        seed: Of whatever a model draws.
        values: Exactly these values of the model's parameter instead of the climb.
        progress: Told of every setting.

    Raises:
        UsageError: A value that the parameter cannot have.
    """
    (ladder,) = model.ladders
    spread = [varying(labels[folds != fold]) for fold in np.unique(folds)]
    which = np.flatnonzero(np.all(spread, axis=0))
    scorer: Fold = _Nothing(len(labels))
    if len(which):
        scorer = model.out_of_fold(Training(features, labels[:, which], seed), folds)

    def judged(setting: Setting, made: Scored) -> Tried:
        found, shares = labels == 1, sigmoid(_complete(model, labels, which, made)[0])
        losses = cell_log_loss(found, shares).mean(axis=1)
        right = float(((shares > THRESHOLD) == found).mean())
        return Tried(setting, losses, float(losses.mean()), right, made.converged, made.iterations)

    # Each label against its absence: two classes.
    search = Search(model, scorer, judged, group, 2, progress)
    if values is None:
        search.climb(0, ladder, len(labels) - int(np.bincount(folds).max()))
    else:
        search.exactly(0, given_ladder(model, ladder, values, len(labels)))
    choice = search.simplest
    # Scored once more: to keep the logits of every setting would take more than the features.
    made = search.again(choice)
    # Without the folds' solver, which the fit to all rows does not go on from.
    chosen = replace(selected(search, choice, "log_loss", len(spread)), folds=None)
    logits, temperatures = _complete(model, labels, which, made)
    return Chosen(model, chosen, temperatures, sigmoid(logits))


def _complete(
    model: Model, labels: NDArray[np.uint8], which: NDArray[np.integer], made: Scored
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits (n, K) of all labels, and what those that were fitted were divided by, (K,).

    Those that cannot be held out answer by their odds.
    """
    logits = np.tile(constant_logits(labels), (len(labels), 1))
    temperatures = np.ones(labels.shape[1])
    for label, scores in zip(which, made.scores.T.astype(np.float64), strict=True):
        if not model.calibrated:
            both = np.stack([np.zeros(len(scores)), scores], axis=1)
            temperatures[label] = fit_temperature(both, labels[:, label])
        logits[:, label] = scores / temperatures[label]
    return logits, temperatures


@dataclass(frozen=True)
class _Nothing:
    """Scores n rows where no label can be held out."""

    rows: int

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # `Fold` has them; nothing is fitted
        """(n, 0)."""
        return Scored(np.empty((self.rows, 0)))
