"""embedcache: embed labelled images once, fit classifiers on the cached features in seconds.

    from embedcache import extract, fit_head, load_head, FeatureCache

    result = extract("photos/", "bundled/efficientnet_lite0")
    run = fit_head(result.cache)
    head = load_head(run.path)

Importing this package imports no library; torch is imported when a backbone is
needed, scikit-learn when a head is fitted.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedcache.heads.artefact import Head
    from embedcache.heads.solver.estimator import SoftmaxRegression
    from embedcache.store.cache import FeatureCache
    from embedcache.workflows.compare import compare
    from embedcache.workflows.decide import decide
    from embedcache.workflows.extract import extract_source as extract
    from embedcache.workflows.finetune_keywords import finetune
    from embedcache.workflows.fit import fit_head, load_head
    from embedcache.workflows.predict import predict
    from embedcache.workflows.run import run_ladder

__all__ = [
    "FeatureCache",
    "Head",
    "SoftmaxRegression",
    "compare",
    "decide",
    "extract",
    "finetune",
    "fit_head",
    "load_head",
    "predict",
    "run_ladder",
]

_HOMES = {
    "FeatureCache": "embedcache.store.cache:FeatureCache",
    "Head": "embedcache.heads.artefact:Head",
    "SoftmaxRegression": "embedcache.heads.solver.estimator:SoftmaxRegression",
    "compare": "embedcache.workflows.compare:compare",
    "decide": "embedcache.workflows.decide:decide",
    "extract": "embedcache.workflows.extract:extract_source",
    "finetune": "embedcache.workflows.finetune_keywords:finetune",
    "fit_head": "embedcache.workflows.fit:fit_head",
    "load_head": "embedcache.workflows.fit:load_head",
    "predict": "embedcache.workflows.predict:predict",
    "run_ladder": "embedcache.workflows.run:run_ladder",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
