"""Make a run of a tuned model that passed its gate: its backbone, its head, what it was judged by.

T is the number of judged rows, K of the head's classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_tuned import write_tuned
from embedcache.backbones.golden_record import make_golden
from embedcache.backbones.load import load_backbone
from embedcache.backbones.names import TUNED
from embedcache.backbones.tuned_folder import seen_by, settled
from embedcache.evaluation.splits import SIDE_UNUSED
from embedcache.extraction.environment import environment
from embedcache.extraction.golden import GoldenClaim
from embedcache.heads.artefact import Head
from embedcache.heads.head_record import HowChosen
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows
from embedcache.records.feature_source import FeatureSource
from embedcache.records.identity import Identity
from embedcache.workflows.tuning_material import Material, rows_seen
from embedcache.workflows.tuning_rows import TuningRows

__all__ = ["MODEL", "Shipment", "ship"]

MODEL = "finetune"
"""What `ls` and `compare` call a head that was trained together with its backbone."""


@dataclass(frozen=True, eq=False)
class Shipment:
    """A tuned model in a run's folder, but for what holds the run's name.

    Attributes:
        identity: Of its features.
        backbones: The entry of `config.json` that says how to load it.
    """

    identity: Identity
    backbones: list[dict[str, Any]]
    _tuning: TuningRows
    _material: Material
    _temperature: float

    def write_head(self, folder: Path, name: str) -> None:
        """The head, as that of any run.

        Args:
            folder: The run's.
            name: That the run is about to get.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        head, material = self._tuning.head, self._material
        form = material.classifier.linear()
        source = FeatureSource(
            f"{TUNED}:{name}", self.identity, self._tuning.cache.content_digest, form.dim
        )
        chosen = HowChosen(
            {"C": material.start.c},
            "log_loss",
            head.chosen.seed,
            len(material.train),
            converged=True,
            iterations=0,
            temperature=self._temperature,
        )
        Head(head.classes, head.unseen, form, MODEL, head.dataset, (source,), chosen).save(folder)


def ship(
    folder: Path,
    tuning: TuningRows,
    material: Material,
    known: RunRows,
    digests: NDArray[np.uint8],
    group: NDArray[np.int32],
    probabilities: NDArray[np.float64],
    temperature: float,
) -> Shipment:
    """Write the backbone, the rows, and what was said of those that judged it.

    The backbone is read back, so that what ships is what loads, and its golden record is made.
    The run names it as lying in the run itself, wherever that may go.

    Args:
        folder: Of the run that is being made.
        tuning: The run that it comes from.
        material: Its classifier has the weights that passed.
        known: All rows of the run, with their sides.
        digests: (T, 32) uint8 of the judged rows.
        group: (T,) int32, what errs together; negative for a row of its own.
        probabilities: (T, K), of the model that passed.
        temperature: What its logits were divided by, folded into its head.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    cache = tuning.cache
    base = BackboneRequest.from_json(cache.meta.request)
    seen, before = rows_seen(material), seen_by(base)
    identity = write_tuned(
        folder,
        material.classifier.tower,
        base,
        cache.identity,
        seen if before is None else before.joined(seen),
        cache.meta.backbone.license,
    )
    known.save(folder)
    _predictions(known, digests, group, probabilities).save(folder)
    asked = BackboneRequest(
        f"{TUNED}:.", precision=identity.precision, stored_dtype=identity.stored_dtype
    )
    backbone = load_backbone(settled(asked, beside=folder), device=str(material.device))
    assert backbone.spec.identity == identity, "a backbone is read as it was written"
    claim = GoldenClaim(make_golden(backbone).to_json(), environment(), (backbone.numerics,))
    entry = {"request": asked.to_json(), "golden": claim.to_json()}
    return Shipment(identity, [entry], tuning, material, temperature)


def _predictions(
    known: RunRows,
    digests: NDArray[np.uint8],
    group: NDArray[np.int32],
    probabilities: NDArray[np.float64],
) -> Predictions:
    used = np.flatnonzero(known.side != SIDE_UNUSED)  # a copy of an image is not
    position = {known.digest[row].tobytes(): row for row in used}
    rows = np.array([position[digest.tobytes()] for digest in digests], np.int64)
    order = np.argsort(rows)
    # A judged row of a class that the head does not know: it has a column of zeros.
    width = max(probabilities.shape[1], int(known.label[rows].max()) + 1)
    shares = np.zeros((len(rows), width), np.float32)
    shares[:, : probabilities.shape[1]] = probabilities[order]
    return Predictions(rows[order], group[order], shares)
