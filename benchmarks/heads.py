"""Measure the softmax regression solver against scikit-learn: speed, held-out loss, memory.

    python benchmarks/heads.py                          a small table, a minute or two
    python benchmarks/heads.py --data 50000x768x100 --folds-timed 1 --cs-timed 4
    python benchmarks/heads.py --cache cache/elpv-…/….h5
    python benchmarks/heads.py memory profile --data 50000x768x1000

Both sides get the same folds, grid, standardisation (with its floor) and float32
features, in one session, and are quoted as a ratio: absolute figures belong to
the machine. scikit-learn gets as many threads as make it fastest. Processor time is given
beside wall time, for machines that are busy with something else. Where it is
timed on some folds and C only, its time is scaled up by their number and the
table says so.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from threadpoolctl import threadpool_limits

from embedcache.evaluation.folds import stratified_folds
from embedcache.heads.choice_records import SelectionRecord
from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.logreg import Logreg
from embedcache.heads.selection import select
from embedcache.heads.solver.fit import fit_at
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler

FOLDS = 5
GRID = [float(f"{10 ** (i / 2):.3g}") for i in range(-10, 3)]
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Time:
    """Seconds by the clock, and of all threads together."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} of CPU)"

    def __add__(self, other: Time) -> Time:
        return Time(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, factor: float) -> Time:
        return Time(self.wall * factor, self.cpu * factor)

    def ratio(self, other: Time) -> str:
        """How many times longer this is."""
        return f"{self.wall / other.wall:.1f} × (CPU {self.cpu / other.cpu:.1f} ×)"


class Clock:
    """Time since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def read(self) -> Time:
        """How long ago that was."""
        return Time(time.perf_counter() - self._start[0], time.process_time() - self._start[1])


@dataclass(frozen=True, eq=False)
class Data:
    """Features (N, D) float32 and labels (N,) in 0 to K − 1."""

    name: str
    features: np.ndarray
    labels: np.ndarray

    @property
    def k(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1

    def targets(self) -> Callable[[torch.device, torch.dtype], Targets]:
        """What the solver makes its targets with."""
        return partial(Targets.from_codes, self.labels, self.k)


def synthetic(shape: str) -> Data:
    """N×D×K: class means and noise with the decaying spectrum of network features."""
    n, d, k = (int(side) for side in shape.split("x"))
    rng = np.random.default_rng(0)
    spectrum = (1 + np.arange(d)) ** -0.5
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    labels = rng.integers(k, size=n)
    means = rng.normal(size=(k, d)) * spectrum
    features = np.empty((n, d), np.float32)
    for at in range(0, n, 1024):
        block = slice(at, min(at + 1024, n))
        noise = rng.normal(size=(block.stop - at, d)) * spectrum * 4
        features[block] = (means[labels[block]] + noise) @ rotation
    return Data(f"synthetic {shape}", features, labels)


def cached(path: str) -> Data:
    """The labelled rows of a cache."""
    from embedcache.store.cache import FeatureCache

    with FeatureCache(path) as cache:
        labelled = np.flatnonzero(cache.y >= 0)
        features = np.asarray(cache.X[labelled], np.float32)
        labels = np.unique(cache.y[labelled], return_inverse=True)[1]
    return Data(f"{path.rsplit('/', 2)[-2]} {features.shape}", features, labels)


def ours(data: Data, folds: np.ndarray) -> tuple[Time, Time, SelectionRecord, np.ndarray]:
    """Time of the selection and of the refit, the choice, and the losses of the best C."""
    training = Training(Features.of(data.features), data.labels, 0)
    alone = np.full(len(data.labels), -1, np.int32)
    model, clock = Logreg(), Clock()
    selected = select(model, training, alone, folds)
    time, clock = clock.read(), Clock()
    model.fit(training, selected.record.setting)
    return time, clock.read(), selected.record, selected.losses


def objective(data: Data, scaler: Scaler, c: float, weights: np.ndarray, bias: np.ndarray) -> float:
    """scikit-learn's objective at weights for raw features, in float64."""
    total = 0.0
    for at in range(0, len(data.labels), 4096):
        block = slice(at, at + 4096)
        logits = data.features[block].astype(np.float64) @ weights.T + bias
        if data.k == 2:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        top = logits.max(axis=1)
        norm = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
        total += float((norm - logits[np.arange(len(logits)), data.labels[block]]).sum())
    return c * total + 0.5 * float(np.square(weights * scaler.scale).sum())


