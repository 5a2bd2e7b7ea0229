"""Fold batch normalisation into the convolutions before it, and check that nothing changed.

In evaluation, BN(Wx + b) = sWx + s(b − μ) + β with s = γ / sqrt(σ² + ε): one convolution
with other weights (Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2).
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TOLERANCE", "fold"]

TOLERANCE = 1e-5
"""Largest difference of an output, relative to the largest output, that folding may make."""

_CONVOLUTIONS = {"Conv2d", "Conv2dSame"}
"""Exact classes: others (weight standardisation, say) compute with other weights than they hold."""


def fold(module: nn.Module, example: Tensor) -> nn.Module | None:
    """A copy of a model with its batch norms folded, `None` if there is nothing to gain.

    Pairs are found by watching one forward pass: the batch norm's input *is* the
    convolution's output, the same object, unchanged. That needs no tracing, so it works on
    any model; whatever it overlooks (an output that is also used elsewhere) shows in the
    check at the end, and then the model stays as it is.

    Args:
        module: In evaluation mode, on the CPU, float32.
        example: An input, (1, 3, H, W) float32.
    """
    if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        return None
    folded = copy.deepcopy(module)
    with torch.inference_mode(mode=False), torch.no_grad():  # inference tensors have no versions
        expected, pairs = _watch(folded, example)
        places = _places(folded)
        for convolution, norm in pairs:
            if len(places[norm]) == 1:
                parent, name = places[norm][0]
                _absorb(convolution, norm)
                setattr(parent, name, _remainder(norm))
        difference = (folded(example) - expected).abs().max()
    return folded if pairs and difference <= TOLERANCE * expected.abs().max() else None


def _watch(
    module: nn.Module, example: Tensor
) -> tuple[Tensor, list[tuple[nn.Conv2d, nn.BatchNorm2d]]]:
    """The output, and convolutions whose own goes straight into a batch norm, each called once."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor, int]] = {}
    pairs = []
    calls: Counter[nn.Module] = Counter()

    def after_convolution(convolution: Any, _: Any, output: Tensor) -> None:
        calls[convolution] += 1
        # Holding the output keeps its id from being given to another tensor.
        outputs[id(output)] = convolution, output, output._version  # noqa: SLF001  # no public name

    def before_norm(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        calls[norm] += 1
        convolution, output, version = outputs.get(id(inputs[0]), (None, None, None))
        if output is not None and output._version == version:  # noqa: SLF001  # as above
            pairs.append((convolution, norm))

    hooks = []
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and type(part).__name__ in _CONVOLUTIONS:
            hooks.append(part.register_forward_hook(after_convolution))
        elif isinstance(part, nn.BatchNorm2d) and _is_foldable(part):
            hooks.append(part.register_forward_pre_hook(before_norm))
    try:
        result: Tensor = module(example)
    finally:
        for hook in hooks:
            hook.remove()
    return result, [
        (convolution, norm)
        for convolution, norm in pairs
        if convolution is not None and calls[convolution] == calls[norm] == 1
    ]


def _is_foldable(norm: nn.BatchNorm2d) -> bool:
    """Whether it uses running statistics, and is PyTorch's or timm's fused with activation."""
    known = type(norm).__name__ in {"BatchNorm2d", "BatchNormAct2d"}
    return known and norm.running_mean is not None


def _places(module: nn.Module) -> dict[nn.Module, list[tuple[nn.Module, str]]]:
    """Every (parent, attribute) under which each submodule is found."""
    places: dict[nn.Module, list[tuple[nn.Module, str]]] = {}
    for parent in module.modules():
        for name, child in parent.named_children():
            places.setdefault(child, []).append((parent, name))
    return places


def _absorb(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Scale and shift a convolution as the batch norm would its output, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    if convolution.bias is not None:
        shift = shift + convolution.bias.double() * scale
    weight = convolution.weight
    scaled = weight.double() * scale.reshape(-1, 1, 1, 1)
    convolution.weight = nn.Parameter(scaled.to(weight.dtype), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)


def _remainder(norm: nn.BatchNorm2d) -> nn.Module:
    """What a batch norm does besides normalising: timm's goes on with an activation."""
    if hasattr(norm, "act"):
        return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))
    return nn.Identity()
