"""`fit_at`: one classifier at one C, to the optimum.

N is the number of rows, D the dimension, K the number of classes, L the number
of weight vectors: K for a softmax, 1 for two classes, one per label of a
multilabel problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.heads.features import Features
from embedcache.heads.solver.leading import Leading
from embedcache.heads.solver.minimise import Minimiser
from embedcache.heads.solver.objective import Objective
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.sides import Sides
from embedcache.heads.solver.span import into_span
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler

__all__ = [
    "COLUMNS",
    "Fit",
    "MakeTargets",
    "Start",
    "fit_at",
    "into_span",
    "scaler_sides",
    "solved",
]

COLUMNS = 512
"""Weight vectors solved for together: beyond that products are no faster per vector."""

_SMALL = 2**22  # items of a float64 matrix that is solved in float64 from the start
MakeTargets = Callable[[torch.device, torch.dtype], Targets]
Start = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Fit:
    """A minimum of `C · Σ w ℓ + ½ ‖W‖²`, and how good it is.

    Attributes:
        weights: (L, D) float64, for raw features.
        intercept: (L,) float64.
        objective: Value at the minimum, summed over the labels of a multilabel problem.
        gradient_norm: Euclidean norm of the gradient, in float64, by the weights and the
            intercept of centred features.
        dual_gap: ½ ‖∂/∂W‖²: with the residuals p − y as dual variables, the duality gap of a
            generalised linear loss with penalty ½ ‖W‖² where the intercept's gradient is 0.
            A bound on `objective` minus the optimum, loose for large C.
        converged: Whether the estimated gap of every label is within tolerance.
        passes: Over the rows.
    """

    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    objective: float
    gradient_norm: float
    dual_gap: float
    converged: bool
    passes: int


def fit_at(
    features: Features,
    make_targets: MakeTargets,
    sample_weight: NDArray[np.float64],
    c: float,
    *,
    intercept: bool = True,
    tolerance: float = 1e-6,
    max_passes: int = 2000,
    device: str = "cpu",
    scaler: Scaler | None = None,
    start: Start | None = None,
) -> Fit:
    """Minimise in float32, then in float64 until the gradient in float64 agrees.

    Args:
        features: N rows.
        make_targets: Makes the targets on a device in a dtype.
        sample_weight: (N,), or (L, N) for each label of a multilabel problem; at least 0, class
            weights included.
        c: C.
        intercept: Whether to fit one; it is not penalised.
        tolerance: Largest estimated gap to the optimum, relative to the objective.
        max_passes: Over the rows, in either precision.
        device: Where, such as `cpu` or `cuda`.
        scaler: Penalise the weights of features standardised by it instead of raw ones.
        start: Weights (L, D) and intercept (L,) for raw features to start at.
    """
    n, d = len(features), features.dim
    if n >= d:
        with Workers(torch.device(device)) as workers:
            return _solve(
                features,
                make_targets,
                sample_weight,
                c,
                scaler,
                start,
                workers,
                intercept=intercept,
                tolerance=tolerance,
                max_passes=max_passes,
            )
    if scaler is None:
        mean = Scaler.of(features).mean if intercept else np.zeros(d)
        scaler = Scaler(mean, np.ones(d))
    spanned, basis = into_span(scaler.apply(features.array(), np.float64))
    if start is not None:
        start = (start[0] * scaler.scale) @ basis, start[1] + start[0] @ scaler.mean
    with Workers(torch.device(device)) as workers:
        fit = _solve(
            Features.of(spanned),
            make_targets,
            sample_weight,
            c,
            None,
            start,
            workers,
            intercept=intercept,
            tolerance=tolerance,
            max_passes=max_passes,
        )
    weights, shift = scaler.fold(fit.weights @ basis.T, fit.intercept)
    return replace(fit, weights=weights, intercept=shift)


def _solve(
    features: Features,
    make_targets: MakeTargets,
    sample_weight: NDArray[np.float64],
    c: float,
    scaler: Scaler | None,
    start: Start | None,
    workers: Workers,
    *,
    intercept: bool,
    tolerance: float,
    max_passes: int,
) -> Fit:
    size = len(features) * features.dim
    small = features.table.dtype == np.float64 and size <= _SMALL
    dtype = torch.float64 if small else torch.float32
    common = Scaler.of(features) if scaler is None else scaler
    targets = make_targets(workers.device, dtype)
    rows = Rows(features, common, workers, dtype, targets.k)
    if scaler is None:
        # The penalty is on the caller's weights; their mean is left to the intercept.
        mean = common.mean if intercept else np.zeros(rows.d)
        scaler = Scaler(mean, np.ones(rows.d))
    objective = _objective(rows, targets, sample_weight, c, scaler, intercept=intercept)
    begin = objective.start() if start is None else _warm(objective, start, scaler)
    return solved(objective, begin, Leading.of(objective), scaler, tolerance, max_passes)


def solved(
    objective: Objective,
    begin: torch.Tensor,
    leading: Leading,
    scaler: Scaler,
    tolerance: float,
    max_passes: int,
) -> Fit:
    """Minimise, so many problems at a time as share a pass well.

    Args:
        objective: P problems that make one classifier.
        begin: (P, K, D + 1), where to start.
        leading: Directions of the rows.
        scaler: Which features the weights are for; they are folded into raw ones.
        tolerance: As for `fit_at`, like the next.
        max_passes: Over the rows.
    """
    fits = []
    for part in torch.split(torch.arange(len(objective)), max(1, COLUMNS // objective.targets.k)):
        run = Minimiser(objective.subset(part), begin[part], leading)
        run.solve(tolerance, max_passes)
        fits.append(_result(run, run.converged(tolerance), scaler))
    return Fit(
        np.concatenate([fit.weights for fit in fits]),
        np.concatenate([fit.intercept for fit in fits]),
        sum(fit.objective for fit in fits),
        float(np.hypot.reduce([fit.gradient_norm for fit in fits])),
        sum(fit.dual_gap for fit in fits),
        all(fit.converged for fit in fits),
        max(fit.passes for fit in fits),
    )


def _objective(
    rows: Rows,
    targets: Targets,
    sample_weight: NDArray[np.float64],
    c: float,
    scaler: Scaler,
    *,
    intercept: bool,
) -> Objective:
    weights = torch.from_numpy(np.atleast_2d(sample_weight)).to(rows.device, rows.dtype)
    shift, stretch = scaler_sides(rows, [scaler] * len(weights))
    labels = torch.arange(targets.labels, device=rows.device)
    cs = torch.full((targets.labels,), c, dtype=torch.float64, device=rows.device)
    side = labels if sample_weight.ndim == 2 else torch.zeros_like(labels)
    sides = Sides(weights, shift, stretch)
    return Objective(rows, targets, sides, cs, side, labels, intercept, rows.dtype)


def scaler_sides(rows: Rows, scalers: list[Scaler]) -> tuple[torch.Tensor, torch.Tensor]:
    """Shift and stretch, (F, D) float64, from the common rows to each scaler's."""
    shift = np.stack([(scaler.mean - rows.mean) / rows.scale for scaler in scalers])
    stretch = np.stack([rows.scale / scaler.scale for scaler in scalers])
    return torch.from_numpy(shift).to(rows.device), torch.from_numpy(stretch).to(rows.device)


def _warm(objective: Objective, start: Start, scaler: Scaler) -> torch.Tensor:
    weights, bias = start
    both = np.concatenate([weights * scaler.scale, (bias + weights @ scaler.mean)[:, None]], 1)
    parameters = torch.from_numpy(both).view(-1, objective.targets.k, both.shape[1])
    return parameters.to(objective.rows.device, objective.dtype)


def _result(run: Minimiser, converged: torch.Tensor, scaler: Scaler) -> Fit:
    state = run.state
    scale = 1 / state.objective.penalty
    flat = state.parameters.double().cpu().numpy().reshape(-1, state.objective.rows.d + 1)
    weights, shift = scaler.fold(flat[:, :-1], flat[:, -1])
    slope = state.gradient.double() * scale[:, None, None]
    return Fit(
        weights,
        shift,
        float((state.value * scale).sum()),
        float(slope.norm()),
        float(slope[..., :-1].square().sum() / 2),
        bool(converged.all()),
        state.passes,
    )