def compare_one_fit(data: Data, c: float) -> int:
    """One fit at one C to the same objective; returns scikit-learn's best threads."""
    clock = Clock()
    scaler = Scaler.fit(data.features)
    ones = np.ones(len(data.labels))
    fit = fit_at(Features.of(data.features), data.targets(), ones, c, scaler=scaler, tolerance=3e-5)
    our_time = clock.read()
    target = objective(data, scaler, c, fit.weights, fit.intercept)
    best, best_threads, gap = Time(np.inf, np.inf), 1, np.inf
    for threads in sorted({1, torch.get_num_threads()}):
        # The loosest tolerance that comes as close is the fair one.
        for tolerance in (1e-3, 1e-4, 1e-5, 1e-6):
            model = LogisticRegression(C=c, tol=tolerance, max_iter=MAX_ITERATIONS)
            clock = Clock()
            with threadpool_limits(threads):
                model.fit(scaler.apply(data.features, np.float32), data.labels)
            seconds = clock.read()
            raw = scaler.fold(model.coef_.astype(np.float64), model.intercept_.astype(np.float64))
            reached = objective(data, scaler, c, *raw) / target - 1
            if reached <= 1e-4:
                if seconds.wall < best.wall:
                    best, best_threads, gap = seconds, threads, reached
                break
    print(
        f"{data.name:32} one fit C={c:g}: ours {our_time}, {fit.passes} passes; scikit-learn "
        f"{best} on {best_threads} threads; ratio {best.ratio(our_time)}; "
        f"objective theirs/ours − 1 = {gap:.1e}",
        flush=True,
    )
    return best_threads


def compare_selection(data: Data, threads: int, folds_timed: int, cs_timed: int) -> None:
    """The whole selection and refit."""
    alone = np.full(len(data.labels), -1, np.int32)
    folds = stratified_folds(data.labels, alone, FOLDS, 0)
    selected, refitted, record, losses = ours(data, folds)
    chosen = record.setting["C"]
    tried = len(record.scores)
    # Evenly over the grid, so that cheap and dear C are both in.
    grid = [GRID[i] for i in np.unique(np.linspace(0, len(GRID) - 1, cs_timed).astype(int))]
    if cs_timed < len(GRID) and chosen not in grid:
        grid = sorted([*grid, chosen])
    theirs, their_losses, our_losses = Time(0, 0), [], []
    for fold in range(folds_timed):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        clock = Clock()
        features = Scaler.fit(data.features[train]).apply(data.features, np.float32)
        model = LogisticRegressionCV(
            Cs=grid,
            cv=[(train, test)],
            scoring="neg_log_loss",
            refit=False,
            l1_ratios=(0,),
            max_iter=MAX_ITERATIONS,
            use_legacy_attributes=False,
        )
        with threadpool_limits(threads):
            model.fit(features, data.labels)
        theirs += clock.read()
        their_losses.append(-np.ravel(model.scores_))
        our_losses.append(losses[test].mean())
    theirs *= FOLDS / folds_timed * len(GRID) / len(grid)
    mean = np.mean(their_losses, axis=0)
    c = grid[int(mean.argmin())]
    clock = Clock()
    with threadpool_limits(threads):
        features = Scaler.fit(data.features).apply(data.features, np.float32)
        LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(features, data.labels)
    their_refit = clock.read()
    ratio = (theirs + their_refit).ratio(selected + refitted)
    scaled = (
        ""
        if (folds_timed, len(grid)) == (FOLDS, len(GRID))
        else f", scaled from {folds_timed} of {FOLDS} folds and {len(grid)} of {len(GRID)} C"
    )
    print(
        f"{data.name:32} selection: ours {selected} + refit {refitted}, C = "
        f"{chosen:g}, held-out {np.mean(our_losses):.5f}; scikit-learn "
        f"{theirs} + {their_refit}{scaled}, C = {c:g}, held-out "
        f"{mean.min():.5f}; ratio {ratio}; {tried} C tried",
        flush=True,
    )


