"""Count how many heads were judged on the same test rows, before a run is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.splits import SIDE_TEST
from embedcache.heads.fitted import Fitted
from embedcache.heads.report import FitReport
from embedcache.runs.ledger import record_opening
from embedcache.storage.digests import sha256_hex

__all__ = ["count_opening", "test_rows_digest"]


def count_opening(root: Path, fitted: Fitted) -> Fitted:
    """The fit with the number of openings of its test rows in its report.

    A cross-validation has no test rows, and opens none. A head is one opening, with its
    few-shot curve if it has one: the curve's points are no candidates, nothing is chosen by them.

    Args:
        root: The runs folder, which holds the ledger.
        fitted: Head, rows and report.

    Raises:
        CacheInvalidError: The ledger is damaged.
        StorageError: It cannot be written.
    """
    report = fitted.report
    if report.split.folds:
        return fitted
    test = fitted.rows.digest[fitted.rows.side == SIDE_TEST]
    has_curve = isinstance(report, FitReport) and report.shots is not None
    curve = ", and its few-shot curve" if has_curve else ""
    opened_by = f"{report.model}, {report.backbone}{curve}"
    number = record_opening(root, test_rows_digest(test), opened_by)
    split = replace(report.split, test_openings=number)
    return replace(fitted, report=replace(report, split=split))


def test_rows_digest(digests: NDArray[np.uint8]) -> str:
    """What the ledger knows test rows by, hexadecimal.

    Args:
        digests: (T, 32) of their images, in any order: the same images are the same test.
    """
    images = np.sort(np.ascontiguousarray(digests).view("V32").ravel())
    return sha256_hex(images.tobytes())
