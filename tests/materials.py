"""Material for pages, without fitting anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from problems import IDENTITY

from embedcache.evaluation.evaluate import evaluate
from embedcache.heads.calibrate import calibration_of
from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.heads.cleaning import Conflict, Crossing
from embedcache.heads.report import FitReport
from embedcache.heads.row_records import ClassRows, LabelDoubt, LabelDoubts, RowCounts, Split
from embedcache.records.feature_source import FeatureSource
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.strings import Strings
from embedcache.reports.page.material import Material

__all__ = ["HOSTILE", "material"]

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m\n\udcff"
"""A name that would run, close an attribute, turn the text around or break the encoding."""


def material(
    classes: tuple[str, ...] = ("cat", "dog", "hen"), rows: int = 300, **changes: Any
) -> Material:
    """A page's material with random but sensible answers; `changes` replaces any field."""
    k = len(classes)
    rng = np.random.default_rng(0)
    labels = (np.arange(rows) % k).astype(np.int32)
    logits = 3 * np.eye(k)[labels] + 1.3 * rng.normal(size=(rows, k))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    group = np.full(rows, -1, np.int32)
    evaluation = evaluate(labels, shares, classes, np.full(k, 1 / k), group, seed=0)
    report = FitReport(
        format=1,
        dataset="pets-12345678",
        sources=(FeatureSource("fake/mean", IDENTITY, "2" * 64, 512),),
        model="logreg",
        seed=0,
        dim=512,
        converged=True,
        iterations=321,
        rows=RowCounts(rows + 40, 30, 6, 4, rows, rows),
        classes=tuple(
            ClassRows(name, 80, int((labels == i).sum())) for i, name in enumerate(classes)
        ),
        unseen=(),
        split=Split("hold-out", "given", f"the source sets {rows} test rows aside", 0, (), (), 1),
        selection=selection(),
        leaderboard=None,
        evaluation=evaluation,
        calibration=calibration_of(
            labels, shares, np.full(rows, 1.2), group, shipped=1.2, folds=()
        ),
        abstention=None,
        mistakes=(),
        label_doubts=LabelDoubts(
            2,
            1,
            tuple(
                LabelDoubt(row, f"{row}.png", classes[0], classes[1], 0.9, 0.1, row != 7, row == 7)
                for row in (3, 5, 7)
            ),
        ),
        conflicts=(Conflict(("a.png", "b.png"), (classes[0], classes[1])),),
        crossings=(Crossing("c.png", "d.png"),),
        crossing_count=1,
        notes=("fewer training rows than folds: 'cat' (3)",),
        near_duplicates=None,
    )
    fields: dict[str, Any] = {
        "report": report,
        "row": np.arange(rows),
        "labels": labels,
        "group": group,
        "probabilities": shares.astype(np.float32),
        "ids": Strings.of(
            f"pets/{classes[0]}/{i:04}.png".encode("utf-8", "surrogateescape") for i in range(rows)
        ),
        "picture": lambda _row: None,
        "rejects": (Reject(b"bad.png", bytes(32), RejectReason.TRUNCATED, "cut off", "pillow 12"),),
        "commands": ("embedcache extract pets", "embedcache fit-head cache/pets.h5"),
        "versions": {"embedcache": "0.1.0", "numpy": "2.4"},
    }
    return replace(Material(**fields), **changes)


def selection() -> SelectionRecord:
    """A choice of C with a minimum inside the grid."""
    cs = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    losses = [0.61, 0.47, 0.40, 0.38, 0.42, 0.55]
    scores = tuple(
        SettingScore({"C": c}, loss, loss - 0.38, 0.0 if c == 1e-2 else 0.012, 0.8, True, 20)
        for c, loss in zip(cs, losses, strict=True)
    )
    return SelectionRecord({"C": 1e-2}, {"C": 1e-2}, "log_loss", 5, scores, False, True)
