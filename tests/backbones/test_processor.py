"""What the processor computes fast."""

from __future__ import annotations

import pytest
import torch

from embedcache.backbones.processor import processor_features


def test_a_torch_that_cannot_tell_knows_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch 2.10 has no such function: nothing is taken for fast."""
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert processor_features() == {}


def test_features_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """By torch's names."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": 1}, raising=False)
    assert processor_features() == {"avx512_bf16": True}
