"""The training itself, resumable: plan, trials of the learning rate, and the long run.

Its unfinished state lies in a hidden folder beside the runs, named after all that the
result depends on: the same command finds it, another one does not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from embedcache.errors import CacheInvalidError
from embedcache.extraction.loading import default_workers
from embedcache.finetuning.checkpoint import Checkpoint
from embedcache.finetuning.cost import Cost, fit_into, measure_step
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.images import ImageBatches, InOrder
from embedcache.finetuning.judging import ImageJudge
from embedcache.finetuning.precision import training_precision
from embedcache.finetuning.rates import FACTORS, Trial, best_rate, restore, run_trial, trial_recipe
from embedcache.finetuning.recipe import Recipe, recipe_for
from embedcache.finetuning.record import Plan
from embedcache.finetuning.training import Trained, train
from embedcache.heads.json_records import dump_record, load_record
from embedcache.runs.files import read_regular
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import make_dir, write_atomic
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.tuning_material import Material

__all__ = ["Notify", "Tuned", "Tuning", "fingerprint_of"]

Notify = Callable[[str], None]

_Record = TypeVar("_Record")

_JUDGED_AT_ONCE = 16  # images: on CPUs larger batches leave the caches
_LARGEST = 16 << 20


@dataclass(frozen=True, eq=False)
class Tuned:
    """A trained model; `material.classifier` has the final weights.

    Attributes:
        trained: Both ends of the training, and its curves.
        plan: As settled before the first step.
        recipe: As trained.
        trials: That chose its rate.
    """

    trained: Trained
    plan: Plan
    recipe: Recipe
    trials: tuple[Trial, ...]


def fingerprint_of(material: Material, options: FinetuneOptions) -> str:
    """SHA-256 of all that a result depends on, hexadecimal."""
    asked = asdict(replace(options, source=None))
    for unimportant in ("source", "device", "workers", "checkpoint_minutes"):
        del asked[unimportant]
    text = json.dumps([material.fingerprint, asked], sort_keys=True)
    return sha256_hex(text.encode())


class Tuning:
    """A fine-tuning at work.

    Args:
        material: What it starts with.
        options: What was asked for.
        work: Folder of its unfinished state.
        notify: Told what a person should know.
        on_step: Told of steps taken, and of how many there are.

    Attributes:
        workers: Processes that prepare images.
    """

    def __init__(
        self,
        material: Material,
        options: FinetuneOptions,
        work: Path,
        *,
        notify: Notify,
        on_step: Callable[[int, int], None] | None = None,
    ) -> None:
        self._material = material
        self._options = options
        self._work = work
        self._notify = notify
        self._on_step = on_step
        is_cpu = material.device.type == "cpu"
        # On a CPU the step itself takes all cores; one process keeps up with it.
        default = 1 if is_cpu else default_workers()
        self.workers = default if options.workers is None else options.workers
        rows = InOrder(material.validation, _JUDGED_AT_ONCE)
        self._judge = ImageJudge(rows, material.precision, self.workers)

    def run(self) -> Tuned:
        """Train, from wherever an earlier run left off.

        Raises:
            UsageError: The budget is too small.
            DivergedError: The loss is no number any more.
            StorageError: The state cannot be written.
            CacheInvalidError: The state is damaged, or an image has changed.
        """
        make_dir(self._work)
        plan = self._settled()
        trials = tuple(self._trial(plan, number) for number in range(plan.trials))
        recipe = replace(plan.recipe, learning_rate=best_rate(trials)) if trials else plan.recipe
        if trials:
            self._notify(f"learning rate: {recipe.learning_rate:.2g}")
        trained = self._train(recipe, "training", self._judge)
        return Tuned(trained, plan, recipe, trials)

    def forget(self) -> None:
        """Remove the state, once the result is safe."""
        shutil.rmtree(self._work, ignore_errors=True)

    def _settled(self) -> Plan:
        """The plan of an earlier run, else a new one."""
        path = self._work / "plan.json"
        if path.exists():
            plan = _load(Plan, path)
            self._notify("going on with an unfinished training")
            return plan
        plan = self._new_plan()
        write_atomic(path, dump_record(plan))
        return plan

    def _new_plan(self) -> Plan:
        material, options = self._material, self._options
        precision = options.precision
        if precision == "auto":
            precision = training_precision(material.device)
        wanted = recipe_for(
            material.family,
            len(material.train),
            learning_rate=options.lr,
            steps=options.steps,
            batch_size=options.batch_size,
            precision=precision,
            seed=options.seed,
        )
        step = measure_step(
            material.classifier,
            self._batches(wanted),
            wanted,
            material.freezing,
            self.workers,
        )
        judge = len(material.validation) * material.image_seconds
        cost = Cost(step, judge, len(FACTORS) if options.lr_auto else 0)
        recipe = fit_into(options.budget, wanted, cost)
        minutes = cost.seconds(recipe.steps) / 60
        notes = []
        if recipe.steps < wanted.steps:
            notes.append(
                f"{recipe.steps:,} steps instead of {wanted.steps:,}, to end within "
                f"{options.budget:g} minutes"
            )
        self._notify(
            f"cost: about {minutes:.1f} minutes, {recipe.steps:,} steps of {step:.2f} s"
            + (f" and {cost.trials} trials of a quarter of that" if cost.trials else "")
        )
        for note in notes:
            self._notify(note)
        return Plan(recipe, cost.trials, step, minutes, material.parity, tuple(notes))

    def _batches(self, recipe: Recipe) -> ImageBatches:
        train = self._material.train
        return ImageBatches(train, recipe.batch_size, recipe.seed, self._options.augment)

    def _trial(self, plan: Plan, number: int) -> Trial:
        path = self._work / f"trial-{number}.json"
        if path.exists():
            return _load(Trial, path)

        classifier = self._material.classifier
        initial = {name: each.detach().clone() for name, each in classifier.named_parameters()}

        def measured(recipe: Recipe) -> tuple[float, float]:
            self._train(recipe, f"trial-{number}", None)
            return self._judge(classifier)

        trial = run_trial(trial_recipe(plan.recipe, FACTORS[number]), measured)
        restore(classifier, initial)
        write_atomic(path, dump_record(trial))
        return trial

    def _train(self, recipe: Recipe, name: str, judge: ImageJudge | None) -> Trained:
        path = self._work / f"{name}.safetensors"
        told = self._on_step

        def on_step(progress: Progress) -> None:
            if told is not None:
                told(progress.step, recipe.steps)

        return train(
            self._material.classifier,
            self._batches(recipe),
            recipe,
            self._material.freezing,
            judge=judge,
            checkpoint=Checkpoint(path, _digest(recipe), 60 * self._options.checkpoint_minutes),
            workers=self.workers,
            on_step=on_step,
        )


def _load(kind: type[_Record], path: Path) -> _Record:
    try:
        return load_record(kind, read_regular(path, _LARGEST))
    except ValueError as error:
        raise CacheInvalidError(
            "the state of an unfinished training is damaged",
            where=path,
            got=error,
            hint="delete its folder: the training then starts anew",
        ) from error


def _digest(recipe: Recipe) -> str:
    return sha256_hex(dump_record(recipe))
