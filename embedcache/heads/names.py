"""Names of the models, for the command line, without importing what fits them."""

from __future__ import annotations

__all__ = ["AUTO", "MODEL_NAMES", "MULTILABEL_MODELS", "ZERO_SHOT"]

AUTO = "auto"
"""Stands for the best of the models that are sensible for the data."""

ZERO_SHOT = "zero-shot"
"""Class names alone, by the text tower of the backbone: nothing is fitted."""

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

MULTILABEL_MODELS = ("logreg", "ridge", "linear-svm")
"""Those that fit rows with any number of labels, each label against its absence."""
