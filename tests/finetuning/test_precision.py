"""Precisions of training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from embedcache.finetuning.precision import autocast, training_autocast

CPU = torch.device("cpu")


def _computed(convolution: nn.Conv2d, context: object) -> tuple[torch.Tensor, torch.Tensor]:
    """Its output, and the gradient of its weights."""
    convolution.zero_grad()
    inputs = torch.randn(4, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    with context:  # type: ignore[attr-defined]  # a context manager
        outputs = convolution(inputs)
    outputs.float().square().sum().backward()
    assert convolution.weight.grad is not None
    return outputs, convolution.weight.grad.clone()


@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_convolutions_are_trained_in_float32(kernel: int) -> None:
    """The output is rounded as autocast has it, but nothing was before; gradients are exact."""
    convolution = nn.Conv2d(8, 8, kernel, groups=8)
    exact, gradient = _computed(convolution, autocast(CPU, "float32"))
    outputs, found = _computed(convolution, training_autocast(CPU, "bfloat16"))
    assert outputs.dtype == torch.bfloat16
    assert torch.equal(outputs, exact.bfloat16())
    torch.testing.assert_close(found, gradient, rtol=0.01, atol=0.01 * float(gradient.abs().max()))


@pytest.mark.parametrize("groups", [1, 2])
def test_other_convolutions_are_autocast(groups: int) -> None:
    """As in an evaluation, bit by bit."""
    convolution = nn.Conv2d(8, 8, 3, groups=groups)
    expected, _ = _computed(convolution, autocast(CPU, "bfloat16"))
    outputs, _ = _computed(convolution, training_autocast(CPU, "bfloat16"))
    assert torch.equal(outputs, expected)
    assert outputs.dtype == torch.bfloat16


def test_an_evaluation_knows_no_exception() -> None:
    """It is what an extraction computes: depthwise convolutions in bfloat16, too."""
    convolution = nn.Conv2d(8, 8, 3, groups=8)
    exact, _ = _computed(convolution, autocast(CPU, "float32"))
    outputs, _ = _computed(convolution, autocast(CPU, "bfloat16"))
    assert not torch.equal(outputs, exact.bfloat16())
