"""Small problems for tests of the solver."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from embedcache.heads.features import Features
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.sides import Sides
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler

__all__ = ["objective", "some_parameters"]


def objective(n: int, d: int, k: int, *, intercept: bool = True) -> Objective:
    """One float64 problem of n rows of d features with a decaying spectrum and k classes."""
    rng = np.random.default_rng(0)
    features = Features.of(rng.normal(size=(n, d)) / (1 + np.arange(d)))
    same = Scaler(np.zeros(d), np.ones(d))
    rows = Rows(features, same, Workers(torch.device("cpu")), torch.float64)
    make = partial(Targets.from_codes, rng.integers(k, size=n), k)
    ones = torch.ones(1, n, dtype=torch.float64)
    sides = Sides(ones, torch.zeros(1, d).double(), torch.ones(1, d).double())
    zero = torch.zeros(1, dtype=torch.int64)
    c = torch.full((1,), 0.1, dtype=torch.float64)
    targets = make(rows.device, torch.float64)
    return Objective(rows, targets, sides, c, zero, zero, intercept, torch.float64)


def some_parameters(problem: Objective) -> torch.Tensor:
    """Not so large that any row is sure; intercepts of mean 0."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(problem.start().shape, generator=generator, dtype=torch.float64) / 4
    if drawn.shape[1] > 1:
        drawn -= drawn.mean(1, keepdim=True)
    return drawn if problem.intercept else torch.cat([drawn[..., :-1], 0 * drawn[..., -1:]], -1)
