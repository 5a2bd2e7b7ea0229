"""Decide what to do next about a cache, and store the verdict with its evidence."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedcache.decision.decide import decide_on
from embedcache.decision.measure import Asked
from embedcache.decision.other_features import compare_features
from embedcache.decision.pilot_result import Pilot
from embedcache.decision.record import FORMAT, Decision, Limits
from embedcache.decision.signals import OtherFeatures
from embedcache.decision.thresholds import MIN_GAIN, THRESHOLDS
from embedcache.decision.training_rows import TrainingRows, training_rows
from embedcache.decision.verdict import PILOT_NEEDED
from embedcache.errors import CacheInvalidError, UsageError
from embedcache.extraction.records import Observer
from embedcache.heads.json_records import dump_record, load_record
from embedcache.heads.models.index import MODELS
from embedcache.heads.problem import Problem
from embedcache.reports.page.decision import decision_page
from embedcache.reports.page.thumbnails import thumbnail
from embedcache.runs.files import read_regular
from embedcache.runs.folder import DECISION, DECISION_PAGE, DOUBTS, publish_run, runs_root
from embedcache.storage.publish import write_atomic
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root, choose_cache, slug
from embedcache.workflows.near import pictures_of
from embedcache.workflows.pilot import make_pilot
from embedcache.workflows.problem import one_label_problem_of

__all__ = ["BUDGET", "Decided", "decide", "fresh_decision"]

BUDGET = 3.0
"""Minutes of a pilot: one to cache activations of 2,000 images on two cores, and two to train."""

_MODEL = "logreg"
_LARGEST = 16 << 20


@dataclass(frozen=True, eq=False)
class Decided:
    """A verdict on disk.

    Attributes:
        path: The folder with `decision.json`, the page and the labels in doubt.
        decision: The verdict and its evidence.
    """

    path: Path
    decision: Decision


def decide(
    cache: str | Path | FeatureCache | None = None,
    *,
    target: float | None = None,
    min_gain: float = MIN_GAIN.value,
    budget: float = BUDGET,
    model: str = _MODEL,
    values: tuple[float, ...] | None = None,
    against: Sequence[str | Path | FeatureCache] = (),
    pilot: bool | Pilot = True,
    device: str = "auto",
    seed: int = 0,
    cache_dir: Path | None = None,
    runs_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
    observer: Observer | None = None,
) -> Decided:
    """Say what would help most: other data, another head, other features, fine-tuning, nothing.

    Reads training rows only; the rows that `fit-head` sets aside for judging stay unseen.

    Args:
        cache: A cache, or its file; by default the newest one.
        target: Accuracy that is enough, such as 0.95.
        min_gain: Gain of accuracy that is worth the work: 0.01 is one point.
        budget: Minutes that the pilot may take.
        model: Kind of head that is decided about.
        values: Exactly these values of its parameter instead of the grid that finds its range.
        against: Other caches of the same images, to ask whether their features are better.
        pilot: Whether to fine-tune the last blocks for a few minutes where it takes that, or what
            does it. Without it, or where the images are gone, the most that can be said is that
            a pilot would tell. Activations are cached beside the features.
        device: Where the pilot computes.
        seed: Of folds and bootstrap; the same seed gives the same verdict.
        cache_dir: The cache root, where no cache is given.
        runs_dir: Folder of runs; `EMBEDCACHE_RUNS_DIR` or `./runs` if not given.
        progress: Told what is being computed.
        observer: Hears what the pilot will cost before it starts, and how it goes.

    Raises:
        UsageError: An argument is not one of those allowed, or no head can be fitted.
        CacheInvalidError: The cache is damaged.
        StorageError: The verdict cannot be written.
    """
    _check(target, min_gain, budget, model)
    if not isinstance(cache, FeatureCache):
        cache = FeatureCache(cache or choose_cache(cache_root(cache_dir), "decide"))
    problem = one_label_problem_of(cache)
    rows = training_rows(problem, seed=seed)
    asked = Asked(model, values, min_gain, progress)
    picture = pictures_of(problem, cache.meta.root)
    if isinstance(pilot, bool):
        pilot_or_none = make_pilot(cache, device=device, observer=observer) if pilot else None
    else:
        pilot_or_none = pilot
    decision = decide_on(
        problem,
        rows,
        asked,
        Limits(target, min_gain, budget, values),
        picture,
        cache=str(cache.path),
        origin=cache.meta.source.location,
        pilot=pilot_or_none,
        elsewhere=tuple(_against(problem, rows, other, asked) for other in against),
    )

    def shown(row: int) -> str | None:
        image = picture(row)
        return None if image is None else thumbnail(image)

    def write(folder: Path) -> None:
        write_atomic(folder / DECISION, dump_record(decision))
        write_atomic(folder / DECISION_PAGE, decision_page(decision, shown))
        write_atomic(folder / DOUBTS, _doubts(decision))

    backbone = slug(problem.backbone)
    path = publish_run(runs_root(runs_dir), problem.dataset, backbone, "decide", write)
    return Decided(path, decision)


def fresh_decision(
    cache: FeatureCache,
    runs_dir: Path | None = None,
    *,
    target: float | None = None,
    budget: float = BUDGET,
    model: str = _MODEL,
    pilot: bool = True,
    seed: int = 0,
) -> Decided | None:
    """The newest stored answer to `decide` of the same arguments, if it would be measured alike.

    The budget may have been larger. A decision that lacks its pilot is no answer where one is
    wanted.

    Args:
        cache: The cache, with its present content.
        runs_dir: Folder of runs.
        target: As `decide` takes it, and so are those below.
        budget: Minutes.
        model: Kind of head.
        pilot: Whether one is wanted.
        seed: Of folds and bootstrap.
    """

    def answers(decision: Decision) -> bool:
        signals, limits = decision.signals, decision.limits
        return (
            decision.format == FORMAT
            and decision.content_digest == cache.content_digest
            and decision.identity == cache.identity.digest
            and decision.thresholds == THRESHOLDS
            and (signals.model, signals.elsewhere, decision.seed) == (model, (), seed)
            and limits == Limits(target, MIN_GAIN.value, max(limits.budget, budget))
            and (decision.verdict != PILOT_NEEDED or not pilot)
        )

    found = []
    for path in runs_root(runs_dir).glob(f"*/{DECISION}"):
        try:
            decision = load_record(Decision, read_regular(path, _LARGEST))
        except (ValueError, CacheInvalidError):
            continue
        if answers(decision):
            found.append((path.stat().st_mtime_ns, Decided(path.parent, decision)))
    return max(found, key=lambda each: each[0], default=(0, None))[1]


def _check(target: float | None, min_gain: float, budget: float, model: str) -> None:
    if model not in MODELS:
        raise UsageError("unknown model", got=model, expected=", ".join(MODELS))
    if target is not None and not 0 < target < 1:
        raise UsageError("a target is an accuracy", got=target, expected="such as 0.95")
    if not 0 < min_gain < 0.5:
        raise UsageError("a gain is a difference of accuracies", got=min_gain, expected="0.01")
    if not 0 < budget < float("inf"):
        raise UsageError("a budget is in minutes, above 0", got=budget, expected="such as 10")


def _against(
    problem: Problem, rows: TrainingRows, other: str | Path | FeatureCache, asked: Asked
) -> OtherFeatures:
    opened = other if isinstance(other, FeatureCache) else FeatureCache(other)
    return compare_features(problem, rows, one_label_problem_of(opened), str(opened.path), asked)


def _doubts(decision: Decision) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["id", "label", "looks like", "margin"])
    for doubt in decision.signals.doubts:
        table.writerow([doubt.id, doubt.label, doubt.suggestion, f"{doubt.margin:.3f}"])
    return text.getvalue().encode("utf-8", "surrogateescape")
