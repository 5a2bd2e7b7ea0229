"""Measure the softmax regression solver against scikit-learn: speed, held-out loss, memory.

    python benchmarks/heads.py                          a small table, a minute or two
    python benchmarks/heads.py --data 50000x768x100 --folds-timed 1 --grid 1e-5 1e-3 0.1
    python benchmarks/heads.py --cache cache/elpv-…/….h5 --cells cells.jsonl
    python benchmarks/heads.py --cache fashion.h5 --rows 20000 --parts dropped agree
    python benchmarks/heads.py --cache fashion.h5 --rows 4000 --parts kept --c 1e-3 1e-2 0.1
    python benchmarks/heads.py --data 50000x768x1000 --parts memory pass
    python benchmarks/heads.py --data 50000x768x1000 --parts selection --tolerance 1e-5 …

Both sides get the same folds, grid, standardisation (with its floor) and float32
features, and one thread, so that processor time and wall time are the same work: ratios
are quoted, for absolute figures belong to the machine. scikit-learn's own loops are on a
wider grid than our climb, which leaves out a C that is hopeless: that is part of the
comparison. Where scikit-learn ends far from its optimum, `--tolerance` lets it come as near
as we do. Where it is timed on some folds and C only, its time is scaled up by their number
and the table says so. `--cells FILE` keeps each measurement, so that a run that was cut
short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from heads_data import Data, cached, synthetic
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from threadpoolctl import threadpool_limits

from embedcache.evaluation.folds import stratified_folds
from embedcache.heads.features import Features
from embedcache.heads.forms.linear import Linear
from embedcache.heads.model import Training
from embedcache.heads.models import logreg
from embedcache.heads.models.logreg import Logreg, softmax_fit
from embedcache.heads.selection import Selected, select
from embedcache.heads.solver.fit import Fit, fit_at
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler

FOLDS = 5
GRID = [float(f"{10 ** (i / 2):.3g}") for i in range(-10, 3)]
MAX_ITERATIONS = 1000
DEFAULT = 1e-4  # scikit-learn's tolerance
EXACT = 1e-7  # tolerance of the fit that others are measured by
KEPT = 1e-6  # that of `logreg` for a fit that is kept
CHILDREN = ("memory-child", "mapped-child", "mapped-file")  # what `--parts memory` starts


Cell = dict[str, Any]
"""What one measurement found: JSON, with `wall` and `cpu` seconds."""


class Cells:
    """Measurements by name, in a file with one on each line, or in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Cell] = {}
        if path and path.exists():
            for line in path.read_text().splitlines():
                self._known.update(json.loads(line))

    def get(self, name: str, measure: Callable[[], Cell]) -> Cell:
        """What is known by this name, or what is measured now."""
        if name not in self._known:
            found = self._known[name] = measure()
            print(f"  {name}: {found['cpu']:.2f} s of CPU", flush=True)
            if self._path:
                with self._path.open("a") as file:
                    file.write(json.dumps({name: found}) + "\n")
        return self._known[name]


