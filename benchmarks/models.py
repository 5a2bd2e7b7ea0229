"""Measure `lda` and `linear-svm` against scikit-learn: speed on one thread, and the result.

    python benchmarks/models.py                       the shapes that are quoted, a few minutes
    python benchmarks/models.py lda --data 2000x128x20

Both sides get the same standardised float64 features in one session and are quoted as a
ratio of processor time. For the support vector machines the grid is the ladder's, each
solver at the tolerance that ranks C; then one fit to keep.
"""

from __future__ import annotations

import argparse

import numpy as np
from heads import Clock, Data, synthetic
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.lda import Lda
from embedcache.heads.models.linear_svm import LinearSvm
from embedcache.heads.standardise import Scaler

CS = [float(f"1e{exponent}") for exponent in range(-5, 1)]


def compare_lda(data: Data) -> None:
    """One fit each, and how far the weights are apart."""
    clock = Clock()
    form = Lda().fit(_training(data), {"temperature": 1.0}).form
    ours, clock = clock.read(), Clock()
    scaler = Scaler.fit(data.features)
    rows = scaler.apply(data.features, np.float64)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(rows, data.labels)
    taken = clock.read()
    weights, _ = scaler.fold(theirs.coef_, theirs.intercept_)
    apart = np.abs(weights - form.weights).max() / np.abs(weights).max()
    print(f"{data.name:28} lda: {taken.ratio(ours)}; weights apart by {apart:.0e}", flush=True)


def compare_svm(data: Data) -> None:
    """A fold's grid, and one fit to keep at each end of it; with both objectives."""
    training = _training(data)
    rows = Scaler.fit(data.features).apply(data.features, np.float64)
    clock = Clock()
    fold = LinearSvm().fold(training, training.features.take(np.arange(200)))
    for c in CS:
        fold.score({"C": c}, 1e-3)
    ours, clock = clock.read(), Clock()
    for c in CS:
        LinearSVC(C=c, dual=False, tol=1e-2).fit(rows, data.labels)
    print(f"{data.name:28} linear-svm, {len(CS)} C: {clock.read().ratio(ours)}", flush=True)
    for c in (CS[0], CS[2], CS[-1]):
        clock = Clock()
        form = LinearSvm().fit(training, {"C": c, "temperature": 1.0}).form
        ours, clock = clock.read(), Clock()
        model = LinearSVC(C=c, dual=False).fit(rows, data.labels)
        taken = clock.read()
        scaler = Scaler.fit(data.features)
        weights = form.weights * scaler.scale
        intercept = form.intercept + form.weights @ scaler.mean
        reached = _objective(rows, data, c, weights, intercept)
        excess = _objective(rows, data, c, model.coef_, model.intercept_) / reached - 1
        print(
            f"{data.name:28} linear-svm, one fit C={c:g}: {taken.ratio(ours)}; "
            f"objective theirs/ours − 1 = {excess:.0e}",
            flush=True,
        )


def _training(data: Data) -> Training:
    return Training(Features.of(data.features), data.labels, 0)


def _objective(
    rows: np.ndarray, data: Data, c: float, weights: np.ndarray, intercept: np.ndarray
) -> float:
    """½ ‖w‖² + C Σ max(0, 1 − y f)², the intercept a weight, over all classes (three or more)."""
    signs = np.where(data.labels[:, None] == np.arange(data.k), 1.0, -1.0)
    slack = np.maximum(1 - signs * (rows @ weights.T + intercept), 0)
    penalty = np.square(weights).sum() + np.square(intercept).sum()
    return float(penalty / 2 + c * np.square(slack).sum())


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["lda", "linear-svm"])
    parser.add_argument("--data", nargs="+", help="NxDxK")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        if "lda" in arguments.what:
            for shape in arguments.data or ["10000x768x100", "2000x1280x4"]:
                compare_lda(synthetic(shape))
        if "linear-svm" in arguments.what:
            for shape in arguments.data or ["10000x256x20", "2000x1280x4"]:
                compare_svm(synthetic(shape))


if __name__ == "__main__":
    main()
