"""The memory of L-BFGS."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embedcache import SoftmaxRegression
from embedcache.heads.solver import lbfgs
from embedcache.heads.solver.lbfgs import Lbfgs


@pytest.mark.parametrize(("free", "kept"), [(2**22, 10), (0, 4)])
def test_steps_of_many_classes_take_no_more_memory_than_a_share_of_the_features(
    free: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pairs where they cost nothing, four where as many would be larger than the features."""
    monkeypatch.setattr(lbfgs, "_FREE", free)
    most, remember = [0], Lbfgs._remember

    def counted(self: Lbfgs, *change: torch.Tensor) -> None:
        remember(self, *change)
        most[0] = max(most[0], len(self._pairs))

    monkeypatch.setattr(Lbfgs, "_remember", counted)
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(300, 200)).astype(np.float32), np.arange(300) % 60
    assert SoftmaxRegression(C=1.0).fit(features, labels).converged_
    assert most[0] == kept
