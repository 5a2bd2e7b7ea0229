"""`MODELS`: every model by its name."""

from __future__ import annotations

from embedcache.heads.model import Model
from embedcache.heads.models.epochs import Epochs
from embedcache.heads.models.knn import Knn
from embedcache.heads.models.lda import Lda
from embedcache.heads.models.linear_svm import LinearSvm
from embedcache.heads.models.logreg import Logreg
from embedcache.heads.models.ncm import Ncm
from embedcache.heads.models.nystroem import Nystroem
from embedcache.heads.models.ridge import Ridge

__all__ = ["MODELS"]

_HIDDEN = 128

_ALL: tuple[Model, ...] = (
    Logreg(),
    Ridge(),
    LinearSvm(),
    Lda(),
    Ncm(),
    Knn(),
    Nystroem(),
    Epochs("mlp", _HIDDEN),
    Epochs("linear-sgd", 0),
)

MODELS: dict[str, Model] = {model.name: model for model in _ALL}
