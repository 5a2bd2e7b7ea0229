"""`Head`: a fitted head as arrays and JSON, and its predictions in numpy.

On disk: `head.json` and `head.safetensors`, each with the SHA-256 of what the
other says. N is the number of rows, D the embedding dimension, K the number of
classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import (
    CacheInvalidError,
    FeatureOverflowError,
    IdentityMismatchError,
)
from embedcache.heads.features import BLOCK
from embedcache.heads.forms.form import Form, Shapes
from embedcache.heads.forms.index import FORMS
from embedcache.heads.head_record import (
    FORMAT,
    KIND,
    AbstainRule,
    HeadRecord,
    HowChosen,
    load_head_record,
)
from embedcache.heads.json_records import dump_record
from embedcache.heads.logreg import sigmoid, softmax
from embedcache.heads.tensors import load_tensors, tensor_bytes
from embedcache.heads.threads import one_thread
from embedcache.records.feature_source import FeatureSource, joined_name
from embedcache.records.identity import Identity
from embedcache.runs.files import read_regular
from embedcache.runs.folder import HEAD, HEAD_TENSORS
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic

__all__ = ["Head"]

_LARGEST_HEADER = 65_536
_LARGEST_OPEN = 1 << 36  # stored training rows


@dataclass(frozen=True, eq=False)
class Head:
    """A classifier of features of one backbone.

    Attributes:
        classes: K names, in the order of the probabilities.
        unseen: Classes of the cache without training rows; the head never answers them.
            They are codes K, K + 1, … in the labels of `rows.safetensors`.
        form: What gives raw features logits.
        model: Name of the model, as in `--model`.
        dataset: Name of the data set it was fitted on.
        sources: Of the features that it accepts: which backbones, in the order of their
            columns, and which caches it was fitted on.
        chosen: How it came to be.
        abstain: When it gives no answer; None for always an answer.
        output: `softmax` for one class a row; `sigmoid` for any number of them, whose
            probabilities need not sum to 1.
    """

    classes: tuple[str, ...]
    unseen: tuple[str, ...]
    form: Form
    model: str
    dataset: str
    sources: tuple[FeatureSource, ...]
    chosen: HowChosen
    abstain: AbstainRule | None = None
    output: str = "softmax"

    @property
    def dim(self) -> int:
        """D."""
        return self.form.dim

    @property
    def backbone(self) -> str:
        """The backbone's name, or the names of several."""
        return joined_name(self.sources)

    def check_identity(self, *identities: Identity) -> None:
        """Refuse features of another backbone or of another preprocessing.

        Args:
            identities: Of the features, one for each of `sources` and in their order.

        Raises:
            IdentityMismatchError: With each field that differs.
        """
        if len(identities) != len(self.sources):
            raise IdentityMismatchError(
                "this head was fitted on the features of another number of backbones",
                got=f"features of {len(identities)}",
                expected=f"{len(self.sources)}: {self.backbone}",
                hint="give their features side by side, in this order",
            )
        for source, identity in zip(self.sources, identities, strict=True):
            if identity != source.identity:
                raise IdentityMismatchError(
                    "these features are not of the backbone that this head was fitted on",
                    got="; ".join(source.identity.differences(identity)),
                    expected=f"{source.backbone}, identity {source.identity.short}",
                    hint="extract with that backbone and those options, "
                    "or fit a head on these features: embedcache fit-head",
                )

    def predict_proba(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Class probabilities, (N, K) float64, for features (N, D).

        Of a head whose output is `sigmoid` they are of the presence of each label: a row need
        not sum to 1, and a label is answered where its probability is above one half.
        A head of several sources takes their columns side by side, in the order of
        `sources`: `np.concatenate([a.X, b.X], axis=1)`. A row's result
        does not depend, in any bit, on the rows that come with it.

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
        with one_thread():
            for at in range(0, len(features), BLOCK):
                rows = features[at : at + BLOCK].astype(np.float64)
                finite = np.isfinite(rows).all(axis=1)
                if not finite.all():
                    raise FeatureOverflowError(
                        "a feature is not finite", where=f"row {at + int(np.argmin(finite))}"
                    )
                logits[at : at + BLOCK] = self.form.logits(rows)
        return sigmoid(logits) if self.output == "sigmoid" else softmax(logits)

    def abstains(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which rows get no answer, (N,) bool, as their largest probability is too small.

        Args:
            probabilities: (N, K), as `predict_proba` gives them.
        """
        least = 0.0 if self.abstain is None else self.abstain.threshold
        unsure: NDArray[np.bool_] = probabilities.max(axis=1) < least
        return unsure

    def save(self, folder: Path) -> None:
        """Write `head.safetensors` and `head.json` into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        record = HeadRecord(
            FORMAT,
            KIND,
            self.model,
            self.form.name,
            self.classes,
            self.unseen,
            self.dim,
            self.dataset,
            self.sources,
            self.chosen,
            "",
            self.abstain,
            self.output,
        )
        tensors = tensor_bytes(self.form.tensors(), {"description": record.digest})
        write_atomic(folder / HEAD_TENSORS, tensors)
        write_atomic(
            folder / HEAD, dump_record(replace(record, tensors_sha256=sha256_hex(tensors)))
        )

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read a head that may come from anybody.

        Raises:
            CacheInvalidError: A file is missing, damaged, hostile or not of a head.
            FormatVersionError: Written by another version of embedcache.
        """
        record = load_head_record(folder / HEAD)
        form = FORMS[record.form]
        shapes = form.shapes(len(record.classes), record.dim)
        path = folder / HEAD_TENSORS
        data = read_regular(path, _largest(shapes))
        if sha256_hex(data) != record.tensors_sha256:
            raise CacheInvalidError(
                "the head's arrays are not those that its description names",
                where=path,
                got=f"SHA-256 {sha256_hex(data)[:12]}…",
                expected=f"{record.tensors_sha256[:12]}…",
                hint="fit the head again: embedcache fit-head",
            )
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
        try:
            fitted = form.of(tensors)
        except ValueError as error:
            raise CacheInvalidError("not the arrays of a head", where=path, got=error) from error
        if fitted.k != len(record.classes):
            raise CacheInvalidError(
                "a head of another number of classes than it names",
                where=path,
                got=f"{fitted.k} in its arrays",
                expected=len(record.classes),
            )
        return cls(
            record.classes,
            record.unseen,
            fitted,
            record.model,
            record.dataset,
            record.sources,
            record.chosen,
            record.abstain,
            record.output,
        )


def _largest(shapes: Shapes) -> int:
    """Bytes of the largest file that can hold these arrays; a bound where a side is open."""
    sides = [side for _, shape in shapes.values() for side in shape]
    if None in sides:
        return _LARGEST_OPEN
    size = sum(
        np.dtype(dtype).itemsize * math.prod(side for side in shape if side is not None)
        for dtype, shape in shapes.values()
    )
    return size + 8 + _LARGEST_HEADER
