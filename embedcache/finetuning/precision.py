"""In which precision a model is trained, and in which it is judged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from embedcache.backbones.processor import processor_features

__all__ = ["autocast", "training_autocast", "training_precision"]


def training_precision(device: torch.device) -> str:
    """`bfloat16` where the device computes in it, else `float32`."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu":
        return "float32"
    has = processor_features()
    return "bfloat16" if has.get("avx512_bf16") or has.get("amx_bf16") else "float32"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """A context in which a forward pass has this precision, as an extraction has it."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))


def training_autocast(
    device: torch.device, precision: str
) -> contextlib.AbstractContextManager[object]:
    """The same for a forward pass with a backward pass after it."""
    stack = contextlib.ExitStack()
    stack.enter_context(autocast(device, precision))
    if device.type == "cpu" and precision != "float32":
        stack.enter_context(_DepthwiseInFloat32())
    return stack


class _DepthwiseInFloat32(TorchFunctionMode):
    """Has depthwise convolutions computed in float32, whatever autocast says.

    On CPUs the gradients of one in bfloat16 take several times as long: *seen* with oneDNN of
    torch 2.14 on AMX, 5 × 5 over (32, 672, 14, 14), 248 ms against 55 ms, at 4 to 6 ms forward.
    So EfficientNet-Lite0 takes 2.2 s of CPU time for a step of 32 images, not 3.9 s.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],  # torch passes it
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is not functional.conv2d or not _is_depthwise(*args, **kwargs):
            return func(*args, **kwargs)
        inputs, *rest = args
        with torch.autocast("cpu", enabled=False):
            outputs = func(inputs.float(), *rest, **kwargs)
        return outputs.to(torch.get_autocast_dtype("cpu"))


def _is_depthwise(_inputs: Any, weight: torch.Tensor, *_: Any, **__: Any) -> bool:
    """Whether each channel has filters of its own: there is more than one, and each sees one."""
    return weight.shape[1] == 1 and weight.shape[0] > 1
