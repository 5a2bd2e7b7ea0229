"""`JudgedRows`: a run's answers to rows that it had not seen, keyed by the images' digests.

J is the number of judged rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import row_log_loss
from embedcache.evaluation.splits import SIDE_UNUSED
from embedcache.heads.head_record import load_head_record
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows
from embedcache.records.feature_source import joined_name
from embedcache.runs.folder import HEAD

__all__ = ["JudgedRows"]


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """What a run's heads said of rows that they had not seen.

    Attributes:
        run: Name of the run's folder.
        model: Kind of head.
        backbone: The backbone's name, or the names of several.
        dataset: Name of the data set.
        digest: (J,) 32 raw bytes each, rising, without repetition.
        label: (J,) names of the classes.
        group: (J,) int32, what belongs together; negative for a row of its own.
        hit: (J,) bool, whether the answer is the label.
        loss: (J,) float64, log-loss in nats.
    """

    run: str
    model: str
    backbone: str
    dataset: str
    digest: NDArray[np.void]
    label: NDArray[np.str_]
    group: NDArray[np.int32]
    hit: NDArray[np.bool_]
    loss: NDArray[np.float64]

    @classmethod
    def load(cls, folder: Path) -> JudgedRows:
        """Read a run's files, which may come from anybody.

        Raises:
            UsageError: No row was judged.
            CacheInvalidError: One is damaged or missing.
        """
        record = load_head_record(folder / HEAD)
        rows = RunRows.load(folder)
        if (rows.side == SIDE_UNUSED).all():
            raise UsageError(
                "a run without labelled rows has nothing to compare",
                where=folder,
                hint="fit it again on labelled images, or with --labels FILE",
            )
        found = Predictions.load(folder, rows)
        digest = np.ascontiguousarray(rows.digest[found.row]).view("V32").ravel()
        # `np.unique` on raw bytes: an image is judged once in a run.
        _, order = np.unique(digest, return_index=True)
        codes = rows.label[found.row][order]
        shares = found.probability[order].astype(np.float64)
        names = np.array(record.classes + record.unseen)
        return cls(
            folder.name,
            record.model,
            joined_name(record.sources),
            record.dataset,
            digest[order],
            names[codes],
            found.group[order],
            shares.argmax(axis=1) == codes,
            row_log_loss(codes, shares),
        )
