"""Fit other labels on the same features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from embedcache.datasets.label_table import read_labels
from embedcache.errors import UsageError
from embedcache.heads.problem import Problem

__all__ = ["relabel"]


def relabel(problem: Problem, location: Path, root: str) -> tuple[Problem, str]:
    """The problem with the labels of a file; images that it does not name have none.

    Args:
        problem: Of a cache, or of several side by side.
        location: A CSV file of ids, or paths, and labels.
        root: Folder that ids are relative to.

    Returns:
        The problem, and a sentence on what the labels cover.

    Raises:
        UsageError: It names no image of the cache.
        SourceError: It is malformed.
        StorageError: It cannot be read.
    """
    table = read_labels(location, root)
    wanted = dict(zip(table.ids, table.labels.tolist(), strict=True))
    labels = np.array([wanted.pop(item, -1) for item in problem.ids], np.int32)
    if len(wanted) == len(table.ids):
        raise UsageError(
            "the labels are of none of the cached images",
            where=location,
            got=repr(table.ids[0].decode(errors="backslashreplace")),
            expected=f"ids such as {problem.ids.text(0)!r}",
            hint="embedcache inspect --rows",
        )
    note = f"labels from {location}: {int((labels >= 0).sum())} of {len(labels)} rows"
    if wanted:
        note += f"; {len(wanted)} of its images are not in the cache"
    return replace(problem, labels=labels, classes=tuple(table.classes.texts())), note
