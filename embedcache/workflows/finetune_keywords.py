"""`finetune` for Python: every option by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embedcache.errors import UsageError
from embedcache.store.cache import FeatureCache
from embedcache.workflows import finetune as workflow
from embedcache.workflows.finetune import Finetuned
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fitted_run import Run

__all__ = ["finetune"]

_AUTO = "auto"


def finetune(
    cache_or_run: str | Path | FeatureCache | Run | None = None,
    *,
    unfreeze: str = "all",
    boundary: str = "auto",
    views: int | None = None,
    lr: float | str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    augment: str = "none",
    class_weights: bool = False,
    budget: float | None = None,
    source: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    workers: int | None = None,
    checkpoint_minutes: float = 5.0,
    seed: int = 0,
    force: bool = False,
    overwrite: bool = False,
    cross_fit: bool = False,
    cache_dir: Path | None = None,
    runs_dir: Path | None = None,
    notify: Callable[[str], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Finetuned:
    """Train a run's backbone and head together, and let a gate decide whether they ship.

    `decide` is asked first: unless its verdict is `ESCALATE`, nothing is trained. The run's test
    rows are read once, after the training. The same call goes on after an interruption, and
    gives a finished result again without training.

    Args:
        cache_or_run: A cache, or its file; a run of `fit_head`, its name or its folder; by
            default the newest cache. Of a cache, the newest logistic regression is taken, or
            fitted.
        unfreeze: Which blocks are trained: `tail`, from cached activations; `last-N` or `all`,
            from images.
        boundary: Block that the tail begins at, its name or `last-N`; `auto` by budget and disk.
        views: Cached of each image by the tail; None for the most that fit.
        lr: Peak learning rate; `auto` to choose it by short trainings; None for the recipe of
            the backbone's family, like the next two.
        steps: Of the optimiser.
        batch_size: Rows in a step.
        augment: `none`, `flip`, `flips`, `light` or `strong`.
        class_weights: Weigh each class alike, whatever its number of rows.
        budget: Minutes that the training may take; its cost is measured first.
        source: Folder or table of the images, if they have moved; found by their bytes.
        device: Where to train.
        precision: `auto`, `float32` or `bfloat16`, of the training.
        workers: Processes that read and prepare images; None for what suits the device.
        checkpoint_minutes: Between two checkpoints.
        seed: Of the validation rows, order, augmentation and dropout.
        force: Train whatever `decide` says.
        overwrite: Train again what is finished.
        cross_fit: Judge by three more trainings, each on the training rows that it has not seen.
        cache_dir: The cache root.
        runs_dir: Folder of runs; `EMBEDCACHE_RUNS_DIR` or `./runs` if not given.
        notify: Told what a person should know.
        on_step: Told of steps taken, and of how many there are.

    Returns:
        Folder and record: `record.gate.ships` says whether the folder is a run to predict with.

    Raises:
        UsageError: The verdict, the run, its images or an option do not allow it.
        BudgetError: Not even a short training fits into the minutes.
        DriftError: The images do not lead to the cached logits.
        DivergedError: The loss is no number any more.
        LockedError: Another process is at the same training.
        StorageError: The result cannot be written.
    """
    if isinstance(lr, str) and lr != _AUTO:
        raise UsageError("not a learning rate", got=lr, expected="a number or auto")
    given = cache_or_run.path if isinstance(cache_or_run, (FeatureCache, Run)) else cache_or_run
    options = FinetuneOptions(
        unfreeze=unfreeze,
        boundary=boundary,
        views=views,
        lr=None if isinstance(lr, str) else lr,
        lr_auto=lr == _AUTO,
        steps=steps,
        batch_size=batch_size,
        augment=augment,
        class_weights=class_weights,
        budget=budget,
        source=None if source is None else Path(source),
        device=device,
        precision=precision,
        workers=workers,
        checkpoint_minutes=checkpoint_minutes,
        seed=seed,
    )
    return workflow.finetune(
        given,
        options,
        cache_dir=cache_dir,
        runs_dir=runs_dir,
        force=force,
        overwrite=overwrite,
        cross_fit=cross_fit,
        notify=notify,
        on_step=on_step,
    )
