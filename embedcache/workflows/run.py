"""The whole ladder: extract, fit a head, decide, and fine-tune where the verdict says so.

Each stage is the workflow of its own command, and finds by itself what is finished or begun;
so the same call goes on after an interruption.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embedcache.backbones.base import Backbone
from embedcache.errors import UsageError
from embedcache.evaluation.evaluate import Score
from embedcache.evaluation.intervals import share_interval
from embedcache.extraction.records import ExtractResult, Observer, SilentObserver
from embedcache.heads.judged import JudgedRows
from embedcache.heads.names import ZERO_SHOT
from embedcache.runs.folder import runs_root
from embedcache.storage.digests import sha256_hex
from embedcache.storage.locks import exclusive
from embedcache.store.cache import FeatureCache
from embedcache.workflows.decide import Decided
from embedcache.workflows.finetune import Finetuned
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fitted_run import Run
from embedcache.workflows.ladder_costs import LadderCosts
from embedcache.workflows.ladder_stages import ESCALATE, STAGES, Stages

__all__ = ["Ladder", "run_ladder"]

_ONLY_SPEED = ("batch_size", "num_workers", "compile_")


@dataclass(frozen=True, eq=False)
class Ladder:
    """What the stages gave.

    Attributes:
        extracted: The cache, and what was embedded for it.
        fitted: The head on frozen features.
        decided: The verdict; None where it was left out.
        finetuned: The fine-tuning; None where it was left out.
        score: The accuracy of the run to use, on rows that it has not seen.
        minutes: By stage, in all calls that it took.
        left_out: By stage, why something of it was.
    """

    extracted: ExtractResult
    fitted: Run
    decided: Decided | None
    finetuned: Finetuned | None
    score: Score
    minutes: dict[str, float]
    left_out: dict[str, str]

    @property
    def use(self) -> Path:
        """The run to predict with: the tuned one only if it has passed its gate."""
        return self.fitted.path if self.tuned is None else self.tuned.path

    @property
    def tuned(self) -> Finetuned | None:
        """The fine-tuning, if it has passed its gate."""
        return _passed(self.finetuned)


def run_ladder(
    source: str | Path,
    backbone: str | Backbone = "bundled/efficientnet_lite0",
    *,
    model: str = "logreg",
    escalate: str = "auto",
    budget: float | None = None,
    target: float | None = None,
    unfreeze: str = "all",
    augment: str = "none",
    device: str = "auto",
    seed: int = 0,
    cache_dir: Path | None = None,
    runs_dir: Path | None = None,
    on_stage: Callable[[str], None] | None = None,
    progress: Callable[[str], None] | None = None,
    observer: Observer | None = None,
    **options: Any,
) -> Ladder:
    """Go from images to the best classifier that the evidence and the minutes allow.

    Args:
        source: A folder, or a CSV or Parquet manifest.
        backbone: `SOURCE/MODEL[:WEIGHTS]`, or a backbone in memory, which cannot be fine-tuned.
        model: As `fit_head` takes it, but for zero-shot.
        escalate: One of `ESCALATE`.
        budget: Minutes for all stages together, in all calls; None for as many as it takes.
        target: Accuracy that is enough, as `decide` takes it.
        unfreeze: Which blocks are fine-tuned: `tail`, `last-N` or `all`.
        augment: Preset of the fine-tuning.
        device: Where backbone, pilot and fine-tuning compute.
        seed: Of folds, bootstrap and training.
        cache_dir: The cache root.
        runs_dir: Folder of runs.
        on_stage: Told which of `STAGES` begins.
        progress: Told what is being computed.
        observer: Hears how it goes.
        options: Others of `embedcache extract`, with underscores.

    Raises:
        BudgetError: It ends before the features are made; those that are stay.
        LockedError: Another process is at the same ladder.
        EmbedcacheError: As `extract_source`, `fit_head`, `decide` and `finetune` say.
    """
    _check(model, escalate, budget)
    tuning = FinetuneOptions(unfreeze=unfreeze, augment=augment, device=device, seed=seed)
    name = backbone if isinstance(backbone, str) else backbone.spec.name
    settled = {key: value for key, value in options.items() if key not in _ONLY_SPEED}
    wanted = [os.path.abspath(source), name, model, target, unfreeze, augment, seed, settled]
    text = json.dumps(wanted, sort_keys=True, default=str)
    state = runs_root(runs_dir) / f".run-{sha256_hex(text.encode())[:12]}.json"
    with exclusive(state.with_suffix(".lock")):
        stages = Stages(
            LadderCosts(state, budget),
            escalate,
            observer or SilentObserver(),
            on_stage or _silent,
            progress,
            cache_dir,
            runs_dir,
        )
        extracted = stages.extract(source, backbone, device=device, **options)
        cache = FeatureCache(extracted.cache)
        fitted = stages.fit(cache, model, seed)
        decided = stages.decide(cache, fitted, target, device, seed)
        finetuned = stages.finetune(cache, fitted, decided, tuning)
        minutes = {stage: stages.costs.minutes(stage) for stage in STAGES}
        score = _score(fitted, _passed(finetuned))
        return Ladder(extracted, fitted, decided, finetuned, score, minutes, stages.left_out)


def _passed(finetuned: Finetuned | None) -> Finetuned | None:
    gate = None if finetuned is None else finetuned.record.gate
    return finetuned if gate is not None and gate.ships else None


def _score(fitted: Run, tuned: Finetuned | None) -> Score:
    assert fitted.report is not None, "the ladder fits labelled rows"
    frozen = fitted.report.evaluation.scores[0]
    if tuned is None:
        return frozen
    judged = JudgedRows.load(tuned.path)
    interval = share_interval(judged.hit, judged.group)
    return replace(frozen, value=float(judged.hit.mean()), interval=interval)


def _silent(_stage: str) -> None:
    pass


def _check(model: str, escalate: str, budget: float | None) -> None:
    if model == ZERO_SHOT:
        raise UsageError(
            "zero-shot is no step of the ladder, which fits labelled rows",
            got=f"--model {model}",
            hint="embedcache fit-head --model zero-shot",
        )
    if escalate not in ESCALATE:
        raise UsageError("unknown escalate", got=escalate, expected=", ".join(ESCALATE))
    if budget is not None and not budget > 0:
        raise UsageError("a budget is in minutes, above 0", got=budget, expected="such as 30")
