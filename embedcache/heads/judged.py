"""`JudgedRows`: a run's answers to rows that it had not seen, keyed by the images' digests.

J is the number of judged rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.errors import UsageError
from embedcache.evaluation.metrics import cell_log_loss, row_log_loss
from embedcache.evaluation.multilabel import THRESHOLD
from embedcache.evaluation.splits import SIDE_UNUSED
from embedcache.heads.head_record import load_head_record
from embedcache.heads.predictions import Predictions
from embedcache.heads.rows import RunRows
from embedcache.records.feature_source import joined_name
from embedcache.runs.folder import HEAD

__all__ = ["JudgedRows"]

_SEPARATOR = "\x1f"  # of units, in ASCII


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """What a run's heads said of rows that they had not seen.

    Attributes:
        run: Name of the run's folder.
        model: Kind of head.
        backbone: The backbone's name, or the names of several.
        dataset: Name of the data set.
        digest: (J,) 32 raw bytes each, rising, without repetition.
        label: (J,) names of the classes; of rows with any number of labels all of theirs.
        names: All labels, sorted, where rows have any number of them; None where they have one.
        group: (J,) int32, what belongs together; negative for a row of its own.
        hit: (J,) bool, whether the answer is the label, or every label is answered right.
        loss: (J,) float64, log-loss in nats, the mean of the row's labels where it has several.
    """

    run: str
    model: str
    backbone: str
    dataset: str
    digest: NDArray[np.void]
    label: NDArray[np.str_]
    names: tuple[str, ...] | None
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
        rows = RunRows.load(folder, several=True)
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
        truth = rows.label[found.row][order]
        shares = found.probability[order].astype(np.float64)
        names = record.classes + record.unseen
        if rows.is_multilabel:
            label, hit, loss = _of_labels(truth == 1, shares, names)
        else:
            label, hit = np.array(names)[truth], shares.argmax(axis=1) == truth
            loss = row_log_loss(truth, shares)
        return cls(
            folder.name,
            record.model,
            joined_name(record.sources),
            record.dataset,
            digest[order],
            label,
            tuple(sorted(names)) if rows.is_multilabel else None,
            found.group[order],
            hit,
            loss,
        )


def _of_labels(
    truth: NDArray[np.bool_], shares: NDArray[np.float64], names: Sequence[str]
) -> tuple[NDArray[np.str_], NDArray[np.bool_], NDArray[np.float64]]:
    """Texts of the rows' labels (J,), whether all of them are answered right, and the loss."""
    order = sorted(range(len(names)), key=lambda at: names[at])  # the same text in any run
    texts = [_SEPARATOR.join(names[at] for at in order if row[at]) for row in truth]
    hit = ((shares > THRESHOLD) == truth).all(axis=1)
    return np.array(texts), hit, cell_log_loss(truth, shares).mean(axis=1)
