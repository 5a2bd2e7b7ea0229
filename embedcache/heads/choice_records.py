"""The part of `report.json` on the choice: settings of a model, and models among each other."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Contender", "Leaderboard", "SelectionRecord", "SettingScore"]


@dataclass(frozen=True)
class SettingScore:
    """One setting of a model on the out-of-fold rows.

    Attributes:
        setting: The model's parameters by name, the one that was climbed first; empty for
            a model without parameters.
        loss: Mean out-of-fold loss, of the metric that chose.
        difference: `loss` minus that of the best setting, over the same rows.
        difference_error: Standard error of the difference.
        accuracy: Out-of-fold accuracy.
        converged: Whether all fits reached the selection's tolerance.
        iterations: Solver iterations, all folds together.
    """

    setting: dict[str, float]
    loss: float
    difference: float
    difference_error: float
    accuracy: float
    converged: bool
    iterations: int


@dataclass(frozen=True)
class SelectionRecord:
    """How the setting was chosen.

    Attributes:
        setting: The choice: the simplest within one paired standard error of the best, or equal.
        best: The setting of the lowest loss.
        metric: `log_loss`, `accuracy` or `balanced_accuracy`.
        folds: Number of folds; the number of rows where each was left out alone.
        scores: Every setting that was fitted, from the strongest regularisation.
        on_edge: Whether the lowest loss is at an end of the grid, and the grid at its widest.
        stopped_early: Whether weaker regularisation was left out, as worse beyond doubt or
            with nothing to gain.
    """

    setting: dict[str, float]
    best: dict[str, float]
    metric: str
    folds: int
    scores: tuple[SettingScore, ...]
    on_edge: bool
    stopped_early: bool


@dataclass(frozen=True)
class Contender:
    """A model among others, over the same out-of-fold rows.

    Attributes:
        model: Its name.
        setting: What it chose.
        loss: Mean out-of-fold loss, of the metric that chose.
        accuracy: Out-of-fold accuracy.
        difference: `loss` minus that of the winner.
        low: Lower end of the difference's simultaneous 95 % interval.
        high: Upper end.
    """

    model: str
    setting: dict[str, float]
    loss: float
    accuracy: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Leaderboard:
    """How the model was chosen.

    Attributes:
        metric: What ranks.
        contenders: The winner first, then by rising loss.
        left_out: Models that were not tried, each with the reason.
    """

    metric: str
    contenders: tuple[Contender, ...]
    left_out: tuple[str, ...]
