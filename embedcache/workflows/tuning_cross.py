"""Put a fine-tuning to the gate without test rows: three more trainings, each without a third.

The training rows are dealt into thirds. A training on two of them, with validation rows of
their own, answers the last one, and so does the run's kind of head, fitted to the frozen
features of the same two. The thirds' answers are judged together.

J is the number of rows that are judged, K of classes, n of a third's rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import CacheInvalidError, UnfittableError, UsageError
from embedcache.evaluation.folds import NEVER, folds_around
from embedcache.evaluation.splits import SIDE_FOLD, SIDE_TEST, SIDE_TRAIN, SIDE_UNUSED
from embedcache.finetuning.gate import THIRDS, Third, judge_thirds
from embedcache.finetuning.recipe import recipe_for
from embedcache.heads.features import Features
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Training
from embedcache.heads.models.index import MODELS
from embedcache.heads.rows import RunRows
from embedcache.heads.tensors import load_tensors, tensor_bytes
from embedcache.runs.files import read_regular
from embedcache.runs.ledger import record_gate
from embedcache.storage.publish import write_atomic
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.openings import test_rows_digest
from embedcache.workflows.tuning import Notify, Tuned, Tuning
from embedcache.workflows.tuning_gate import Opened, TestRows, answer, go_back, images_at
from embedcache.workflows.tuning_material import gather
from embedcache.workflows.tuning_rows import TuningRows

__all__ = ["CrossFit"]

_LARGEST = 1 << 36


@dataclass(frozen=True, eq=False)
class _Answers:
    """What is said of a third.

    Attributes:
        before: (n,) bool, whether the frozen head is right.
        probabilities: (n, K) float64, of the tuned model.
        third: How its training went.
    """

    before: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    third: Third


class CrossFit:
    """Trainings without a third each, resumable.

    Args:
        tuning: The run.
        options: Of every training.
        work: Folder of the unfinished state.
        notify: Told what a person should know.
        on_step: Told of steps taken, and of how many there are.

    Raises:
        UsageError: The run's kind of head cannot be fitted again.
        UnfittableError: A class would be missing from a training.
    """

    def __init__(
        self,
        tuning: TuningRows,
        options: FinetuneOptions,
        work: Path,
        *,
        notify: Notify,
        on_step: Callable[[int, int], None] | None,
    ) -> None:
        self._tuning, self._options, self._work = tuning, options, work
        self._notify, self._on_step = notify, on_step
        self._group = tuning.cache.tables.group[tuning.rows]
        self._part = folds_around(tuning.labels, self._group, tuning.touched, THIRDS, options.seed)
        self._judged = np.flatnonzero(self._part != NEVER)
        self._check()

    @property
    def rows(self) -> TestRows:
        """The J rows that are judged, as the gate knows rows."""
        tuning, judged = self._tuning, self._judged
        key = test_rows_digest(tuning.cache.sha256[tuning.rows[judged]])
        images = images_at(tuning.cache, tuning.rows[judged], self._options.source)
        return TestRows(key, tuning.rows[judged], images, self._group[judged])

    def open(self, runs: Path, change: str, whole: Tuned) -> Opened:
        """Train, answer, and judge.

        Args:
            runs: The runs folder, which holds the ledger.
            change: Digest of all that the training depends on, hexadecimal.
            whole: The training on all rows, whose boundary, views and length are settled.

        Raises:
            EmbedcacheError: As a training says.
            StorageError: The state or the ledger cannot be written.
        """
        rows = self.rows
        number = record_gate(runs, rows.key, change)
        found = [self._answers(third, whole) for third in range(THIRDS)]
        k = len(self._tuning.head.classes)
        before, shares = np.zeros(len(self._part), bool), np.zeros((len(self._part), k))
        for third, answers in enumerate(found):
            mine = self._part == third
            before[mine], shares[mine] = answers.before, answers.probabilities
        hit = shares.argmax(axis=1) == self._tuning.labels
        at = self._judged
        gate = judge_thirds(before[at], hit[at], rows.group, self._part[at], number)
        return Opened(gate, shares[at], self._sides(), tuple(each.third for each in found))

    def _check(self) -> None:
        model, k = self._tuning.head.model, len(self._tuning.head.classes)
        if model not in MODELS:
            raise UsageError(
                "this run's kind of head cannot be fitted again, to be compared with",
                where=self._tuning.run,
                got=model,
                expected=", ".join(MODELS),
            )
        for third in range(THIRDS):
            rest = self._tuning.labels[self._part != third]
            if len(np.unique(rest)) < k:
                raise UnfittableError(
                    "a class is too rare to be cross-fitted: a third has all its rows or groups",
                    where=self._tuning.run,
                    hint="label more images of it, or leave it out",
                )

    def _sides(self) -> RunRows:
        """The run's rows with the sides that they had here."""
        known, tuning = RunRows.load(self._tuning.run), self._tuning
        side = np.where(known.side == SIDE_TEST, SIDE_UNUSED, known.side)
        used = np.flatnonzero(known.side != SIDE_UNUSED)
        place = {known.digest[row].tobytes(): row for row in used}
        for row, part in zip(tuning.rows, self._part, strict=True):
            at = place[tuning.cache.sha256[row].tobytes()]
            side[at] = SIDE_TRAIN if part == NEVER else SIDE_FOLD + part
        return RunRows(known.digest, known.label, side.astype(np.uint8))

    def _answers(self, third: int, whole: Tuned) -> _Answers:
        path = self._work / f"third-{third}.safetensors"
        if not path.exists():
            self._notify(f"cross-fitting: training {third + 1} of {THIRDS}")
            found = self._train(third, whole)
            tensors: dict[str, NDArray[Any]] = {
                "before": found.before.astype(np.uint8),
                "probabilities": found.probabilities,
            }
            about = {"third": json.dumps([found.third.alpha, found.third.minutes])}
            write_atomic(path, tensor_bytes(tensors, about))
        return self._read(path, third)

    def _read(self, path: Path, third: int) -> _Answers:
        mine = self._part == third
        shapes = {
            "before": ("uint8", (int(mine.sum()),)),
            "probabilities": ("float64", (int(mine.sum()), len(self._tuning.head.classes))),
        }
        try:
            tensors, about = load_tensors(read_regular(path, _LARGEST), shapes)
            alpha, minutes = map(float, json.loads(about["third"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CacheInvalidError(
                "the state of an unfinished training is damaged",
                where=path,
                got=error,
                hint="delete its folder: the training then starts anew",
            ) from error
        before, shares = tensors["before"] == 1, tensors["probabilities"]
        after = shares.argmax(axis=1) == self._tuning.labels[mine]
        return _Answers(before, shares, Third.of(before, after, alpha, minutes))

    def _train(self, third: int, whole: Tuned) -> _Answers:
        tuning, options = self._tuning, self._options
        rest, held_out = np.flatnonzero(self._part != third), np.flatnonzero(self._part == third)
        inner = replace(
            tuning,
            rows=tuning.rows[rest],
            labels=tuning.labels[rest],
            touched=tuning.touched[rest],
        )
        frozen = self._frozen(rest, held_out)
        before = frozen.argmax(axis=1) == tuning.labels[held_out]
        tail = whole.plan.tail
        if tail is not None:
            options = replace(options, boundary=tail.boundary, views=tail.views)
        material = gather(inner, options)
        wanted = recipe_for(material.family, len(material.train), batch_size=options.batch_size)
        # No budget of its own: no longer than what was shortened to a quarter of all minutes.
        steps = options.steps or min(wanted.steps, whole.recipe.steps)
        options = replace(options, budget=None, steps=steps)
        work = self._work / f"third-{third}"
        session = Tuning(material, options, work, notify=self._notify, on_step=self._on_step)
        tuned = session.run()
        swept = go_back(material, tuned)
        shares = frozen
        if swept.alpha:  # else this training would have stayed frozen
            images = images_at(tuning.cache, tuning.rows[held_out], options.source)
            shares = answer(material, tuning.cache.identity.stored_dtype, images, session.workers)
        session.forget()
        after = shares.argmax(axis=1) == tuning.labels[held_out]
        minutes = tuned.trained.progress.seconds / 60
        return _Answers(before, shares, Third.of(before, after, swept.alpha, minutes))

    def _frozen(self, rest: NDArray[np.int64], held_out: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, K) of the run's kind of head at its own setting, fitted to the other rows."""
        tuning = self._tuning
        training = Training(
            Features.of(tuning.cache.rows(tuning.rows[rest])),
            tuning.labels[rest],
            tuning.head.chosen.seed,
        )
        form = MODELS[tuning.head.model].fit(training, dict(tuning.head.chosen.setting)).form
        held = tuning.cache.rows(tuning.rows[held_out]).astype(np.float64)
        return softmax(form.logits(held))
