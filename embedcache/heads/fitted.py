"""`Fitted`: what a fit gives, and the files of a run that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from embedcache.heads.artefact import Head
from embedcache.heads.json_records import dump_record
from embedcache.heads.multilabel.report import MarkDoubt, MultilabelReport
from embedcache.heads.predictions import Predictions
from embedcache.heads.report import FitReport
from embedcache.heads.row_records import LabelDoubt
from embedcache.heads.rows import RunRows
from embedcache.runs.folder import REPORT
from embedcache.storage.publish import write_atomic

__all__ = ["Fitted"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit gives.

    Attributes:
        head: To predict with.
        rows: Behind it.
        predictions: Of the judged ones, by heads that had not seen them.
        report: How the head was chosen and how good it is.
        doubts: Every label that is probably wrong, the most doubtful first.
    """

    head: Head
    rows: RunRows
    predictions: Predictions
    report: FitReport | MultilabelReport
    doubts: tuple[LabelDoubt, ...] | tuple[MarkDoubt, ...]

    def save(self, folder: Path) -> None:
        """Write head, rows, predictions and report into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        self.rows.save(folder)
        self.predictions.save(folder)
        self.head.save(folder)
        write_atomic(folder / REPORT, dump_record(self.report))
