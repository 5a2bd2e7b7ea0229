"""Small models and rows to train on, in less than a second."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from embedcache.finetuning.batches import Batch
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.recipe import RECIPES
from embedcache.finetuning.sampling import rows_of_step

BLOCKS = ("tower.stem.", "tower.first.", "tower.second.")
RECIPE = replace(RECIPES["efficientnet"], learning_rate=1e-2, batch_size=8, steps=12)
CLASSES = 3


def freezing(trained: int) -> Freezing:
    """The last blocks of `small_model`."""
    names = [name for name, _ in small_model().named_parameters()]
    blocks = (tuple(name for name in names if name.startswith(block)) for block in BLOCKS)
    return Freezing(tuple(blocks), trained)


def small_model(seed: int = 0) -> nn.Module:
    """A stem, two blocks with batch norm and dropout, and a head; (B, 3, 4, 4) to (B, 3)."""

    def block() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(6, 6, 3)
        )

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        tower = nn.Sequential()
        tower.add_module("stem", nn.Sequential(nn.Conv2d(3, 6, 3, padding=2), nn.BatchNorm2d(6)))
        tower.add_module("first", block())
        tower.add_module("second", block())
        tower.add_module("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        model = nn.Sequential()
        model.add_module("tower", tower)
        model.add_module("head", nn.Linear(6, CLASSES))
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(0, 0.1)
    return model.eval()


@dataclass(frozen=True)
class RandomBatches:
    """Noise whose classes differ in brightness."""

    rows: int = 40
    batch_size: int = 8
    seed: int = 0

    def batch(self, step: int) -> Batch:
        chosen = rows_of_step(self.seed, step, self.batch_size, self.rows)
        inputs, labels = self.table()
        return Batch(inputs[chosen], labels[chosen], torch.ones(len(chosen)))

    def table(self) -> tuple[Tensor, Tensor]:
        """All rows, (N, 3, 4, 4), and their labels."""
        labels = torch.arange(self.rows) % CLASSES
        noise = torch.randn(self.rows, 3, 4, 4, generator=torch.Generator().manual_seed(1))
        return noise + labels.reshape(-1, 1, 1, 1), labels
