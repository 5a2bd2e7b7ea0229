"""`finetune.json`: how a backbone was fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.finetuning.curve import Progress
from embedcache.finetuning.gate import Gate, Third
from embedcache.finetuning.interpolation import Sweep
from embedcache.finetuning.rates import Trial
from embedcache.finetuning.recipe import Recipe

__all__ = ["FORMAT", "CachedTail", "FinetuneRecord", "Plan"]

FORMAT = 1


@dataclass(frozen=True)
class CachedTail:
    """Where the tail begins, and what is cached for it.

    Attributes:
        boundary: The first block that is trained.
        shape: Of one activation, (C, H, W) or (tokens, width).
        views: Of each training image, the plain one included.
        bytes: Of activations on disk.
    """

    boundary: str
    shape: tuple[int, ...]
    views: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """What was settled before the first step; a resumed training keeps to it.

    Attributes:
        recipe: All that a training depends on besides model and rows. With trials, its
            rate is the one that they go round.
        trials: Number of trainings of a quarter of the length that choose the rate.
        step_seconds: Of one step, measured.
        estimated_minutes: All steps, trials, and looks at the validation rows; and what was cached.
        parity: The gap between the images' and the cached logits, in the units of `parity_gap`.
        notes: What a person should know.
        tail: What is cached; None where the images are read.
        caching_seconds: That it took.
    """

    recipe: Recipe
    trials: int
    step_seconds: float
    estimated_minutes: float
    parity: float
    notes: tuple[str, ...]
    tail: CachedTail | None = None
    caching_seconds: float = 0.0


@dataclass(frozen=True)
class FinetuneRecord:
    """A finished training.

    Attributes:
        format: `FORMAT` at the time of writing.
        run: Name of the run whose labels, sides and C it used.
        backbone: The backbone's name.
        family: Key of the table of recipes.
        device: Where it was trained.
        unfreeze: As asked for.
        blocks: Of the backbone.
        trained_blocks: That were trained, counted from the output.
        augment: Preset, or recipe of views.
        class_weights: Whether rarer classes weighed more.
        classes: Names, in the order of the logits.
        train_rows: Rows trained on.
        validation_rows: Rows that were set aside.
        c: Of the head that started it.
        residual_ratio: Training to validation residual of that head, at the run's own C.
        softened: Whether C was divided by 30, as the ratio is below a half.
        plan: As settled before the first step.
        recipe: As trained, with the rate that was chosen.
        trials: That chose it.
        progress: The curves; `seconds` without trials.
        minutes: In all, trials and caching included.
        fingerprint: Of all that the result depends on.
        sweep: How far to go from the frozen weights; None in records from before there was one.
        gate: What the test rows say; None where they were not opened, as the sweep went back to
            the frozen weights or the run has no test rows.
        thirds: The trainings of a cross-fitted gate, in place of test rows; else none.
    """

    format: int
    run: str
    backbone: str
    family: str
    device: str
    unfreeze: str
    blocks: int
    trained_blocks: int
    augment: str
    class_weights: bool
    classes: tuple[str, ...]
    train_rows: int
    validation_rows: int
    c: float
    residual_ratio: float
    softened: bool
    plan: Plan
    recipe: Recipe
    trials: tuple[Trial, ...]
    progress: Progress
    minutes: float
    fingerprint: str
    sweep: Sweep | None = None
    gate: Gate | None = None
    thirds: tuple[Third, ...] = ()
