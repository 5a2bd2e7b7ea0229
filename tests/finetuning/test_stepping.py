"""One step of a training."""

from __future__ import annotations

import torch
from torch.nn import functional

from embedcache.finetuning.stepping import autocast

CPU = torch.device("cpu")


def test_depthwise_convolutions_are_computed_in_float32() -> None:
    """In bfloat16 on a CPU, what a depthwise convolution gives is float32's result, rounded."""
    torch.manual_seed(0)
    inputs = torch.randn(2, 8, 9, 9).bfloat16()
    weight = torch.randn(8, 1, 3, 3, requires_grad=True)
    with autocast(CPU, "bfloat16"):
        found = functional.conv2d(inputs, weight, groups=8)
    expected = functional.conv2d(inputs.float(), weight, groups=8)
    assert torch.equal(found, expected.bfloat16())
    (found_slope,) = torch.autograd.grad(found.float().sum(), weight)
    (expected_slope,) = torch.autograd.grad(expected.sum(), weight)
    assert torch.equal(found_slope, expected_slope)


def test_other_convolutions_are_computed_in_bfloat16() -> None:
    """A convolution across channels has rounded weights; a float32 context changes nothing."""
    torch.manual_seed(0)
    inputs, weight = torch.randn(2, 8, 9, 9), torch.randn(4, 8, 3, 3)
    with autocast(CPU, "bfloat16"):
        assert functional.conv2d(inputs, weight).dtype == torch.bfloat16
    with autocast(CPU, "float32"):
        found = functional.conv2d(inputs, weight)
    assert torch.equal(found, functional.conv2d(inputs, weight))
