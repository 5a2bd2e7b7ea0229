"""`zero-shot`: a head of class names alone, judged on labelled rows where there are any.

N is the number of rows, M of judged rows, D the embedding dimension, K the number of
class names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedcache.evaluation.splits import SIDE_TEST, SIDE_UNUSED, Protocol, choose_protocol
from embedcache.heads.artefact import Head
from embedcache.heads.choice_records import SelectionRecord
from embedcache.heads.cleaning import clean
from embedcache.heads.fit import fitted_of
from embedcache.heads.fitted import Fitted
from embedcache.heads.forms.cosine import Cosine
from embedcache.heads.forms.linear import Linear
from embedcache.heads.head_record import HowChosen
from embedcache.heads.judging import Judged, answers
from embedcache.heads.names import ZERO_SHOT
from embedcache.heads.prepare import Prepared
from embedcache.heads.problem import Problem
from embedcache.heads.rows import RunRows
from embedcache.heads.sides import check_finite

__all__ = ["Named", "Unscored", "zero_shot"]


@dataclass(frozen=True, eq=False)
class Named:
    """Classes by their names, in the space of the image features.

    Attributes:
        classes: K names.
        features: (K, D) float64 of length 1: of each name, by the text tower.
        scale: What the model multiplies cosines with.
    """

    classes: tuple[str, ...]
    features: NDArray[np.float64]
    scale: float

    @property
    def form(self) -> Cosine:
        """Logits `scale · cosine`, as CLIP was trained with (Radford et al. 2021)."""
        return Cosine(Linear(self.scale * self.features, np.zeros(len(self.classes))))


@dataclass(frozen=True, eq=False)
class Unscored:
    """A head that no labelled row could judge."""

    head: Head
    rows: RunRows

    def save(self, folder: Path) -> None:
        """Write head and rows into an existing folder.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        self.rows.save(folder)
        self.head.save(folder)


def zero_shot(
    problem: Problem,
    named: Named,
    *,
    seed: int = 0,
    on_conflict: str = "error",
) -> Fitted | Unscored:
    """The head, and a report on it where rows have labels.

    It is judged on the rows that would be the test of a fitted head: the source's
    own, or those of the split by hash. Where other heads are judged by
    cross-validation it is on all labelled rows, as it has seen none.

    Args:
        problem: Features, and labels if there are any.
        named: The classes.
        seed: Of the bootstrap.
        on_conflict: `error`, or `drop` images whose labels contradict each other.

    Raises:
        UnfittableError: Labels contradict each other, or a feature is not finite.
    """
    problem.check()
    cleaned = clean(problem, on_conflict=on_conflict)
    selection = _selection(named)
    chosen = HowChosen(selection.setting, selection.metric, seed, 0, converged=True, iterations=0)
    if not len(cleaned.rows):
        head = _head(problem, named, (), chosen)
        nobody = np.full(len(problem), SIDE_UNUSED, np.uint8)
        unlabelled = np.full(len(problem), -1, np.int32)
        return Unscored(head, RunRows(np.asarray(problem.digests), unlabelled, nobody))
    protocol = _protocol(problem, cleaned.rows, seed)
    judged = protocol.side == SIDE_TEST
    rows = cleaned.rows[judged]
    check_finite(problem, rows)
    classes, judged_k, code = _codes(problem, named.classes, rows)
    prepared = Prepared(
        problem,
        replace(cleaned, rows=rows),
        replace(protocol, side=protocol.side[judged]),
        _notes(classes[len(named.classes) : judged_k], int((~judged).sum())),
        classes,
        len(named.classes),
        judged_k,
        code,
        np.zeros(len(rows), bool),
    )
    head = _head(problem, named, classes[len(named.classes) :], chosen)
    judged_rows = Judged.nothing(len(rows), judged_k)
    found = answers(named.form, prepared.features(np.arange(len(rows))))
    judged_rows.probabilities[:, : prepared.k] = found
    return fitted_of(prepared, head, selection, None, judged_rows)


def _protocol(problem: Problem, rows: NDArray[np.int64], seed: int) -> Protocol:
    protocol = choose_protocol(
        np.unique(problem.labels[rows], return_inverse=True)[1],
        problem.split[rows],
        problem.group[rows],
        problem.groups,
        problem.digests[rows],
        seed=seed,
    )
    if not protocol.is_cross_validation:
        return protocol
    reason = f"all {len(rows)} labelled rows, as the head has seen none of them"
    return Protocol("hold-out", "given", reason, np.full(len(rows), SIDE_TEST, np.uint8))


def _codes(
    problem: Problem, names: tuple[str, ...], rows: NDArray[np.int64]
) -> tuple[tuple[str, ...], int, NDArray[np.int32]]:
    """The names, then labels that have no name; how many are judged; codes by label."""
    used = {problem.classes[code] for code in np.unique(problem.labels[rows])}
    labelled = np.unique(problem.labels[problem.labels >= 0])
    rest = [problem.classes[code] for code in labelled if problem.classes[code] not in names]
    rest.sort(key=lambda name: name not in used)  # judged ones first
    classes = (*names, *rest)
    place = {name: code for code, name in enumerate(classes)}
    code = np.array([place.get(name, -1) for name in problem.classes], np.int32)
    return classes, len(names) + sum(name in used for name in rest), code


def _selection(named: Named) -> SelectionRecord:
    """Nothing was chosen: the scale is the model's own."""
    setting = {"logit_scale": named.scale}
    return SelectionRecord(setting, setting, "log_loss", 0, (), on_edge=False, stopped_early=False)


def _head(problem: Problem, named: Named, unseen: tuple[str, ...], chosen: HowChosen) -> Head:
    return Head(
        named.classes, unseen, named.form, ZERO_SHOT, problem.dataset, problem.sources, chosen
    )


def _notes(strange: tuple[str, ...], unused: int) -> tuple[str, ...]:
    notes = []
    if strange:
        listed = ", ".join(map(repr, strange[:5])) + (", …" if len(strange) > 5 else "")
        notes.append(f"judged rows of classes that the head was not given: {listed}")
    if unused:
        notes.append(f"{unused} labelled training rows take no part: nothing is fitted")
    return tuple(notes)
