"""`compare_runs`: several runs on the rows that all of them judged, in pairs.

R is the number of runs, N the number of rows that they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.intervals import LEVEL, Interval, share_interval
from embedcache.evaluation.paired import holm, mcnemar_mid_p, score_interval
from embedcache.evaluation.simultaneous import Differences, simultaneous_differences
from embedcache.heads.judged import JudgedRows

__all__ = ["METRICS", "Comparison", "Contestant", "Pair", "compare_runs"]

METRICS = ("accuracy", "log_loss")


@dataclass(frozen=True)
class Contestant:
    """One run on the common rows.

    Attributes:
        run: Name of its folder.
        model: Kind of head.
        backbone: The backbone's name.
        dataset: Name of the data set.
        judged: Number of rows that it judged in all.
        accuracy: On the common rows; of rows with any number of labels the share of them with
            every label right.
        interval: Of the accuracy, of this run alone.
        log_loss: On the common rows, in nats.
    """

    run: str
    model: str
    backbone: str
    dataset: str
    judged: int
    accuracy: float
    interval: Interval | None
    log_loss: float


@dataclass(frozen=True)
class Pair:
    """Two runs, and how much better the first is.

    Attributes:
        first: Position in `Comparison.runs`.
        second: Position, after the first.
        accuracy: Accuracy of the first minus that of the second.
        accuracy_interval: Of that difference; None for a single group.
        p: Mid-p of McNemar's test, adjusted for the number of pairs; None where rows
            belong to groups, as it takes them for independent.
        log_loss: Log-loss of the first minus that of the second.
        log_loss_interval: Of that difference; None for a single group.
    """

    first: int
    second: int
    accuracy: float
    accuracy_interval: Interval | None
    p: float | None
    log_loss: float
    log_loss_interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Runs ranked on the same rows.

    Attributes:
        metric: What ranks.
        rows: N.
        relabelled: Rows that all judged but under different labels; left out.
        grouped: Whether rows belong to groups, which err together.
        runs: The best first.
        several: Whether rows have any number of labels.
        pairs: All of them. With more than two runs the intervals hold all at once, and so
            also for the pair that a person picks after a look at them.
    """

    metric: str
    rows: int
    relabelled: int
    grouped: bool
    runs: tuple[Contestant, ...]
    pairs: tuple[Pair, ...]
    several: bool = False


def compare_runs(
    folders: Sequence[Path], *, metric: str | None = None, seed: int = 0
) -> Comparison:
    """Compare runs on the rows, by digest, that all of them judged.

    Args:
        folders: R run folders, two or more.
        metric: What ranks: one of `METRICS`; None for accuracy, or for log-loss where rows have
            any number of labels, as few rows have every one of many labels right.
        seed: Of the bootstrap.

    Raises:
        UsageError: Fewer than two runs, one of them twice, runs of other kinds of labels, or no
            common rows.
        CacheInvalidError: A run is damaged, or has no predictions.
    """
    _check(folders, metric)
    runs = [JudgedRows.load(folder) for folder in folders]
    _check_kinds(runs)
    several = runs[0].names is not None
    if metric is None:
        metric = "log_loss" if several else "accuracy"
    common = runs[0].digest
    for run in runs[1:]:
        common = np.intersect1d(common, run.digest, assume_unique=True)
    places = [np.searchsorted(run.digest, common) for run in runs]
    labels = np.stack([run.label[at] for run, at in zip(runs, places, strict=True)])
    agreed = (labels == labels[0]).all(axis=0)
    if not agreed.any():
        raise _nothing_common(runs, len(common))
    places = [at[agreed] for at in places]
    hits = np.stack([run.hit[at] for run, at in zip(runs, places, strict=True)])
    losses = np.stack([run.loss[at] for run, at in zip(runs, places, strict=True)])
    group = _groups(runs, places)
    score = (~hits).mean(axis=1) if metric == "accuracy" else losses.mean(axis=1)
    order = np.argsort(score, kind="stable")
    hits, losses = hits[order], losses[order]
    contestants = tuple(
        Contestant(
            runs[which].run,
            runs[which].model,
            runs[which].backbone,
            runs[which].dataset,
            len(runs[which].digest),
            float(hit.mean()),
            share_interval(hit, group),
            float(loss.mean()),
        )
        for which, hit, loss in zip(order, hits, losses, strict=True)
    )
    grouped = bool((group >= 0).any())
    pairs = _pairs(hits, losses, group, seed)
    counts = int(agreed.sum()), int((~agreed).sum())
    return Comparison(metric, *counts, grouped, contestants, pairs, several)


