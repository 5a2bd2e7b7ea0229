"""A fine-tuning for tests of what shows it, without training anything."""

from __future__ import annotations

import numpy as np
from small_training import RECIPE

from embedcache.evaluation.intervals import Interval
from embedcache.finetuning.curve import Judged, Loss, Progress
from embedcache.finetuning.gate import Gate
from embedcache.finetuning.gate_rows import GateRows
from embedcache.finetuning.interpolation import Point, Sweep
from embedcache.finetuning.rates import Trial
from embedcache.finetuning.record import FORMAT, FinetuneRecord, Plan

__all__ = ["GATE", "RECORD", "SWEEP", "gate_rows"]

RECORD = FinetuneRecord(
    format=FORMAT,
    run="solar-logreg-1",
    backbone="bundled/efficientnet_lite0",
    family="efficientnet",
    device="cpu",
    unfreeze="all",
    blocks=8,
    trained_blocks=8,
    augment="none",
    class_weights=False,
    classes=("a", "b"),
    train_rows=1_640,
    validation_rows=328,
    c=0.001,
    residual_ratio=0.4,
    softened=True,
    plan=Plan(RECIPE, 3, 1.8, 15.0, 0.001, ("500 steps instead of 900, to end within 15 minutes",)),
    recipe=RECIPE,
    trials=(Trial(1e-4, 0.4, 0.8, 9.0), Trial(9e-4, None, None, 1.0)),
    progress=Progress(
        12, 8, 60.0, (Loss(6, 0.5), Loss(12, 0.4)), (Judged(0, 0.4, 0.8), Judged(12, 0.3, 0.9))
    ),
    minutes=16.2,
    fingerprint="f" * 64,
)

SWEEP = Sweep((Point(0.0, 0.5, 0.8, 0.1, 0.05), Point(1.0, 0.4, 0.9, 0.0, None)), 0.7, 0.01)

GATE = Gate(
    2, 0.05 / 6, 656, 656, 45, 18, 0.845, 0.886, 0.041, Interval(0.01, 0.073), 0.0006, ships=True
)


def gate_rows(fixed: int = 3, broken: int = 2, others: int = 5) -> GateRows:
    """Of two classes: so many rows of each kind, the surer the later; half of the others wrong."""
    count = fixed + broken + others
    label = np.zeros(count, np.int32)
    before, after = label.copy(), label.copy()
    before[:fixed] = 1
    after[fixed : fixed + broken] = 1
    before[count - others // 2 :] = after[count - others // 2 :] = 1
    digest = np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8)
    return GateRows(digest, label, before, after, np.linspace(0.5, 1, count, dtype=np.float32))
