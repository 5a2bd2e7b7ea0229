"""Names of the models, for the command line, without importing what fits them."""

from __future__ import annotations

__all__ = ["AUTO", "MODEL_NAMES"]

AUTO = "auto"
"""Stands for the best of the models that are sensible for the data."""

MODEL_NAMES = (
    "logreg",
    "ridge",
    "linear-svm",
    "lda",
    "ncm",
    "knn",
    "nystroem",
    "mlp",
    "linear-sgd",
)
