"""`choose_setting`: one setting for all labels, by their mean out-of-fold log-loss.

n is the number of rows, K the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import cell_log_loss
from embedcache.evaluation.multilabel import THRESHOLD
from embedcache.evaluation.units import paired_difference
from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.heads.features import Features
from embedcache.heads.ladder import Ladder, Setting, described
from embedcache.heads.logreg import sigmoid
from embedcache.heads.model import Fold, Model, Training
from embedcache.heads.models.index import MODELS
from embedcache.heads.multilabel.constant import constant_logits, varying
from embedcache.heads.names import MULTILABEL_MODELS
from embedcache.heads.search import SOLVED, Progress, is_hopeless
from embedcache.heads.selection import Selected, given_ladder
from embedcache.heads.temperature import fit_temperature

__all__ = ["Chosen", "choose_setting", "multilabel_model"]

_TOLERANCE = 2e-4
"""Of the gradient of the mean loss: what `selection` asks of two classes at a loss of ln 2."""


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

    Of all settings within one paired standard error of the best the simplest is chosen, as
    where a row has one class. A label that the training rows of some fold all have, or all
    lack, cannot be held out: it answers by its odds, at every setting the same, and so has
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
    if values is not None:
        ladder = given_ladder(model, ladder, values, len(labels))
    scorer = _Scorer(model, features, labels, folds, seed)
    search = _Search(scorer, ladder, group, progress)
    search.climb()
    choice = search.simplest()
    # Scored once more: to keep the logits of every setting would take more than the features.
    found, tried = search.score(choice)
    selected = Selected(search.record(choice, len(np.unique(folds))), tried.losses, tried.right)
    return Chosen(model, selected, found.temperatures, sigmoid(found.logits))


@dataclass(frozen=True, eq=False)
class _Scores:
    """Logits (n, K) of each label's presence, what they were divided by (K,), and the solver."""

    logits: NDArray[np.float64]
    temperatures: NDArray[np.float64]
    converged: bool
    iterations: int


class _Scorer:
    """Out-of-fold scores of all labels, made ready once for one setting after another."""

    def __init__(
        self,
        model: Model,
        features: Features,
        labels: NDArray[np.uint8],
        folds: NDArray[np.int64],
        seed: int,
    ) -> None:
        self.model, self.labels = model, labels
        spread = [varying(labels[folds != fold]) for fold in np.unique(folds)]
        self._which = np.flatnonzero(np.all(spread, axis=0))
        self._ready: Fold | None = None
        if len(self._which):
            training = Training(features, labels[:, self._which], seed)
            self._ready = model.out_of_fold(training, folds)

    def at(self, setting: Setting) -> _Scores:
        """Every label, those that cannot be held out by their odds."""
        logits = np.tile(constant_logits(self.labels), (len(self.labels), 1))
        temperatures = np.ones(self.labels.shape[1])
        if self._ready is None:
            return _Scores(logits, temperatures, converged=True, iterations=0)
        found = self._ready.score(setting, _TOLERANCE)
        for label, scores in zip(self._which, found.scores.T.astype(np.float64), strict=True):
            if not self.model.calibrated:
                both = np.stack([np.zeros(len(scores)), scores], axis=1)
                temperatures[label] = fit_temperature(both, self.labels[:, label])
            logits[:, label] = scores / temperatures[label]
        return _Scores(logits, temperatures, found.converged, found.iterations)


@dataclass(frozen=True, eq=False)
class _Tried:
    """A setting: means over all labels."""

    setting: Setting
    losses: NDArray[np.float64]
    right: float
    converged: bool
    iterations: int


class _Search:
    def __init__(
        self,
        scorer: _Scorer,
        ladder: Ladder,
        group: NDArray[np.int32],
        progress: Progress | None,
    ) -> None:
        self.scorer, self.ladder, self.group, self.progress = scorer, ladder, group, progress
        self.has = scorer.labels == 1
        self.tried: dict[int, _Tried] = {}  # by rung, simplest first
        self.stopped_early = False

    def climb(self) -> None:
        """Up until hopeless or solved, then down, then the neighbours of the best."""
        ladder, top = self.ladder, len(self.ladder.values) - 1
        at = ladder.first
        while at <= ladder.top or (at <= top and self.best == at - ladder.stride):
            self.score(at)
            if ladder.stops and self._is_solved_or_hopeless(at):
                self.stopped_early = True
                break
            at += ladder.stride
        at = ladder.first - ladder.stride
        while at >= 0 and self.best == at + ladder.stride:
            self.score(at)
            at -= ladder.stride
        for at in (self.best + 1, self.best - 1):
            if 0 <= at <= top and at not in self.tried:
                self.score(at)

    @property
    def best(self) -> int:
        """The rung of the lowest mean loss, the simpler of equals."""
        return min(self.tried, key=lambda at: (self.tried[at].losses.mean(), at))

    def _is_solved_or_hopeless(self, at: int) -> bool:
        mean, error = self._difference(at)
        return float(self.tried[at].losses.mean()) < SOLVED or is_hopeless(mean, error)

    def score(self, at: int) -> tuple[_Scores, _Tried]:
        """Score all labels at a rung, and keep what the choice needs."""
        setting = self.ladder.setting(at)
        if self.progress:
            self.progress(described(setting))
        found = self.scorer.at(setting)
        shares = sigmoid(found.logits)
        tried = _Tried(
            setting,
            cell_log_loss(self.has, shares).mean(axis=1),
            float(((shares > THRESHOLD) == self.has).mean()),
            found.converged,
            found.iterations,
        )
        self.tried[at] = tried
        return found, tried

    def _difference(self, at: int) -> tuple[float, float]:
        """Mean and standard error of the loss at a rung minus that at the best."""
        return paired_difference(self.tried[at].losses, self.tried[self.best].losses, self.group)

    def simplest(self) -> int:
        """The lowest rung that is not worse than the best by more than one paired error."""
        for at in sorted(self.tried):
            mean, error = self._difference(at)
            if at == self.best or mean <= error:
                return at
        raise AssertionError("the best is not among those tried")

    def record(self, choice: int, folds: int) -> SelectionRecord:
        """All that the choice was made from."""
        ends = {0, len(self.ladder.values) - 1}
        return SelectionRecord(
            self.tried[choice].setting,
            self.tried[self.best].setting,
            "log_loss",
            folds,
            tuple(
                SettingScore(
                    tried.setting,
                    float(tried.losses.mean()),
                    *self._difference(at),
                    tried.right,
                    tried.converged,
                    tried.iterations,
                )
                for at, tried in sorted(self.tried.items())
            ),
            on_edge=len(ends) > 1 and self.best in ends,
            stopped_early=self.stopped_early,
        )
