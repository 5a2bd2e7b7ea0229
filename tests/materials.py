"""Material for pages, without fitting anything."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from problems import IDENTITY, marks

from embedcache.evaluation.calibration import label_reliability
from embedcache.evaluation.evaluate import evaluate
from embedcache.evaluation.multilabel import evaluate_multilabel
from embedcache.heads.calibrate import calibration_of
from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.heads.cleaning import Conflict, Crossing
from embedcache.heads.multilabel.report import (
    LabelRows,
    MarkDoubt,
    MarkDoubts,
    MultilabelReport,
)
from embedcache.heads.report import FitReport
from embedcache.heads.row_records import ClassRows, LabelDoubt, LabelDoubts, RowCounts, Split
from embedcache.heads.run_report import RunReport
from embedcache.records.feature_source import FeatureSource
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.strings import Strings
from embedcache.reports.page.material import Material

__all__ = ["HOSTILE", "marked_material", "material"]

HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m\n\udcff"
"""A name that would run, close an attribute, turn the text around or break the encoding."""


def material(
    classes: tuple[str, ...] = ("cat", "dog", "hen"), rows: int = 300, **changes: Any
) -> Material[FitReport]:
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
    parts: dict[str, Any] = {
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
    return replace(Material(**parts), **changes)


def marked_material(
    names: tuple[str, ...] = ("cat", "dog", "hen"), rows: int = 300, **changes: Any
) -> Material[MultilabelReport]:
    """The same for rows that have any of these labels."""
    rng = np.random.default_rng(0)
    labels = marks(rows, [0.5, *[0.25] * (len(names) - 1)])
    shares = 1 / (1 + np.exp(-2.5 * (2.0 * labels - 1) - 1.5 * rng.normal(size=labels.shape)))
    group = np.full(rows, -1, np.int32)
    one = material(names, rows)
    shared = {field.name: getattr(one.report, field.name) for field in fields(RunReport)}
    doubts = tuple(
        MarkDoubt(
            row, f"{row}.png", names[0], row == 3, 0.1 if row == 3 else 0.9, row != 7, row == 7
        )
        for row in (3, 5, 7)
    )
    report = MultilabelReport(
        **shared,
        labels=tuple(
            LabelRows(name, 80, int(labels[:, i].sum()), 1.0) for i, name in enumerate(names)
        ),
        evaluation=evaluate_multilabel(labels, shares, names, labels.mean(axis=0), group, seed=0),
        ece=label_reliability(labels == 1, shares, group).ece,
        mistakes=(),
        label_doubts=MarkDoubts(2, 1, doubts),
    )
    own = {"report": report, "labels": labels, "probabilities": shares.astype(np.float32)}
    return replace(one, **{**own, **changes})  # type: ignore[return-value]  # with its report


def selection() -> SelectionRecord:
    """A choice of C with a minimum inside the grid."""
    cs = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    losses = [0.61, 0.47, 0.40, 0.38, 0.42, 0.55]
    scores = tuple(
        SettingScore({"C": c}, loss, loss - 0.38, 0.0 if c == 1e-2 else 0.012, 0.8, True, 20)
        for c, loss in zip(cs, losses, strict=True)
    )
    return SelectionRecord({"C": 1e-2}, {"C": 1e-2}, "log_loss", 5, scores, False, True)
