"""Put a tuned backbone to the gate: the run's test rows, which the training has not read.

T is the number of test rows, K of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from embedcache.evaluation.splits import SIDE_TEST
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.gate import Gate, Third, judge_change
from embedcache.finetuning.gate_rows import GateRows
from embedcache.finetuning.images import Images, InOrder
from embedcache.finetuning.interpolation import Sweep, sweep
from embedcache.finetuning.judging import logits_of
from embedcache.finetuning.locate import locate
from embedcache.heads.judged import JudgedRows
from embedcache.heads.logreg import softmax
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows
from embedcache.inputs.preprocess import Preprocessing
from embedcache.runs.ledger import record_gate
from embedcache.store.cache import FeatureCache
from embedcache.workflows.openings import test_rows_digest
from embedcache.workflows.tuning import Tuned
from embedcache.workflows.tuning_material import Material
from embedcache.workflows.tuning_rows import TuningRows, touched_in

__all__ = [
    "Opened",
    "TestRows",
    "answer",
    "find_test_rows",
    "go_back",
    "images_at",
    "open_gate",
    "rows_of_test",
]

_AT_ONCE = 16  # images, as on the validation rows


@dataclass(frozen=True, eq=False)
class TestRows:
    """Where the test images lie; they are not read before the gate.

    Attributes:
        key: Digest of all test rows, as in the ledger.
        row: (T,) int64, their rows in the cache.
        images: T of them, each once; labels are not filled in.
        group: (T,) int32, what errs together; negative for a row of its own.
    """

    __test__ = False  # for pytest, which takes the name for a test's

    key: str
    row: NDArray[np.int64]
    images: Images
    group: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Opened:
    """What the test rows say.

    Attributes:
        gate: Whether the tuned model ships.
        probabilities: (T, K) float64 of the tuned model, rows as in `TestRows`.
        rows: All rows of the run, with their sides.
        thirds: The trainings that gave these answers, where that was not the tuned model itself.
        seen: What both models answered; None where these trainings did.
    """

    gate: Gate
    probabilities: NDArray[np.float64]
    rows: RunRows
    thirds: tuple[Third, ...] = ()
    seen: GateRows | None = None


class _AsShipped(nn.Module):
    """Features rounded as in a cache before the head sees them: as `predict` computes them."""

    def __init__(self, classifier: Classifier, stored: str) -> None:
        super().__init__()
        self._classifier = classifier
        self._stored = getattr(torch, stored)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 to (B, K) float32."""
        features = self._classifier.features(pixels).float().to(self._stored).float()
        with torch.autocast(pixels.device.type, enabled=False):
            logits: Tensor = self._classifier.head(features)
        return logits


def find_test_rows(tuning: TuningRows, source: Path | None) -> TestRows | None:
    """The run's test rows that its cache still has; None where there are none.

    Images that the backbone was tuned with before are none.

    Args:
        tuning: The run and its cache.
        source: Where the images are now; None for where they were.

    Raises:
        UsageError: An image is nowhere.
        CacheInvalidError: A file is damaged.
    """
    rows, cache = rows_of_test(tuning), tuning.cache
    if not len(rows):
        return None
    known = RunRows.load(tuning.run)
    test = known.digest[known.side == SIDE_TEST]
    images = images_at(cache, rows, source)
    return TestRows(test_rows_digest(test), rows, images, cache.tables.group[rows])


def rows_of_test(tuning: TuningRows) -> NDArray[np.int64]:
    """Rows of the cache that are test rows of the run, (T,): each image once, none touched.

    Raises:
        CacheInvalidError: A file is damaged.
    """
    known, cache = RunRows.load(tuning.run), tuning.cache
    test = known.digest[known.side == SIDE_TEST]
    # Each image once, as in `JudgedRows`.
    wanted = np.unique(np.ascontiguousarray(test).view("V32").ravel())
    touched = touched_in(cache)
    position = {
        digest.tobytes(): row for row, digest in enumerate(cache.sha256) if not touched[row]
    }
    found = [position[each.tobytes()] for each in wanted if each.tobytes() in position]
    return np.array(found, np.int64)


def images_at(cache: FeatureCache, rows: NDArray[np.int64], source: Path | None) -> Images:
    """The images of some rows, to be answered; labels are not filled in.

    Args:
        cache: The cache.
        rows: (T,) int64.
        source: Where the images are now; None for where they were.

    Raises:
        UsageError: An image is nowhere.
    """
    return Images(
        locate(cache, rows, source),
        np.asarray(cache.sha256[rows]),
        np.zeros(len(rows), np.int64),
        np.ones(len(rows), np.float32),
        Preprocessing.from_identity(cache.identity),
    )


def go_back(material: Material, tuned: Tuned) -> Sweep:
    """Take the classifier as far from the frozen weights as the validation rows find good.

    Args:
        material: Its classifier has the final weights.
        tuned: Both ends, and how to look at these rows.
    """
    ends = tuned.trained.initial, tuned.trained.final
    labels, group = material.validation.labels, material.validation_group
    swept = sweep(material.classifier, *ends, lambda _model: tuned.look(), labels, group)
    if swept.alpha:
        material.classifier.cool(swept.temperature)
    return swept


def open_gate(
    test: TestRows, root: Path, tuning: TuningRows, material: Material, workers: int, change: str
) -> Opened:
    """Read the test rows, and judge the tuned model against the run's own head.

    Args:
        test: The rows.
        root: The runs folder.
        tuning: The run.
        material: Its classifier is the tuned one.
        workers: Processes that prepare images.
        change: Digest of all that the training depends on, hexadecimal.

    Raises:
        CacheInvalidError: An image has changed, or a file is damaged.
        StorageError: The ledger cannot be written.
    """
    number = record_gate(root, test.key, change)
    shares = answer(material, tuning.cache.identity.stored_dtype, test.images, workers)
    judged = JudgedRows.load(tuning.run)
    digests = np.ascontiguousarray(test.images.digests).view("V32").ravel()
    place = np.searchsorted(judged.digest, digests)
    known = RunRows.load(tuning.run)
    said = Predictions.load(tuning.run, known)
    answered = said.probability.argmax(axis=1)
    at = {known.digest[row].tobytes(): n for n, row in enumerate(said.row)}
    these = np.array([at[digest.tobytes()] for digest in test.images.digests], np.int64)
    seen = GateRows(
        test.images.digests,
        known.label[said.row[these]].astype(np.int32),
        answered[these].astype(np.int32),
        shares.argmax(axis=1).astype(np.int32),
        shares.max(axis=1).astype(np.float32),
    )
    gate = judge_change(judged.hit[place], seen.after == seen.label, test.group, number)
    return Opened(gate, shares, known, seen=seen)


def answer(material: Material, stored: str, images: Images, workers: int) -> NDArray[np.float64]:
    """What the classifier says of images, as it would ship: (T, K) probabilities.

    Args:
        material: It has the classifier.
        stored: dtype that features are rounded to.
        images: T of them.
        workers: Processes that prepare images.

    Raises:
        CacheInvalidError: An image has changed.
    """
    model = _AsShipped(material.classifier, stored)
    logits = logits_of(model, InOrder(images, _AT_ONCE), material.precision, workers)
    return softmax(logits.astype(np.float64))
