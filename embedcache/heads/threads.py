"""`one_thread`: linear algebra on one core.

On two busy cores the threads of BLAS wait for each other at every small
product: an L-BFGS iteration on 4,000 × 1,280 features and 10 classes took
455 ms on two threads and 15 ms on one, a QR factorisation of 1,280 × 1,000
3.2 s and 0.14 s. It also makes results independent of the number of cores.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS and OpenMP use one thread."""
    limits: AbstractContextManager[Any] = _libraries(len(sys.modules)).limit(limits=1)
    return limits


@lru_cache(maxsize=1)
def _libraries(_modules: int) -> Any:
    """Those that are loaded; looked for again once a module more has been imported.

    Looking takes 5 ms, for it reads the process's map of memory: of a fit to small data that was
    half the time.
    """
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # ships no types

    return ThreadpoolController()
