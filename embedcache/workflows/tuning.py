"""The training itself, resumable: plan, trials of the learning rate, and the long run.

Its unfinished state lies in a hidden folder beside the runs, named after all that the
result depends on: the same command finds it, another one does not.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import nn

from embedcache.extraction.loading import default_workers
from embedcache.finetuning.checkpoint import Checkpoint
from embedcache.finetuning.cost import Cost, fit_into, measure_step
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.images import InOrder
from embedcache.finetuning.judging import score
from embedcache.finetuning.looks import ImageLooks, Look, TailLooks
from embedcache.finetuning.parts import TAIL
from embedcache.finetuning.precision import training_precision
from embedcache.finetuning.rates import FACTORS, Trial, best_rate, restore, run_trial, trial_recipe
from embedcache.finetuning.recipe import Recipe, recipe_for
from embedcache.finetuning.record import CachedTail, Plan
from embedcache.finetuning.splits import TAIL_SHARE
from embedcache.finetuning.training import Judge, Trained, train
from embedcache.heads.json_records import dump_record
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import make_dir, write_atomic
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.tuning_course import Course, Told, set_course
from embedcache.workflows.tuning_material import Material
from embedcache.workflows.tuning_state import load_state

__all__ = ["Notify", "Tuned", "Tuning", "fingerprint_of"]

Notify = Callable[[str], None]

_JUDGED_AT_ONCE = 16  # images: on CPUs larger batches leave the caches


@dataclass(frozen=True, eq=False)
class Tuned:
    """A trained model; `material.classifier` has the final weights.

    Attributes:
        trained: Both ends of the training, and its curves.
        plan: As settled before the first step.
        recipe: As trained.
        trials: That chose its rate.
        freezing: Which parameters moved.
        look: At the validation rows, whatever the weights are.
    """

    trained: Trained
    plan: Plan
    recipe: Recipe
    trials: tuple[Trial, ...]
    freezing: Freezing
    look: Look


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
        on_step: Told of steps taken, and of how many there are; before them of images cached.

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
        self._look: Look = ImageLooks(material.classifier, rows, material.precision, self.workers)

    def run(self) -> Tuned:
        """Train, from wherever an earlier run left off.

        Raises:
            UsageError: The budget is too small.
            DivergedError: The loss is no number any more.
            StorageError: The state cannot be written.
            CacheInvalidError: The state is damaged, or an image has changed.
        """
        make_dir(self._work)
        started = time.monotonic()
        wanted, cost = self._wanted()
        course = set_course(
            self._material,
            self._options,
            wanted,
            cost,
            self._work,
            self.workers,
            Told(self._notify, self._on_step),
        )
        if course.tail is not None:
            assert isinstance(self._look, ImageLooks), "a training is run once"
            self._look = TailLooks(self._look, course.tail.boundary, self._work)
            cost = replace(cost, caching=time.monotonic() - started)
        plan = self._settled(course, wanted, cost)
        trials = tuple(self._trial(course, plan, number) for number in range(plan.trials))
        recipe = replace(plan.recipe, learning_rate=best_rate(trials)) if trials else plan.recipe
        if trials:
            self._notify(f"learning rate: {recipe.learning_rate:.2g}")

        def judge(_model: nn.Module) -> tuple[float, float]:
            # The whole model, whatever part of it is trained on whatever.
            return self._judge()

        trained = self._train(course, recipe, "training", judge)
        return Tuned(trained, plan, recipe, trials, course.freezing, self._look)

    def forget(self) -> None:
        """Remove the state, once the result is safe."""
        shutil.rmtree(self._work, ignore_errors=True)

    def _wanted(self) -> tuple[Recipe, Cost]:
        """The recipe as long as it wants to be, and the cost of all that is no step."""
        material, options = self._material, self._options
        precision = options.precision
        if precision == "auto":
            precision = training_precision(material.device)
        recipe = recipe_for(
            material.family,
            len(material.train),
            learning_rate=options.lr,
            steps=options.steps,
            batch_size=options.batch_size,
            precision=precision,
            seed=options.seed,
        )
        look = len(material.validation) * material.image_seconds
        trials = len(FACTORS) if options.lr_auto else 0
        if options.unfreeze == TAIL:  # the images once, and then what is trained
            return recipe, Cost(0.0, TAIL_SHARE * look, trials, look)
        return recipe, Cost(0.0, look, trials)

    def _judge(self) -> tuple[float, float]:
        """Log-loss and accuracy on the validation rows, as the classifier is now."""
        return score(self._look(), self._material.validation.labels)

    def _settled(self, course: Course, wanted: Recipe, cost: Cost) -> Plan:
        """The plan of an earlier run, else a new one."""
        path = self._work / "plan.json"
        if path.exists():
            plan = load_state(Plan, path)
            self._notify("going on with an unfinished training")
            return plan
        plan = self._new_plan(course, wanted, cost)
        write_atomic(path, dump_record(plan))
        return plan

    def _new_plan(self, course: Course, wanted: Recipe, cost: Cost) -> Plan:
        step = measure_step(
            course.model, course.batches(wanted), wanted, course.freezing, course.workers
        )
        cost = replace(cost, step=step)
        if course.tail is not None:
            started = time.monotonic()
            self._judge()
            cost = replace(cost, judge=time.monotonic() - started)
        recipe = fit_into(self._options.budget, wanted, cost)
        minutes = cost.seconds(recipe.steps) / 60
        notes = []
        if recipe.steps < wanted.steps:
            notes.append(
                f"{recipe.steps:,} steps instead of {wanted.steps:,}, to end within "
                f"{self._options.budget:g} minutes"
            )
        self._notify(
            f"cost: about {minutes:.1f} minutes, {recipe.steps:,} steps of {step:.2f} s"
            + (f" and {cost.trials} trials of a quarter of that" if cost.trials else "")
        )
        for note in notes:
            self._notify(note)
        return Plan(
            recipe,
            cost.trials,
            step,
            minutes,
            self._material.parity,
            tuple(notes),
            course.tail,
            cost.caching,
        )

    def _trial(self, course: Course, plan: Plan, number: int) -> Trial:
        path = self._work / f"trial-{number}.json"
        if path.exists():
            return load_state(Trial, path)

        classifier = self._material.classifier
        initial = {name: each.detach().clone() for name, each in classifier.named_parameters()}

        def measured(recipe: Recipe) -> tuple[float, float]:
            self._train(course, recipe, f"trial-{number}", None)
            return self._judge()

        trial = run_trial(trial_recipe(plan.recipe, FACTORS[number]), measured)
        restore(classifier, initial)
        write_atomic(path, dump_record(trial))
        return trial

    def _train(self, course: Course, recipe: Recipe, name: str, judge: Judge | None) -> Trained:
        path = self._work / f"{name}.safetensors"
        told, every = self._on_step, 60 * self._options.checkpoint_minutes

        def on_step(progress: Progress) -> None:
            if told is not None:
                told(progress.step, recipe.steps)

        return train(
            course.model,
            course.batches(recipe),
            recipe,
            course.freezing,
            judge=judge,
            checkpoint=Checkpoint(path, _digest(recipe, course.tail), every),
            workers=course.workers,
            on_step=on_step,
        )


def _digest(recipe: Recipe, tail: CachedTail | None) -> str:
    return sha256_hex(dump_record(recipe) + (b"" if tail is None else dump_record(tail)))
