"""`Targets`: what the rows should be predicted as, in the form that the loss wants.

N is the number of rows, K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["Targets"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of one of two forms: one softmax over K classes, or sigmoids on their own.

    Attributes:
        codes: (1, N) int64 in 0 to K − 1, for a softmax over hard labels, else None.
        shares: (K, N) probabilities of the classes for a softmax over soft labels, or
            (labels, N) probabilities of "yes" for sigmoids; None with `codes`.
        k: Logits of a problem: K for a softmax, 1 for a sigmoid.
        labels: Problems that a complete classifier consists of: 1, or the number of sigmoids.
    """

    codes: torch.Tensor | None
    shares: torch.Tensor | None
    k: int
    labels: int = 1

    @property
    def is_softmax(self) -> bool:
        """Whether a row has exactly one class out of three or more."""
        return self.k > 1

    @classmethod
    def from_codes(
        cls, codes: NDArray[np.integer], k: int, device: torch.device, dtype: torch.dtype
    ) -> Targets:
        """Hard labels (N,) in 0 to K − 1; for two classes the sigmoid of the second."""
        hard = torch.from_numpy(codes.astype(np.int64)).to(device)[None]
        if k == 2:
            return cls(None, hard.to(dtype), 1)
        return cls(hard, None, k)

    @classmethod
    def from_probabilities(
        cls, shares: NDArray[np.floating], device: torch.device, dtype: torch.dtype
    ) -> Targets:
        """Soft labels (N, K), rows sum to 1."""
        soft = torch.from_numpy(np.ascontiguousarray(shares.T)).to(device, dtype)
        if len(soft) == 2:
            return cls(None, soft[1:].contiguous(), 1)
        return cls(None, soft, len(soft))

    @classmethod
    def from_indicators(
        cls, indicators: NDArray[np.generic], device: torch.device, dtype: torch.dtype
    ) -> Targets:
        """Multilabel (N, labels) of 0 and 1, or probabilities: one sigmoid per label."""
        shares = torch.from_numpy(np.ascontiguousarray(indicators.T)).to(device, dtype)
        return cls(None, shares, 1, len(shares))
