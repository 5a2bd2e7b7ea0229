"""`Stages`: the four stages of `run`, each the workflow of its own command, under its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from embedcache.backbones.base import Backbone
from embedcache.decision.verdict import PILOT_NEEDED
from embedcache.errors import BudgetError, UnfittableError
from embedcache.extraction.records import ExtractResult, Observer
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root
from embedcache.workflows.decide import BUDGET, Decided, decide, fresh_decision
from embedcache.workflows.extract import extract_source
from embedcache.workflows.finetune import Finetuned, finetune
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head
from embedcache.workflows.fitted_run import Run
from embedcache.workflows.ladder_costs import LadderCosts
from embedcache.workflows.tuning_gate import rows_of_test
from embedcache.workflows.tuning_power import sees_more_crossed
from embedcache.workflows.tuning_rows import tuning_rows

__all__ = ["ESCALATE", "STAGES", "Stages"]

STAGES = ("extract", "fit-head", "decide", "finetune")

ESCALATE = ("auto", "never", "always")
"""Fine-tune if the verdict says so; never, and then without a pilot; whatever the verdict is."""


@dataclass
class Stages:
    """One call of `run`.

    Attributes:
        costs: Of all calls.
        escalate: One of `ESCALATE`.
        observer: Hears how it goes.
        on_stage: Told which of `STAGES` begins.
        progress: Told what is being computed.
        cache_dir: The cache root.
        runs_dir: Folder of runs.
        left_out: By stage, why something of it was left out.
    """

    costs: LadderCosts
    escalate: str
    observer: Observer
    on_stage: Callable[[str], None]
    progress: Callable[[str], None] | None
    cache_dir: Path | None
    runs_dir: Path | None
    left_out: dict[str, str] = field(default_factory=dict)

    def extract(
        self, source: str | Path, backbone: str | Backbone, **options: Any
    ) -> ExtractResult:
        """Make the features, while there is time.

        Raises:
            BudgetError: There is none left; what is made stays.
        """
        self.on_stage("extract")
        with self.costs.of("extract") as meter:
            result = extract_source(
                source,
                backbone,
                observer=self.observer,
                cache_dir=self.cache_dir,
                minutes=self.costs.left,
                **options,
            )
            meter.reused(not result.embedded)
        return result

    def fit(self, cache: FeatureCache, model: str, seed: int) -> Run:
        """Fit a head, unless the same one was fitted before."""
        self.on_stage("fit-head")
        with self.costs.of("fit-head") as meter:
            run = fit_head(
                cache,
                model=model,
                seed=seed,
                reuse=True,
                runs_dir=self.runs_dir,
                progress=self.progress,
                notify=self.observer.note,
            )
            meter.reused(run.reused)
        return run

    def decide(
        self, cache: FeatureCache, fitted: Run, target: float | None, device: str, seed: int
    ) -> Decided | None:
        """Take the stored verdict, or decide: with a pilot where it could matter."""
        if cache.is_multilabel:
            self.left_out["decide"] = "the images have several labels each"
            return None
        self.on_stage("decide")
        pilot = self.escalate == "auto" and self.costs.left > 0
        minutes = min(BUDGET, self.costs.left) if pilot else 0.0
        asked: dict[str, Any] = {
            "target": target,
            "model": fitted.head.model,
            "pilot": pilot,
            "seed": seed,
        }
        with self.costs.of("decide") as meter:
            found = fresh_decision(cache, self.runs_dir, **asked, budget=minutes)
            meter.reused(found is not None)
            if found is None:
                found = decide(
                    cache,
                    **asked,
                    budget=minutes or BUDGET,
                    device=device,
                    runs_dir=self.runs_dir,
                    progress=self.progress,
                    observer=self.observer,
                )
        if found.decision.verdict == PILOT_NEEDED and self.escalate == "auto" and not pilot:
            self.left_out["decide"] = "its pilot, as the budget is spent"
        return found

    def finetune(
        self,
        cache: FeatureCache,
        fitted: Run,
        decided: Decided | None,
        options: FinetuneOptions,
    ) -> Finetuned | None:
        """Train, where verdict, backbone and time allow it."""
        why = self._against_training(cache, decided)
        minutes = None if why else self.costs.for_training()
        if minutes == 0:
            why = "the budget is spent"
        if why is None:
            self.on_stage("finetune")
            options = replace(options, budget=minutes)
            try:
                with self.costs.of("finetune") as meter:
                    done = self._train(fitted, options)
                    meter.reused(done.reused)
                return done
            except (BudgetError, UnfittableError) as error:
                why = error.what
                if error.expected:
                    why += f": it takes {error.expected}"
        self.left_out["finetune"] = why
        return None

    def _train(self, fitted: Run, options: FinetuneOptions) -> Finetuned:
        """Train and judge by test rows, or cross-fitted where that sees more."""
        tuning = tuning_rows(fitted.path, cache_root(self.cache_dir))
        if not sees_more_crossed(tuning) or self.costs.uncrossed:
            return self._finetune(fitted, options)
        try:
            return self._finetune(fitted, options, cross_fit=True)
        except (BudgetError, UnfittableError) as error:
            if not len(rows_of_test(tuning)):
                raise
            self.observer.note(f"not cross-fitted: {error.what}")
            self.costs.leave_uncrossed()
            return self._finetune(fitted, options)

    def _finetune(
        self, fitted: Run, options: FinetuneOptions, *, cross_fit: bool = False
    ) -> Finetuned:
        return finetune(
            fitted.path,
            options,
            cache_dir=self.cache_dir,
            runs_dir=self.runs_dir,
            force=True,
            cross_fit=cross_fit,
            notify=self.observer.note,
            on_step=self.observer.progress,
        )

    def _against_training(self, cache: FeatureCache, decided: Decided | None) -> str | None:
        """Why no training is to start, if so."""
        if decided is None:
            return "the images have several labels each"
        if self.escalate == "never":
            return "as asked for"
        verdict = decided.decision.verdict
        if self.escalate == "auto" and verdict != "ESCALATE":
            return f"the verdict is {verdict}"
        if not cache.meta.request:
            return "the backbone was given in memory, and cannot be loaded to be trained"
        return None
