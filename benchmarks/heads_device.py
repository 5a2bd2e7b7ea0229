"""Measure the solver on an accelerator against scikit-learn on the same machine's processor.

    python benchmarks/heads_device.py --device cuda

Needs numpy, torch and scikit-learn only: the features are made here. Ours is timed to the end
of the device's work, the copy of the features to it included: one fit, and the grid of C on
five folds with the refit, no C left out. scikit-learn is timed on part of that, with all
threads that `--threads` grants, and scaled; the table says from how much. One fit of each
side is of the loosest of its tolerances that ends within 1e-4 of the optimum.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from heads_data import Data, synthetic
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from embedcache.evaluation.folds import stratified_folds
from embedcache.heads.features import Features
from embedcache.heads.solver.fit import Fit, fit_at
from embedcache.heads.solver.folds import FoldedFits
from embedcache.heads.standardise import Scaler

FOLDS = 5
GRID = [float(f"{10 ** (i / 2):.3g}") for i in range(-10, 3)]
ENOUGH = 30.0  # seconds of scikit-learn after which its loosest fits are no longer repeated


def synchronise(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(device: str, work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and wall time to the end of the device's work."""
    synchronise(device)
    started = time.perf_counter()
    found = work()
    synchronise(device)
    return found, time.perf_counter() - started


def log_loss(data: Data, logits: np.ndarray, rows: np.ndarray) -> float:
    """Mean over some rows of logits (N, K), or (N, 1) of the second of two classes."""
    scores = logits[rows].astype(np.float64)
    if scores.shape[1] == 1:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[np.arange(len(scores)), data.labels[rows]]
    return float((np.log(np.exp(scores).sum(axis=1)) - own).mean())


def our_fit(data: Data, c: float, tolerance: float, device: str) -> Fit:
    """One fit, standardisation included."""
    features = Features.of(data.features)
    return fit_at(
        features,
        data.targets(),
        np.ones(len(data.labels)),
        c,
        scaler=Scaler.of(features),
        tolerance=tolerance,
        device=device,
    )


def our_grid(data: Data, folds: np.ndarray, device: str) -> tuple[float, float, int]:
    """Every C on all folds and the refit: the best C, its held-out log-loss, all passes."""
    fits = FoldedFits(Features.of(data.features), data.targets(), folds, device=device)
    losses, passes = [], 0
    for c in GRID:
        found = fits.at(c, tolerance=1e-5, max_passes=200)
        losses.append(log_loss(data, found.logits, np.arange(len(folds))))
        passes += found.passes
    best = GRID[int(np.argmin(losses))]
    return best, min(losses), passes + our_fit(data, best, 1e-6, device).passes


def their_fit(data: Data, rows: np.ndarray, c: float, tolerance: float) -> tuple[Scaler, Any]:
    """scikit-learn on some rows, standardisation included."""
    scaler = Scaler.fit(data.features[rows])
    model = LogisticRegression(C=c, tol=tolerance, max_iter=1000)
    return scaler, model.fit(scaler.apply(data.features[rows], np.float32), data.labels[rows])


def objective(data: Data, c: float, scaler: Scaler, model: Any) -> float:
    """Of scikit-learn's fit to all rows, in float64."""
    logits = scaler.apply(data.features, np.float64) @ model.coef_.T.astype(np.float64)
    logits += model.intercept_
    loss = log_loss(data, logits, np.arange(len(logits))) * len(logits)
    return c * loss + float(np.square(model.coef_.astype(np.float64)).sum()) / 2


def compare(data: Data, c: float, device: str) -> None:
    """Print one fit and the whole grid."""
    our_fit(data, c, 1e-3, device)  # what the device compiles and loads at the first call
    best = our_fit(data, c, 1e-7, device)
    for tolerance in (3e-5, 1e-5, 3e-6, 1e-6):
        ours, our_time = seconds(device, partial(our_fit, data, c, tolerance, device))
        if ours.objective <= best.objective * (1 + 1e-4):
            break
    every, spent = np.arange(len(data.labels)), 0.0
    for tolerance in (1e-3, 1e-4, 1e-5):
        (scaler, model), time_taken = seconds("cpu", partial(their_fit, data, every, c, tolerance))
        gap = objective(data, c, scaler, model) / best.objective - 1
        spent += time_taken
        if gap <= 1e-4 or spent > ENOUGH:
            break
    print(
        f"| {data.name} | one fit, C = {c:g} | {our_time:.2f} s | {time_taken:.2f} s | "
        f"{time_taken / our_time:.1f} × | {ours.passes} and {int(model.n_iter_.max())} passes, "
        f"{ours.objective / best.objective - 1:.0e} and {gap:.0e} above the optimum |",
        flush=True,
    )
    folds = stratified_folds(data.labels, np.full(len(every), -1, np.int32), FOLDS, 0)
    (chosen, loss, passes), our_time = seconds(device, partial(our_grid, data, folds, device))
    train = np.flatnonzero(folds != 0)
    _, fold_time = seconds("cpu", partial(their_fit, data, train, c, 1e-4))
    whole = fold_time * FOLDS * len(GRID) + time_taken
    print(
        f"| {data.name} | {len(GRID)} C × {FOLDS} folds, refit | {our_time:.2f} s | "
        f"{whole:.0f} s | {whole / our_time:.0f} × | held-out log-loss {loss:.4f} "
        f"at C = {chosen:g}, {passes} passes by folds; theirs scaled from 1 fold at C = {c:g} |",
        flush=True,
    )


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", nargs="+", default=["50000x768x100"], metavar="NxDxK")
    parser.add_argument("--c", type=float, default=0.01, help="of one fit")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(arguments.threads)
    name = arguments.device
    if name.startswith("cuda"):
        name = torch.cuda.get_device_name()
    print(f"ours on {name}, float32; scikit-learn with {arguments.threads} threads; wall time")
    print("| data | what | ours | scikit-learn | ratio | notes |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with threadpool_limits(arguments.threads):
        for shape in arguments.data:
            compare(synthetic(shape), arguments.c, arguments.device)
    if arguments.device.startswith("cuda"):
        print(f"peak memory of the device {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
