"""Which parameters a training moves."""

from __future__ import annotations

from small_training import freezing, small_model
from torch import nn

from embedcache.finetuning.freezing import freeze, set_modes


def test_depth_counts_from_the_output() -> None:
    """The head is at 0, the last block at 1; what no block names is the furthest away."""
    part = freezing(1)
    assert part.depth("head.weight") == 0
    assert part.depth("tower.second.0.weight") == 1
    assert part.depth("tower.stem.0.weight") == 3
    assert part.depth("position") == 3


def test_frozen_parts_and_norms_stay_in_evaluation_mode() -> None:
    """Dropout works only where training does; batch norm nowhere."""
    model = small_model()
    freeze(model, freezing(1))
    set_modes(model)
    tower = model.get_submodule("tower")
    assert not any(each.training for each in tower.get_submodule("first").modules())
    dropouts = [
        each for each in tower.get_submodule("second").modules() if isinstance(each, nn.Dropout)
    ]
    assert [each.training for each in dropouts] == [True]
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]
    assert not any(each.training for each in norms)