def timed(work: Callable[[], Any]) -> tuple[Any, Cell]:
    """What it returns, and how long that took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def ratio(theirs: Cell, ours: Cell, factor: float = 1.0) -> str:
    """How many times longer theirs takes."""
    cpu, wall = (factor * theirs[clock] / ours[clock] for clock in ("cpu", "wall"))
    return f"{cpu:.1f} × ({wall:.1f} ×)"


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


def alone(data: Data) -> np.ndarray:
    """No row is in a group."""
    return np.full(len(data.labels), -1, np.int32)


def our_selection(data: Data, folds: np.ndarray) -> Cell:
    """Choice and refit."""
    training = Training(Features.of(data.features), data.labels, 0)

    def work() -> Selected:
        selected = select(Logreg(), training, alone(data), folds)
        selected.fit(Logreg(), training)
        return selected

    selected, times = timed(work)
    losses = [float(selected.losses[folds == fold].mean()) for fold in range(FOLDS)]
    return {"c": selected.record.setting["C"], "losses": losses, **times}


def their_fold(
    data: Data, folds: np.ndarray, fold: int, grid: list[float], tolerance: float
) -> Cell:
    """All C of the grid on one fold."""
    train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)

    def work() -> LogisticRegressionCV:
        features = Scaler.fit(data.features[train]).apply(data.features, np.float32)
        return LogisticRegressionCV(
            Cs=grid,
            cv=[(train, test)],
            scoring="neg_log_loss",
            refit=False,
            l1_ratios=(0,),
            tol=tolerance,
            max_iter=MAX_ITERATIONS,
            use_legacy_attributes=False,
        ).fit(features, data.labels)

    model, times = timed(work)
    return {"losses": [float(-score) for score in np.ravel(model.scores_)], **times}


def their_fit(data: Data, c: float, tolerance: float) -> Cell:
    """One fit, standardisation included."""

    def work() -> tuple[Scaler, LogisticRegression]:
        scaler = Scaler.fit(data.features)
        model = LogisticRegression(C=c, tol=tolerance, max_iter=MAX_ITERATIONS)
        return scaler, model.fit(scaler.apply(data.features, np.float32), data.labels)

    (scaler, model), times = timed(work)
    raw = scaler.fold(model.coef_.astype(np.float64), model.intercept_.astype(np.float64))
    found = {"objective": objective(data, scaler, c, *raw), "passes": int(model.n_iter_.max())}
    return {**found, **times}


def our_fit(data: Data, c: float, tolerance: float) -> Cell:
    """The same by us."""
    features, ones = Features.of(data.features), np.ones(len(data.labels))

    def work() -> tuple[Scaler, Fit]:
        scaler = Scaler.of(features)
        fit = fit_at(features, data.targets(), ones, c, scaler=scaler, tolerance=tolerance)
        return scaler, fit

    (scaler, fit), times = timed(work)
    found = {"objective": objective(data, scaler, c, fit.weights, fit.intercept)}
    return {**found, "passes": fit.passes, **times}


def compare_one_fit(data: Data, c: float, cells: Cells) -> None:
    """One fit at one C: of each side the loosest tolerance that comes within 1e-4."""
    at = f"fit at C = {c:g}, tol = "
    best = cells.get(f"{data.name}: ours, {at}{EXACT:g}", lambda: our_fit(data, c, EXACT))
    reached = []
    for side, fit, tolerances in (
        ("ours", our_fit, (1e-4, 3e-5, 1e-5, 3e-6, 1e-6)),
        ("scikit-learn", their_fit, (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)),
    ):
        for tolerance in tolerances:
            name = f"{data.name}: {side}, {at}{tolerance:g}"
            found = cells.get(name, partial(fit, data, c, tolerance))
            if found["objective"] <= best["objective"] * (1 + 1e-4):
                break
        reached.append(found)
    ours, theirs = reached
    gaps = " and ".join(f"{found['objective'] / best['objective'] - 1:.0e}" for found in reached)
    print(
        f"| {data.name} | fit at C = {c:g} | {ours['cpu']:.2f} s | {theirs['cpu']:.2f} s | "
        f"{ratio(theirs, ours)} | {ours['passes']} and {theirs['passes']} passes, "
        f"{gaps} above the optimum |",
        flush=True,
    )


def compare_selection(
    data: Data, cells: Cells, folds_timed: int, grid: list[float], tolerance: float
) -> None:
    """The whole selection and refit."""
    folds = stratified_folds(data.labels, alone(data), FOLDS, 0)
    ours = cells.get(f"{data.name}: ours, selection", lambda: our_selection(data, folds))
    theirs, losses = {"cpu": 0.0, "wall": 0.0}, []
    named = " ".join(f"{c:g}" for c in grid)
    for fold in range(folds_timed):
        name = f"{data.name}: scikit-learn, fold {fold}, C = {named}, tol = {tolerance:g}"
        cell = cells.get(name, partial(their_fold, data, folds, fold, grid, tolerance))
        losses.append(cell["losses"])
        for clock in theirs:
            theirs[clock] += cell[clock]
    mean = np.mean(losses, axis=0)
    c = grid[int(mean.argmin())]
    name = f"{data.name}: scikit-learn, fit at C = {c:g}, tol = {tolerance:g}"
    refit = cells.get(name, partial(their_fit, data, c, tolerance))
    factor = FOLDS / folds_timed * len(GRID) / len(grid)
    whole = {clock: factor * theirs[clock] + refit[clock] for clock in theirs}
    scaled = "" if tolerance == DEFAULT else f" with tol = {tolerance:g}"
    scaled += (
        ""
        if factor == 1
        else f"; theirs scaled from {folds_timed} of {FOLDS} folds and {len(grid)} of {len(GRID)} C"
    )
    held_out = np.mean(ours["losses"][:folds_timed])
    print(
        f"| {data.name} | selection | {ours['cpu']:.1f} s | {whole['cpu']:.1f} s | "
        f"{ratio(whole, ours)} | held-out log-loss {held_out:.4f} at C = {ours['c']:g}, theirs "
        f"{mean.min():.4f} at C = {c:g}{scaled} |",
        flush=True,
    )


def dropped(data: Data) -> None:
    """Whether the climb leaves out or gives up on a C that full convergence would choose."""
    training = Training(Features.of(data.features), data.labels, 0)
    folds = stratified_folds(data.labels, alone(data), FOLDS, 0)
    climbed = select(Logreg(), training, alone(data), folds).record
    usual, logreg.RANKING_GAP = logreg.RANKING_GAP, 1e-7
    values = tuple(float(f"{10 ** (i / 2):.6g}") for i in range(-10, 5))
    every = select(Logreg(), training, alone(data), folds, values=values).record
    logreg.RANKING_GAP = usual
    kept = sorted(score.setting["C"] for score in climbed.scores if score.converged)
    print(
        f"| {data.name} | dropped | | | | best {climbed.best['C']:g}, chosen "
        f"{climbed.setting['C']:g} of the C {kept} that were fitted to the end; of every half "
        f"decade to 1e-7: best {every.best['C']:g}, chosen {every.setting['C']:g} |",
        flush=True,
    )


def agreement(data: Data) -> None:
    """Whether a choice's refit answers as scikit-learn's optimum at the same C does."""
    training = Training(Features.of(data.features), data.labels, 0)
    folds = stratified_folds(data.labels, alone(data), FOLDS, 0)
    selected = select(Logreg(), training, alone(data), folds)
    form = selected.fit(Logreg(), training).form
    c, scaler = selected.record.setting["C"], Scaler.fit(data.features)
    scaled = scaler.apply(data.features, np.float64)
    model = LogisticRegression(C=c, tol=1e-6, max_iter=10 * MAX_ITERATIONS).fit(scaled, data.labels)
    same = [
        form.logits(data.features[at : at + 4096].astype(np.float64)).argmax(axis=1)
        == model.predict(scaled[at : at + 4096])
        for at in range(0, len(data.labels), 4096)
    ]
    equal = np.concatenate(same)
    print(
        f"| {data.name} | agree | | | | at C = {c:g} {equal.sum():,} of {len(equal):,} rows are "
        f"answered alike, {equal.mean():.2%} |",
        flush=True,
    )


def kept(data: Data, c: float) -> None:
    """A fit that is kept: by us, and by scikit-learn in float64, as `fit-head` fits small data."""
    ours = our_fit(data, c, KEPT)
    fit, theirs = timed(lambda: softmax_fit(data.features, data.labels, c))
    assert isinstance(fit.form, Linear)
    weights, bias = fit.form.weights, fit.form.intercept
    if data.k == 2:
        weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
    theirs["objective"] = objective(data, Scaler.fit(data.features), c, weights, bias)
    best = min(ours["objective"], theirs["objective"])
    gaps = " and ".join(f"{each['objective'] / best - 1:.0e}" for each in (ours, theirs))
    print(
        f"| {data.name} | fit to keep at C = {c:g} | {ours['cpu']:.2f} s | {theirs['cpu']:.2f} s | "
        f"{ratio(theirs, ours)} | {ours['passes']} and {fit.iterations} passes, {gaps} above the "
        f"better one |",
        flush=True,
    )


def one_pass(data: Data, c: float) -> None:
    """Where the time of a fit goes, and a pass against its products and reading the features."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    scaler, ones = Scaler.fit(data.features), np.ones(len(data.labels))
    with torch_profile(activities=[ProfilerActivity.CPU]) as recorded:
        fit = fit_at(
            Features.of(data.features), data.targets(), ones, c, scaler=scaler, tolerance=3e-5
        )
    events = sorted(recorded.key_averages(), key=lambda e: -e.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    shares = ", ".join(
        f"{event.key.removeprefix('aten::')} {event.self_cpu_time_total / total:.0%}"
        for event in events[:8]
    )
    held, spare = torch.from_numpy(data.features), []
    for _ in range(3):
        started = time.process_time()
        held.sum()
        spare.append(time.process_time() - started)
    print(
        f"| {data.name} | pass | {total / 1e6 / fit.passes:.3f} s of {fit.passes}, all work of "
        f"the fit shared out | reading the float32 features {min(spare):.3f} s | | {shares} |",
        flush=True,
    )


def memory(shape: str) -> None:
    """Peaks of child processes that fit and choose, above what they had before the data."""
    for child in ("memory-child", "mapped-child"):
        done = subprocess.run(
            [sys.executable, __file__, "--parts", child, "--data", shape],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        print(f"| synthetic {shape} | memory | | | | {done.stdout.strip()} |", flush=True)


def memory_child(shape: str, *, mapped: bool) -> None:
    """In the child: the peak as a multiple of the float32 features.

    In memory these are part of it; mapped from disk in float16, as a cache keeps them, what of
    them is in memory. Fits that rank C end at a gap of 1e-3; the solver remembers ten steps at
    most.
    """
    n, d, _ = (int(side) for side in shape.split("x"))
    our_selection(synthetic("600x16x4"), np.arange(600) % FOLDS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        if mapped:
            # Made in another process, so that its memory is not part of the peak.
            arguments = [sys.executable, __file__, "--parts", "mapped-file", "--data", shape]
            subprocess.run([*arguments, "--cells", str(path)], check=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if mapped:
            features = Features.of(np.load(path, mmap_mode="r"))
            labels = np.load(path.with_suffix(".labels.npy"))
        else:
            data = synthetic(shape)
            features, labels = Features.of(data.features), data.labels
        targets = partial(Targets.from_codes, labels, int(labels.max()) + 1)
        scaler = Scaler.of(features)
        fit = fit_at(features, targets, np.ones(n), 0.01, scaler=scaler, max_passes=12)
        one = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        logreg.RANKING_GAP = 1e-3
        training = Training(features, labels, 0)
        alone_ = np.full(n, -1, np.int32)
        folds = np.arange(n) % FOLDS
        selected = select(Logreg(), training, alone_, folds, values=(1e-4, 1e-3))
        selected.fit(Logreg(), training)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    matrix = n * d * 4
    print(
        f"{'float16 on disk' if mapped else 'float32 in memory'}: peak "
        f"{(one - before) / matrix:.2f} × the float32 features for one fit of {fit.passes} passes, "
        f"{(peak - before) / matrix:.2f} × for a choice and its refit"
    )


def write_mapped(shape: str, path: Path) -> None:
    """Features as a cache keeps them, and labels beside them."""
    data = synthetic(shape)
    np.save(path, data.features.astype(np.float16))
    np.save(path.with_suffix(".labels.npy"), data.labels)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["fit", "selection"],
        choices=["fit", "kept", "selection", "dropped", "agree", "memory", "pass", *CHILDREN],
    )
    parser.add_argument("--data", nargs="+", default=[], metavar="NxDxK")
    parser.add_argument("--cache", nargs="+", default=[], metavar="FILE")
    parser.add_argument("--rows", type=int, help="of each cache, drawn; all by default")
    parser.add_argument("--c", type=float, nargs="+", default=[0.01], help="of one fit")
    parser.add_argument("--grid", type=float, nargs="+", default=GRID, help="of scikit-learn")
    parser.add_argument("--folds-timed", type=int, default=FOLDS, help="of scikit-learn")
    parser.add_argument("--tolerance", type=float, default=DEFAULT, help="of its choice")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cells", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if not arguments.data and not arguments.cache:
        arguments.data = ["2000x128x5", "5000x256x10"]
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(arguments.threads)
    (part, *_), (shape, *_) = arguments.parts, [*arguments.data, ""]
    if part == "mapped-file":
        write_mapped(shape, arguments.cells)
        return
    if part in CHILDREN:
        memory_child(shape, mapped=part == "mapped-child")
        return
    cells = Cells(arguments.cells)
    makers = [partial(cached, path, arguments.rows) for path in arguments.cache]
    makers += [partial(synthetic, shape) for shape in arguments.data]
    print("| data | what | ours, CPU | scikit-learn, CPU | CPU ratio (wall) | notes |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with threadpool_limits(arguments.threads):
        for make in makers if set(arguments.parts) - {"memory"} else []:
            data = make()
            if "fit" in arguments.parts:
                for c in arguments.c:
                    compare_one_fit(data, c, cells)
            if "kept" in arguments.parts:
                for c in arguments.c:
                    kept(data, c)
            if "selection" in arguments.parts:
                compare_selection(
                    data, cells, arguments.folds_timed, arguments.grid, arguments.tolerance
                )
            if "dropped" in arguments.parts:
                dropped(data)
            if "agree" in arguments.parts:
                agreement(data)
            if "pass" in arguments.parts:
                one_pass(data, arguments.c[0])
    if "memory" in arguments.parts:
        for shape in arguments.data:
            memory(shape)


if __name__ == "__main__":
    main()