def _check(folders: Sequence[Path], metric: str | None) -> None:
    if metric not in (None, *METRICS):
        raise UsageError("unknown metric", got=metric, expected=", ".join(METRICS))
    if len(folders) < 2:
        raise UsageError(
            "a comparison needs two runs or more",
            got=f"{len(folders)} runs",
            hint="embedcache ls",
        )
    if len(set(folders)) < len(folders):
        raise UsageError("a run is given twice", got=", ".join(f.name for f in folders))


def _check_kinds(runs: Sequence[JudgedRows]) -> None:
    """Refuse runs whose answers are to different questions."""
    for run in runs[1:]:
        if run.names != runs[0].names:
            raise UsageError(
                "these runs answer different questions",
                got="; ".join(f"{each.run}: {_asked(each)}" for each in (runs[0], run)),
                expected="runs of one label for each image, or runs of the same labels",
                hint="fit one of them again on the other's labels: embedcache fit-head --labels",
            )


def _asked(run: JudgedRows) -> str:
    if run.names is None:
        return "one label for each image"
    shown = ", ".join(run.names[:4]) + (", …" if len(run.names) > 4 else "")
    return f"which of {len(run.names)} labels ({shown})"


def _nothing_common(runs: Sequence[JudgedRows], same_images: int) -> UsageError:
    judged = ", ".join(f"{run.run} ({len(run.digest)} rows)" for run in runs)
    if same_images:
        return UsageError(
            "the runs judged the same images, but under different labels",
            got=f"{same_images} images in {judged}",
        )
    return UsageError(
        "the runs have no judged rows in common",
        got=judged,
        expected="runs on one data set: rows are joined by the digest of the image",
        hint="embedcache ls",
    )


def _groups(runs: Sequence[JudgedRows], places: Sequence[NDArray[np.int64]]) -> NDArray[np.int32]:
    """Groups of the common rows, (N,): of the first run that knows any."""
    for run, at in zip(runs, places, strict=True):
        if (run.group[at] >= 0).any():
            return run.group[at]
    return np.full(len(places[0]), -1, np.int32)


def _pairs(
    hits: NDArray[np.bool_], losses: NDArray[np.float64], group: NDArray[np.int32], seed: int
) -> tuple[Pair, ...]:
    wrong = simultaneous_differences((~hits).astype(np.float64), group, seed=seed)
    loss = simultaneous_differences(losses, group, seed=seed)
    grouped = bool((group >= 0).any())
    numbers = list(combinations(range(len(hits)), 2))
    only = [(int((hits[a] & ~hits[b]).sum()), int((hits[b] & ~hits[a]).sum())) for a, b in numbers]
    chances: list[float | None] = [None] * len(numbers)
    if not grouped:
        chances = list(holm([mcnemar_mid_p(b, c) for b, c in only]))
    # Of many pairs the largest statistic decides, so the score interval takes its quantile.
    quantile = NormalDist().inv_cdf((1 + LEVEL) / 2)
    if len(numbers) > 1:
        quantile = max(quantile, wrong.critical)
    return tuple(
        Pair(
            first,
            second,
            float(-wrong.mean[first, second]),
            _interval(wrong, second, first)
            if grouped
            else score_interval(*discordant, hits.shape[1], quantile),
            chance,
            float(loss.mean[first, second]),
            _interval(loss, first, second),
        )
        for (first, second), discordant, chance in zip(numbers, only, chances, strict=True)
    )


def _interval(differences: Differences, first: int, second: int) -> Interval | None:
    mean, half = differences.mean[first, second], differences.half_width[first, second]
    if not np.isfinite(half):
        return None
    return Interval(float(mean - half), float(mean + half))
