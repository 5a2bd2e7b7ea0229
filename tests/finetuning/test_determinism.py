"""Trainings that repeat themselves on a GPU; `tests/gpu` sees whether they do."""

from __future__ import annotations

import pytest
import torch

from embedcache.finetuning.determinism import deterministic


def test_asked_for_on_a_gpu_only() -> None:
    """PyTorch is told inside the context, and what it was told before holds again after it."""
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cuda")):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cpu")):
        assert not torch.are_deterministic_algorithms_enabled()


def test_undone_after_an_error() -> None:
    """A training that fails leaves PyTorch as it was."""
    with pytest.raises(ValueError, match="stop"), deterministic(torch.device("cuda")):
        raise ValueError("stop")
    assert not torch.are_deterministic_algorithms_enabled()
