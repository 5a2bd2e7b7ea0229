"""Fine-tune the backbone of a run, from the head that was fitted on its cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from embedcache.errors import CacheInvalidError, EmbedcacheError, UsageError
from embedcache.extraction.records import NotesOnly
from embedcache.finetuning.gate import THIRDS
from embedcache.finetuning.rates import restore
from embedcache.finetuning.record import FinetuneRecord
from embedcache.heads.head_record import load_head_record
from embedcache.heads.json_records import load_record
from embedcache.runs.files import read_regular
from embedcache.runs.folder import FINETUNE, HEAD, find_run, list_runs, runs_root
from embedcache.storage.digests import sha256_hex
from embedcache.storage.locks import exclusive
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root, choose_cache
from embedcache.workflows.decide import decide, fresh_decision
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.fit import fit_head
from embedcache.workflows.tuned_features import cache_tuned
from embedcache.workflows.tuned_run import MODEL
from embedcache.workflows.tuning import Notify, Tuning, fingerprint_of
from embedcache.workflows.tuning_cross import CrossFit
from embedcache.workflows.tuning_gate import find_test_rows, go_back, open_gate
from embedcache.workflows.tuning_material import gather
from embedcache.workflows.tuning_power import foretell
from embedcache.workflows.tuning_result import finetune_record, publish_tuning
from embedcache.workflows.tuning_rows import TuningRows, tuning_rows

__all__ = ["Finetuned", "finetune"]

_LARGEST = 64 << 20


@dataclass(frozen=True, eq=False)
class Finetuned:
    """A fine-tuning on disk.

    Attributes:
        path: Its folder.
        record: How it went.
        reused: Whether it was finished before.
        cache: Of the tuned features; None where nothing ships, or the images have moved.
    """

    path: Path
    record: FinetuneRecord
    reused: bool = False
    cache: Path | None = None


def finetune(
    cache_or_run: str | Path | None = None,
    options: FinetuneOptions | None = None,
    *,
    cache_dir: Path | None = None,
    runs_dir: Path | None = None,
    force: bool = False,
    overwrite: bool = False,
    cross_fit: bool = False,
    notify: Notify | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Finetuned:
    """Train a run's backbone and head together, on its training rows alone, and judge them.

    The test rows are read once, after the training, and only if the validation rows find the
    tuned weights better than the frozen ones. What passes is a run with a backbone of its own,
    whose features of the same images are then cached. The same call goes on after an
    interruption, and gives the finished result again without training.

    Args:
        cache_or_run: A cache's file, or the name or folder of a run; by default the newest cache.
            Of a cache, the newest logistic regression is taken, or fitted.
        options: How.
        cache_dir: The cache root.
        runs_dir: Folder of runs.
        force: Train whatever `decide` says.
        overwrite: Train again what is finished.
        cross_fit: Judge by three more trainings, each on two thirds of the training rows, instead
            of by test rows; the budget is for all four.
        notify: Told what a person should know.
        on_step: Told of steps taken, and of how many there are; then of images.

    Raises:
        UsageError: The verdict, the run, its images or the budget do not allow it.
        DriftError: The images do not lead to the cached logits.
        DivergedError: The loss is no number any more.
        LockedError: Another process is at the same training.
        StorageError: The result cannot be written.
    """
    options = options or FinetuneOptions()
    if cross_fit and options.budget is not None:
        options = replace(options, budget=options.budget / (1 + THIRDS))
    notify = notify or _silent
    runs, root = runs_root(runs_dir), cache_root(cache_dir)
    tuning = tuning_rows(_run_of(cache_or_run, runs, root, notify), root)
    notify(f"run: {tuning.run.name}")
    if tuning.missing:
        notify(f"{tuning.missing} training rows of the run are not in the cache any more")

    def cached(path: Path, record: FinetuneRecord) -> Path | None:
        if record.gate is None or not record.gate.ships:
            return None
        return cache_tuned(path, tuning.cache, options, notify=notify, on_step=on_step)

    material = gather(tuning, options)
    fingerprint = fingerprint_of(material, options)
    if cross_fit:
        fingerprint = sha256_hex(f"cross-fit {fingerprint}".encode())
    work = runs / f".{MODEL}-{fingerprint[:12]}.work"
    if not overwrite and (done := _finished(runs, fingerprint)):
        notify("trained already; --overwrite trains again")
        shutil.rmtree(work, ignore_errors=True)  # of a kill just after it was published
        return replace(done, cache=cached(done.path, done.record))
    crossed = None
    if cross_fit:
        crossed = CrossFit(tuning, options, work, notify=notify, on_step=on_step)
    test = crossed.rows if crossed else find_test_rows(tuning, options.source)
    foretell(tuning, test, runs, fingerprint, notify, cross_fit=cross_fit)
    if not force and not work.exists():
        _check_verdict(tuning, runs, options.device, notify)
    with exclusive(work.with_suffix(".lock")):
        session = Tuning(material, options, work, notify=notify, on_step=on_step)
        tuned = session.run()
        swept = go_back(material, tuned)
        opened = None
        if swept.alpha and test is not None:
            opened = (
                crossed.open(runs, fingerprint, tuned)
                if crossed
                else open_gate(test, runs, tuning, material, session.workers, fingerprint)
            )
        if not swept.alpha:  # the frozen weights are no news; what was tried is evidence
            restore(material.classifier, tuned.trained.final)
        record = finetune_record(tuning, material, options, tuned, fingerprint)
        record = replace(record, sweep=swept)
        if opened:
            minutes = record.minutes + sum(each.minutes for each in opened.thirds)
            record = replace(record, gate=opened.gate, thirds=opened.thirds, minutes=minutes)
        path = publish_tuning(runs, tuning, material, options, record, test, opened)
        session.forget()
    return Finetuned(path, record, cache=cached(path, record))


def _silent(_text: str) -> None:
    pass


def _check_verdict(tuning: TuningRows, runs: Path, device: str, notify: Notify) -> None:
    """Refuse to spend the time where the evidence does not ask for it."""
    decided = fresh_decision(tuning.cache, runs)
    if decided is None:
        notify("deciding first; --force trains without")
        decided = decide(tuning.cache, runs_dir=runs, device=device, observer=NotesOnly(notify))
    else:
        notify(f"decided before: {decided.path.name}")
    if decided.decision.verdict != "ESCALATE":
        raise UsageError(
            "the evidence does not ask for fine-tuning",
            where=decided.path,
            got=decided.decision.verdict,
            expected="ESCALATE",
            hint=f"{decided.decision.command}; or --force, to fine-tune all the same",
        )


def _run_of(given: str | Path | None, runs: Path, root: Path, notify: Notify) -> Path:
    """The run that is meant: named, or the newest logistic regression on a cache."""
    if given is not None and Path(given).suffix != ".h5":
        return find_run(str(given), runs)
    path = Path(given) if given is not None else choose_cache(root, "finetune", frozen=True)
    if given is None:
        notify(f"cache: {path}")
    cache = FeatureCache(path)
    candidates = []
    for run in list_runs(runs):
        try:
            head = load_head_record(run / HEAD)
        except EmbedcacheError:
            continue
        digests = [source.content_digest for source in head.sources]
        if head.model == "logreg" and digests == [cache.content_digest]:
            candidates.append(run)
    if candidates:
        return max(candidates, key=lambda run: (run / HEAD).stat().st_mtime_ns)
    notify("no logistic regression on this cache yet: fitting one")
    return fit_head(cache, runs_dir=runs).path


def _finished(runs: Path, fingerprint: str) -> Finetuned | None:
    for path in sorted(runs.glob(f"*/{FINETUNE}")):
        try:
            record = load_record(FinetuneRecord, read_regular(path, _LARGEST))
        except (ValueError, CacheInvalidError):
            continue
        if record.fingerprint == fingerprint:
            return Finetuned(path.parent, record, reused=True)
    return None