def profile(data: Data, c: float) -> None:
    """Where the time of one fit goes, on one thread; and a pass against reading X once."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch_profile(activities=[ProfilerActivity.CPU]) as recorded:
            fit = fit_at(
                Features.of(data.features),
                data.targets(),
                np.ones(len(data.labels)),
                c,
                scaler=Scaler.fit(data.features),
                tolerance=1e-4,
                max_passes=20,
            )
    finally:
        torch.set_num_threads(before)
    events = sorted(recorded.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    shares = ", ".join(
        f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / total:.0%}"
        for event in events[:10]
    )
    held = torch.from_numpy(data.features)
    started = time.perf_counter()
    held.sum()
    read = time.perf_counter() - started
    print(f"{data.name:32} profile over {fit.passes} passes, {total / 1e6:.1f} s: {shares}")
    print(f"{data.name:32} per pass {total / 1e6 / fit.passes:.3f} s; reading X {read:.3f} s")


def memory(shape: str) -> None:
    """Peak of a child process that selects and refits, above what it had before the data."""
    done = subprocess.run(
        [sys.executable, __file__, "memory-child", "--data", shape],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    print(f"synthetic {shape:22} {done.stdout.strip()}", flush=True)


def memory_child(shape: str) -> None:
    """In the child: the peak as a multiple of the float32 features, which are part of it."""
    n, d, _ = (int(side) for side in shape.split("x"))
    warm = synthetic("600x16x4")
    ours(warm, np.arange(600) % FOLDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    data = synthetic(shape)
    fit_at(
        Features.of(data.features),
        data.targets(),
        np.ones(n),
        0.01,
        scaler=Scaler.fit(data.features),
        max_passes=5,
    )
    one = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    training = Training(Features.of(data.features), data.labels, 0)
    select(
        Logreg(),
        training,
        np.full(n, -1, np.int32),
        np.arange(n) % FOLDS,
        values=(1e-4, 1e-3),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    matrix = n * d * 4
    print(
        f"peak memory {(one - before) / matrix:.2f} × the float32 features for one fit, "
        f"{(peak - before) / matrix:.2f} × for the selection"
    )


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["fit", "selection"])
    parser.add_argument("--data", nargs="+", default=["2000x128x5", "5000x256x10"])
    parser.add_argument("--cache", nargs="+", default=[], metavar="FILE")
    parser.add_argument("--c", type=float, nargs="+", default=[0.01])
    parser.add_argument("--folds-timed", type=int, default=FOLDS)
    parser.add_argument("--cs-timed", type=int, default=len(GRID))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if "memory-child" in arguments.what:
        memory_child(arguments.data[0])
        return
    if "memory" in arguments.what:
        for shape in arguments.data:
            memory(shape)
    makers = [partial(cached, path) for path in arguments.cache]
    if not arguments.cache:
        makers = [partial(synthetic, shape) for shape in arguments.data]
    for make in makers:
        if not {"fit", "selection", "profile"} & set(arguments.what):
            continue
        data = make()
        threads = torch.get_num_threads()
        if "fit" in arguments.what:
            for c in arguments.c:
                threads = compare_one_fit(data, c)
        if "selection" in arguments.what:
            compare_selection(data, threads, arguments.folds_timed, arguments.cs_timed)
        if "profile" in arguments.what:
            profile(data, arguments.c[0])


if __name__ == "__main__":
    main()
