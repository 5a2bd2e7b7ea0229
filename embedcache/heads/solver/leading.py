"""`Leading`: the directions that rows vary most along, and rows by their coordinates.

N is the number of rows, D the dimension, R ≤ D the number of directions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.parallel import summed

__all__ = ["Leading", "Seen"]

_DIRECTIONS = 128
"""On ELPV, 256 took 17 passes instead of 19 to 4e-6 of the optimum at C = 0.01, and twice the
time to find."""

_SAMPLE = 4096
"""Rows that curvature is taken over."""

_ITEMS = 2**20  # probabilities of one problem, or scaled features, that are computed at a time


@dataclass(frozen=True, eq=False)
class Seen:
    """Some rows, by their coordinates along the directions.

    Attributes:
        rows: Which.
        along: (n, R).
        squares: (n,) squared length of each row.
    """

    rows: slice
    along: torch.Tensor
    squares: torch.Tensor


@dataclass(frozen=True, eq=False)
class Leading:
    """Directions, (D, R) orthonormal in columns, of most variance first; a sample of rows.

    They need to be good for a preconditioner only, so that all folds, every C and the refit
    share those of all rows. A randomised range finder gets them for the price of a few passes
    (Halko, Martinsson & Tropp 2011, *Finding structure with randomness*, algorithms 4.1 and 5.3,
    of the Gram matrix); all its eigenvectors cost as much as 100.
    """

    vectors: torch.Tensor
    sample: list[Seen]

    @classmethod
    def of(cls, objective: Objective) -> Leading:
        """Of the rows standardised as the folds are on average."""
        rows, sides, dtype = objective.rows, objective.sides, objective.dtype
        shift, stretch = (side.mean(0).to(dtype) for side in (sides.shift, sides.stretch))
        most, few = (max(1, _ITEMS // size) for size in (objective.targets.k, rows.d))
        blocks = [part for block in rows.sample(_SAMPLE) for part in _parts(block, most)]

        def scaled(block: slice) -> torch.Tensor:
            return (rows.block(block, dtype) - shift) * stretch

        if rows.d <= _DIRECTIONS:
            start = torch.eye(rows.d, dtype=dtype, device=rows.device)
        else:
            generator = torch.Generator().manual_seed(0)
            drawn = torch.randn(rows.d, _DIRECTIONS, generator=generator, dtype=dtype)
            drawn = drawn.to(rows.device)

            def share(blocks: list[slice]) -> tuple[torch.Tensor]:
                total = torch.zeros_like(drawn)
                for block in blocks:
                    for part in _parts(block, few):
                        x = scaled(part)
                        total.addmm_(x.T, x @ drawn)
                return (total,)

            start = torch.linalg.qr(summed(rows.workers.share(share, blocks))[0])[0]
        sample, inner = [], torch.zeros(start.shape[1], start.shape[1], dtype=dtype)
        inner = inner.to(rows.device)
        for block in blocks:
            found = [_seen(scaled(part), start) for part in _parts(block, few)]
            along, squares = (torch.cat(each) for each in zip(*found, strict=True))
            inner.addmm_(along.T, along)
            sample.append(Seen(block, along, squares))
        turn = torch.linalg.eigh(inner.double())[1].flip(1).to(dtype)
        turned = [replace(seen, along=seen.along @ turn) for seen in sample]
        return cls(start @ turn, turned)


def _seen(x: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates and squared lengths of rows (n, D)."""
    return x @ directions, x.square().sum(1)


def _parts(block: slice, most: int) -> list[slice]:
    """The same rows, in blocks of at most so many."""
    step = most * block.step
    starts = range(block.start, block.stop, step)
    return [slice(at, min(at + step, block.stop), block.step) for at in starts]
