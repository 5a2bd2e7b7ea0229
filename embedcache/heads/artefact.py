"""`Head`: a fitted linear head as arrays and JSON, and its predictions in numpy.

On disk: `head.json` and `head.safetensors`, each with the SHA-256 of what the
other says. N is the number of rows, D the embedding dimension, K the number of
classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import (
    CacheInvalidError,
    FeatureOverflowError,
    IdentityMismatchError,
)
from embedcache.heads.head_record import FORMAT, KIND, HeadRecord, HowChosen, load_head_record
from embedcache.heads.json_records import dump_record
from embedcache.heads.logreg import softmax
from embedcache.heads.tensors import load_tensors, tensor_bytes
from embedcache.heads.threads import one_thread
from embedcache.records.identity import Identity
from embedcache.runs.files import read_regular
from embedcache.runs.folder import HEAD, HEAD_TENSORS
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic

__all__ = ["Head"]

_LARGEST_HEADER = 65_536


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier of features of one backbone.

    Attributes:
        classes: K names, in the order of the probabilities.
        unseen: Classes of the cache without training rows; the head never answers them.
            They are codes K, K + 1, … in the labels of `rows.safetensors`.
        weights: (K, D) float64, for raw features: the scaler is folded in.
        intercept: (K,) float64.
        model: `logreg`.
        dataset: Name of the data set it was fitted on.
        backbone: The backbone's name.
        identity: Of the features that it accepts.
        content_digest: Of the cache that it was fitted on.
        chosen: How it came to be.
    """

    classes: tuple[str, ...]
    unseen: tuple[str, ...]
    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    model: str
    dataset: str
    backbone: str
    identity: Identity
    content_digest: str
    chosen: HowChosen

    @property
    def dim(self) -> int:
        """D."""
        return int(self.weights.shape[1])

    def check_identity(self, identity: Identity) -> None:
        """Refuse features of another backbone or of another preprocessing.

        Raises:
            IdentityMismatchError: With each field that differs.
        """
        if identity != self.identity:
            raise IdentityMismatchError(
                "these features are not of the backbone that this head was fitted on",
                got="; ".join(self.identity.differences(identity)),
                expected=f"{self.backbone}, identity {self.identity.short}",
                hint="extract with that backbone and those options, "
                "or fit a head on these features: embedcache fit-head",
            )

    def predict_proba(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Class probabilities, (N, K) float64, for features (N, D).

        A row's result does not depend, in any bit, on the rows that come with
        it: each row is one product of the same shape on one thread. (A product
        of many rows gives a row other roundings at another place, even in blocks
        of fixed size, at a fifth of the time.)

        Raises:
            IdentityMismatchError: The features are of another dimension.
            FeatureOverflowError: A feature is not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise IdentityMismatchError(
                "features of another dimension than this head's",
                got=f"shape {features.shape}",
                expected=f"(N, {self.dim})",
            )
        logits = np.empty((len(features), len(self.classes)))
        row = np.empty(self.dim)
        with one_thread():
            for index, given in enumerate(features):
                row[:] = given
                if not np.isfinite(row).all():
                    raise FeatureOverflowError("a feature is not finite", where=f"row {index}")
                np.matmul(self.weights, row, out=logits[index])
        return softmax(logits + self.intercept)

    def save(self, folder: Path) -> None:
        """Write `head.safetensors` and `head.json` into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        record = HeadRecord(
            FORMAT,
            KIND,
            self.model,
            self.classes,
            self.unseen,
            self.dim,
            self.dataset,
            self.backbone,
            self.identity,
            self.content_digest,
            self.chosen,
            "",
        )
        tensors = tensor_bytes(
            {"weights": self.weights, "intercept": self.intercept},
            {"description": record.digest},
        )
        write_atomic(folder / HEAD_TENSORS, tensors)
        write_atomic(
            folder / HEAD, dump_record(replace(record, tensors_sha256=sha256_hex(tensors)))
        )

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read a head that may come from anybody.

        Raises:
            CacheInvalidError: A file is missing, damaged, hostile or not of a head.
            FormatVersionError: Written by a newer embedcache.
        """
        record = load_head_record(folder / HEAD)
        k, d = len(record.classes), record.dim
        path = folder / HEAD_TENSORS
        data = read_regular(path, 8 * (k * d + k) + 8 + _LARGEST_HEADER)
        if sha256_hex(data) != record.tensors_sha256:
            raise CacheInvalidError(
                "the head's arrays are not those that its description names",
                where=path,
                got=f"SHA-256 {sha256_hex(data)[:12]}…",
                expected=f"{record.tensors_sha256[:12]}…",
                hint="fit the head again: embedcache fit-head",
            )
        shapes = {"weights": ("float64", (k, d)), "intercept": ("float64", (k,))}
        try:
            tensors, metadata = load_tensors(data, shapes)
        except ValueError as error:
            raise CacheInvalidError("not the arrays of a head", where=path, got=error) from error
        if metadata.get("description") != record.digest:
            raise CacheInvalidError(
                "the head's description was altered",
                where=folder / HEAD,
                hint="fit the head again: embedcache fit-head",
            )
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise CacheInvalidError("the head's arrays are not finite", where=path)
        return cls(
            record.classes,
            record.unseen,
            tensors["weights"],
            tensors["intercept"],
            record.model,
            record.dataset,
            record.backbone,
            record.identity,
            record.content_digest,
            record.chosen,
        )
