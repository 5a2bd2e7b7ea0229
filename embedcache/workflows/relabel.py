"""Fit other labels on the same features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from embedcache.datasets.label_table import read_labels
from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.errors import UsageError
from embedcache.heads.problem import Problem
from embedcache.records.label_arrays import UNLABELLED, is_multilabel, labelled

__all__ = ["relabel"]


def relabel(
    problem: Problem, location: Path, root: str, columns: SourceOptions = DEFAULTS
) -> tuple[Problem, str]:
    """The problem with the labels of a file; images that it does not name have none.

    Args:
        problem: Of a cache, or of several side by side.
        location: A CSV file of ids, or paths, and labels.
        root: Folder that ids are relative to.
        columns: How labels are to be read.

    Returns:
        The problem, and a sentence on what the labels cover.

    Raises:
        UsageError: It names no image of the cache.
        SourceError: It is malformed.
        StorageError: It cannot be read.
    """
    table = read_labels(location, root, columns)
    wanted = {item: row for row, item in enumerate(table.ids)}
    place = np.array([wanted.pop(item, -1) for item in problem.ids], np.int64)
    nothing = UNLABELLED if is_multilabel(table.labels) else -1
    labels = np.full((len(place), *table.labels.shape[1:]), nothing, table.labels.dtype)
    labels[place >= 0] = table.labels[place[place >= 0]]
    if len(wanted) == len(table.ids):
        raise UsageError(
            "the labels are of none of the cached images",
            where=location,
            got=repr(table.ids[0].decode(errors="backslashreplace")),
            expected=f"ids such as {problem.ids.text(0)!r}",
            hint="embedcache inspect --rows",
        )
    note = f"labels from {location}: {int(labelled(labels).sum())} of {len(labels)} rows"
    if wanted:
        note += f"; {len(wanted)} of its images are not in the cache"
    return replace(problem, labels=labels, classes=tuple(table.classes.texts())), note
