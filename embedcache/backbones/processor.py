"""What the processor computes fast, as torch tells it."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["processor_features"]


def processor_features() -> dict[str, bool]:
    """Features by torch's name, as `avx512_bf16`; none where torch cannot tell (2.10 cannot)."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return {name: bool(value) for name, value in known.items()}
