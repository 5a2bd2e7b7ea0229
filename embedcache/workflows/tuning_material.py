"""All that a fine-tuning starts with: rows, images, head and backbone, joined and checked.

N is the number of training rows, V of validation rows, D the embedding dimension.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.blocks import blocks, family
from embedcache.backbones.load import build_architecture, find_device
from embedcache.backbones.splitting import boundaries
from embedcache.evaluation.folds import folds_around
from embedcache.evaluation.splits import FOLDS
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.images import Images, InOrder
from embedcache.finetuning.judging import logits_of
from embedcache.finetuning.locate import locate
from embedcache.finetuning.parity import check_parity
from embedcache.finetuning.parts import TAIL, unfrozen_blocks
from embedcache.finetuning.start import Start, set_validation_aside, starting_head
from embedcache.heads.features import Features
from embedcache.heads.leaderboard import choose
from embedcache.heads.model import Training
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.seen import TRAINED, VALIDATED, SeenRows
from embedcache.store.cache import FeatureCache
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.origin import check_identity, source_of
from embedcache.workflows.tuning_rows import TuningRows

__all__ = ["Material", "gather", "rows_seen"]

_COMPARED = 32
"""Images of the parity check."""


@dataclass(frozen=True, eq=False)
class Material:
    """A training's model and rows.

    Attributes:
        classifier: On its device, as it is before the first step.
        start: Its head.
        blocks: Names of the backbone's blocks, from the input to the output.
        trained: Of them, counted from the output; None where the costs are to say where the tail
            begins.
        family: Of the backbone.
        features: The cache of their features.
        train_rows: (N,) int64 rows of it.
        train: The N training images.
        validation: The V images set aside.
        validation_group: (V,) int32, what errs together; negative for a row of its own.
        parity: The gap of the parity check.
        precision: Of the backbone, and so of every evaluation.
        image_seconds: Of one image in the head's precision, reading included.
    """

    classifier: Classifier
    start: Start
    blocks: tuple[str, ...]
    trained: int | None
    family: str
    features: FeatureCache
    train_rows: NDArray[np.int64]
    train: Images
    validation: Images
    validation_group: NDArray[np.int32]
    parity: float
    precision: str
    image_seconds: float

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.classifier.head.weight.device

    @property
    def fingerprint(self) -> str:
        """SHA-256 of rows, labels, weights, starting head and blocks, hexadecimal."""
        digest = hashlib.sha256()
        for images in (self.train, self.validation):
            for column in (images.digests, images.labels, images.weights):
                digest.update(np.ascontiguousarray(column).tobytes())
        for array in (self.start.head.weights, self.start.head.intercept):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr((self.blocks, self.train.preprocessing)).encode())
        return digest.hexdigest()


def gather(tuning: TuningRows, options: FinetuneOptions) -> Material:
    """Set rows aside, fit the starting head, load the backbone, and check parity.

    Raises:
        UsageError: Images are not where they were, or an option does not fit.
        IdentityMismatchError: The backbone is not the one that made the cache any more.
        CacheInvalidError: An image has other bytes than when it was embedded.
        DriftError: The images do not lead to the cached logits.
    """
    cache, rows, labels = tuning.cache, tuning.rows, tuning.labels
    paths = locate(cache, rows, options.source)
    check_identity(cache, source_of(cache, options.device, None))
    group = cache.tables.group[rows]
    features = cache.rows(rows)
    touched = tuning.touched
    aside = set_validation_aside(labels, group, cache.split[rows], options.seed, touched)
    c = _strength(tuning, features, labels, group, options.seed)
    start = starting_head(features, labels, aside, c)
    preprocessing = Preprocessing.from_identity(cache.identity)

    def images(chosen: NDArray[np.int64], weights: NDArray[np.float32]) -> Images:
        digests = np.asarray(cache.sha256[rows[chosen]])
        return Images(paths.take(chosen), digests, labels[chosen], weights, preprocessing)

    train, validation = np.flatnonzero(~aside), np.flatnonzero(aside)
    weights = _class_weights(labels[train]) if options.class_weights else np.ones(len(train))
    validating = images(validation, np.ones(len(validation), np.float32))
    architecture = build_architecture(BackboneRequest.from_json(cache.meta.request))
    if options.unfreeze == TAIL:
        boundaries(architecture.module)  # refuses what cannot be split
    names = tuple(block.name for block in blocks(architecture.module))
    trained = unfrozen_blocks(options.unfreeze, options.boundary, names)
    kind = family(architecture.module)
    classifier = Classifier(architecture.module, preprocessing, start.head)
    classifier.eval().to(find_device(options.device))
    compared = validation[:_COMPARED]
    started = time.perf_counter()
    some = InOrder(images(compared, np.ones(len(compared), np.float32)), len(compared))
    logits = logits_of(classifier, some, cache.identity.precision, 0)
    seconds = (time.perf_counter() - started) / len(compared)
    gap = check_parity(logits, features[compared], start.head, cache.identity.precision)
    return Material(
        classifier,
        start,
        names,
        trained,
        kind,
        cache,
        rows[train],
        images(train, weights.astype(np.float32)),
        validating,
        group[validation],
        gap,
        cache.identity.precision,
        seconds,
    )


def rows_seen(material: Material) -> SeenRows:
    """All images that the training has seen, and which were for validation."""
    train, validation = material.train.digests, material.validation.digests
    part = np.repeat([TRAINED, VALIDATED], [len(train), len(validation)]).astype(np.uint8)
    return SeenRows(np.concatenate([train, validation]), part)


def _strength(
    tuning: TuningRows,
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    group: NDArray[np.int32],
    seed: int,
) -> float:
    """The C of the run, or one chosen as `fit-head` does, on training rows, if it has none."""
    if tuning.head.model == "logreg":
        return tuning.head.chosen.setting["C"]
    choice = choose(
        "logreg",
        Training(Features.of(features), labels, seed),
        group,
        folds_around(labels, group, tuning.touched, FOLDS, seed),
        metric="log_loss",
        values=None,
        progress=None,
    )
    return choice.selected.record.setting["C"]


def _class_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row's weight where all classes weigh alike; 1 on average, (N,)."""
    counts = np.bincount(labels)
    weights: NDArray[np.float64] = len(labels) / ((counts > 0).sum() * counts[labels])
    return weights
