"""`hushed`: keep open_clip from warning that it loads no weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["hushed"]


@contextmanager
def hushed() -> Iterator[None]:
    """Build a model of open_clip without that warning: we load the weights, later.

    It logs by `logging.warning`, which would install a handler where there is none.
    """
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addFilter(_is_not_about_weights)
    root.addHandler(silent)
    try:
        yield
    finally:
        root.removeHandler(silent)
        root.removeFilter(_is_not_about_weights)


def _is_not_about_weights(record: logging.LogRecord) -> bool:
    return "No pretrained weights loaded" not in record.getMessage()
