"""What a person can ask of a fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedcache.errors import UsageError
from embedcache.finetuning.augment_names import (
    AUGMENTATIONS,
    NO_AUGMENTATION,
    TAIL_AUGMENTATIONS,
)
from embedcache.finetuning.parts import AUTO, TAIL

__all__ = ["FinetuneOptions"]


@dataclass(frozen=True)
class FinetuneOptions:
    """How to fine-tune; None means by the recipe of the backbone's family.

    Attributes:
        unfreeze: `tail`, from cached activations; `last-N` or `all`, from images.
        boundary: Block that the tail begins at, its name or `last-N`; `auto` for the earliest that
            leaves 15 % of a step, within budget and disk.
        views: Cached of each image by the tail, the plain one included; None for the most of 4, 2
            and 1 that fit.
        lr: Peak learning rate.
        lr_auto: Choose it from a third of, once and three times `lr`, by short trainings.
        steps: Of the optimiser.
        batch_size: Rows per step.
        augment: Preset; of the tail the recipe of its views.
        class_weights: Weigh each class alike, whatever its number of rows.
        budget: Minutes.
        source: Folder or table that the images are in now.
        device: Where to train.
        precision: `auto`, `float32` or `bfloat16`, of training; evaluation keeps the backbone's.
        workers: Processes that read and prepare images.
        checkpoint_minutes: Between two checkpoints.
        seed: Of the validation rows, order, augmentation and dropout.
    """

    unfreeze: str = "all"
    boundary: str = AUTO
    views: int | None = None
    lr: float | None = None
    lr_auto: bool = False
    steps: int | None = None
    batch_size: int | None = None
    augment: str = "none"
    class_weights: bool = False
    budget: float | None = None
    source: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    workers: int | None = None
    checkpoint_minutes: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no training can do.

        Raises:
            UsageError: With what would do.
        """
        is_tail = self.unfreeze == TAIL
        if not is_tail and (self.boundary, self.views) != (AUTO, None):
            raise UsageError(
                "only the tail has a boundary and views",
                got=f"--unfreeze {self.unfreeze}",
                expected=f"--unfreeze {TAIL}",
            )
        for flag, value, allowed in (
            ("--augment", self.augment, TAIL_AUGMENTATIONS if is_tail else AUGMENTATIONS),
            ("--precision", self.precision, ("auto", "float32", "bfloat16")),
        ):
            if value not in allowed:
                raise UsageError(
                    f"unknown {flag[2:]}", got=f"{flag} {value}", expected=", ".join(allowed)
                )
        if self.views is not None and (self.views > 1) == (self.augment == NO_AUGMENTATION):
            raise UsageError(
                "more views than one need a way to make them, and one view none",
                got=f"--views {self.views} --augment {self.augment}",
                expected=f"--views 1, or --augment {', '.join(TAIL_AUGMENTATIONS[1:])}",
            )
        for flag, number in (
            ("--lr", self.lr),
            ("--views", self.views),
            ("--steps", self.steps),
            ("--batch-size", self.batch_size),
            ("--budget", self.budget),
        ):
            if number is not None and not number > 0:
                raise UsageError(f"{flag} is above 0", got=f"{flag} {number:g}")
