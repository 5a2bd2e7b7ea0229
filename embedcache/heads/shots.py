"""`few_shot`: how good the same recipe is with few labelled rows of each class.

M is the number of rows that take part, J of those that are judged, n of those that a
draw is made from, K the number of classes, R the number of draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.draws import over_draws
from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.intervals import LEVEL, MIN_UNITS, Interval, share_interval
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.splits import FOLDS
from embedcache.evaluation.units import paired_difference, row_units
from embedcache.heads.judging import Judged
from embedcache.heads.model import Training
from embedcache.heads.prepare import Prepared
from embedcache.heads.recipe import Made, Recipe
from embedcache.heads.shot_records import ShotCurve, ShotPoint, ShotScore

__all__ = ["few_shot", "shot_ranks"]


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows to draw from, and rows to judge by.

    Attributes:
        training: The n rows to draw from.
        group: (n,) int32.
        seen: Codes of its classes.
        held_out: Which of the J judged rows.
        model: What the recipe chose on the n rows.
    """

    training: Training
    group: NDArray[np.int32]
    seen: NDArray[np.integer]
    held_out: NDArray[np.int64]
    model: str


def few_shot(
    prepared: Prepared,
    training: Training,
    recipe: Recipe,
    made: Made,
    outer: tuple[Made, ...],
    shots: tuple[int, ...],
    seeds: int,
) -> ShotCurve:
    """Follow the recipe on class-balanced draws, judged by the rows that judge the head.

    Rows that a backbone has seen are not drawn, as each draw also chooses a setting.
    Draws of a seed are nested: its five rows of a class are among its ten. Rows of groups
    that the draw does not have yet come first. A setting cannot be chosen where each class
    has one row, so at one shot it is chosen, and the temperature found, on two rows of each
    class by two folds, and the head is fitted on the first of them: a validation row for
    each class, as CoOp has it (Zhou et al. 2022, *Learning to prompt for vision-language
    models*), instead of the large validation sets of CLIP's few-shot probes.

    Args:
        prepared: Rows, classes and sides.
        training: The rows of the shipped head.
        recipe: Of the shipped head; with `auto` the model that was chosen is used.
        made: The shipped head.
        outer: What each outer fold made; empty for a hold-out.
        shots: Rows of each class.
        seeds: R.
    """
    parts = list(_parts(prepared, training, made, outer))
    labels = prepared.labels[prepared.judged]
    group = prepared.group[prepared.judged]
    points = []
    for count in sorted(set(shots)):
        answers = []
        for seed in range(seeds):
            told = f"{count} per class, draw {seed + 1} of {seeds}: "
            judged = Judged.nothing(len(labels), prepared.judged_k)
            for number, part in enumerate(parts):
                drawn = _drawn(part, recipe, count, (training.seed, seed, number), told)
                held_out = prepared.features(prepared.judged[part.held_out])
                judged.write(part.held_out, part.seen, drawn, held_out)
            answers.append(judged.probabilities)
        rows = [np.minimum(np.bincount(part.training.labels), count) for part in parts]
        short = {
            prepared.classes[part.seen[code]]
            for part, taken in zip(parts, rows, strict=True)
            for code in np.flatnonzero(taken < count)
        }
        most = max(int(taken.sum()) for taken in rows)
        scores = _scores(labels, np.stack(answers), group)
        points.append(ShotPoint(count, most, tuple(sorted(short)), scores))
    return ShotCurve(seeds, tuple(points))


def shot_ranks(
    labels: NDArray[np.integer], group: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int64]:
    """In which place each row is drawn within its class, (n,) from 0.

    Args:
        labels: (n,) classes in 0 to K − 1.
        group: (n,) int32 codes, negative for none.
        rng: Of the draw.
    """
    order = rng.permutation(len(labels))
    again = _places(row_units(group)[order] * (int(labels.max()) + 1) + labels[order])
    order = order[np.argsort(again, kind="stable")]  # a first row of every group, then a second
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = _places(labels[order])
    return ranks


def _places(keys: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many equal keys are before each."""
    order = np.argsort(keys, kind="stable")
    _, first, sizes = np.unique(keys[order], return_index=True, return_counts=True)
    places = np.empty(len(keys), np.int64)
    places[order] = np.arange(len(keys)) - np.repeat(first, sizes)
    return places


def _parts(
    prepared: Prepared, training: Training, made: Made, outer: tuple[Made, ...]
) -> Iterator[_Part]:
    group, free = prepared.group[prepared.train], ~prepared.touched[prepared.train]
    if not outer:
        everything = np.arange(len(prepared.judged))
        part, seen = training.part(np.flatnonzero(free))
        yield _Part(part, group[free], seen, everything, made.choice.model.name)
        return
    folds = prepared.protocol.folds
    for fold, each in zip(np.unique(folds[free]), outer, strict=True):
        rest = np.flatnonzero(free & (folds != fold))
        part, seen = training.part(rest)
        held_out = np.flatnonzero(folds[free] == fold)
        yield _Part(part, group[rest], seen, held_out, each.choice.model.name)


def _drawn(part: _Part, recipe: Recipe, count: int, seeds: tuple[int, int, int], told: str) -> Made:
    ranks = shot_ranks(part.training.labels, part.group, np.random.default_rng(seeds))
    rows = np.flatnonzero(ranks < max(2, count))
    kept = np.flatnonzero(ranks < count)
    codes = part.seen[part.training.labels]
    chosen_on = recipe.weighed(part.training.part(rows)[0], codes[rows])
    fitted = recipe.weighed(part.training.part(kept)[0], codes[kept])
    group = part.group[rows]
    if int(row_units(group).max()) < 1:  # one group has them all, and none could be held out
        group = np.full(len(rows), -1, np.int32)
    folds = stratified_folds(chosen_on.labels, group, min(FOLDS, max(2, count)), seeds[0])
    name = "logreg" if part.model == "logreg-from-zero-shot" else part.model
    own = replace(recipe, model=name, abstain_precision=None)
    return own.make(chosen_on, group, folds, told, fitted=fitted)


def _scores(
    labels: NDArray[np.int32], answers: NDArray[np.float64], group: NDArray[np.int32]
) -> tuple[ShotScore, ...]:
    hits = (answers.argmax(axis=2) == labels).astype(np.float64)  # (R, J)
    losses = np.stack([row_log_loss(labels, each) for each in answers])
    rows = np.bincount(labels)
    weight = len(labels) / (np.count_nonzero(rows) * np.maximum(rows, 1))
    balanced = hits * weight[labels]
    return (
        _score("accuracy", hits, share_interval(hits.mean(axis=0), group)),
        _score("balanced accuracy", balanced, _of_mean(balanced.mean(axis=0), group)),
        _score("log-loss", losses, _of_mean(losses.mean(axis=0), group)),
    )


def _score(name: str, rows: NDArray[np.float64], by_rows: Interval | None) -> ShotScore:
    draws = rows.mean(axis=1)
    interval = over_draws(draws, by_rows)
    if interval is not None and name != "log-loss":
        interval = Interval(max(0.0, interval.low), min(1.0, interval.high))
    spread = float(draws.std(ddof=1)) if len(draws) > 1 else None
    return ShotScore(name, float(draws.mean()), spread, interval, tuple(map(float, draws)))


def _of_mean(values: NDArray[np.float64], group: NDArray[np.int32]) -> Interval | None:
    """Interval of a mean over rows or groups."""
    if int(row_units(group).max()) + 1 < MIN_UNITS:
        return None
    mean, error = paired_difference(values, np.zeros(len(values)), group)
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    return Interval(mean - half, mean + half)
