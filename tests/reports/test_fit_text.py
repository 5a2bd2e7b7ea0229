"""The report on a fit as text."""

import dataclasses

import numpy as np
import pytest
from problems import blobs, cycle, digests, problem
from rich.cells import cell_len

from embedcache.evaluation.intervals import Interval
from embedcache.heads.fit import fit
from embedcache.heads.report import FitReport
from embedcache.reports.fit_text import fit_text, headline
from embedcache.reports.selection_text import curve_lines


@pytest.fixture(scope="module")
def hold_out() -> FitReport:
    labels = cycle(2, 240)
    table = digests(240)
    table[[2, 5]] = table[[200, 201]]
    table[3] = table[4]
    return fit(
        problem(
            labels,
            features=blobs(labels, spread=2.5),
            classes=("defective", "working"),
            split=np.repeat(np.array([1, 3], np.uint8), [160, 80]),
            digests=table,
        ),
        on_conflict="drop",
        values=(0.01, 0.1),
    ).report


@pytest.fixture(scope="module")
def many_classes() -> FitReport:
    labels = cycle(25, 150)
    names = tuple(f"\x1b[31m长长长长长长长长长长长长 {i}\n" for i in range(25))
    return fit(problem(labels, features=blobs(labels), classes=names), values=(1.0,)).report


def test_the_headline_has_interval_and_rows(hold_out: FitReport) -> None:
    """Accuracy comes with interval, level, rows and the majority baseline."""
    score = dataclasses.replace(
        hold_out.evaluation.score("accuracy"), value=0.853, interval=Interval(0.8213, 0.88)
    )
    evaluation = dataclasses.replace(
        hold_out.evaluation, rows=525, scores=(score, *hold_out.evaluation.scores[1:])
    )
    lines = fit_text(dataclasses.replace(hold_out, evaluation=evaluation)).splitlines()
    assert lines[2] == "accuracy 85.3 % [82.1, 88.0] (95 %, 525 test rows)"
    assert lines[3].startswith("majority ")
    tuned = dataclasses.replace(score, value=0.9, interval=Interval(0.88, 0.92))
    best, frozen, majority = headline(dataclasses.replace(hold_out, evaluation=evaluation), tuned)
    assert best == "accuracy 90.0 % [88.0, 92.0] (95 %, 525 test rows)"
    assert frozen == "frozen   85.3 % [82.1, 88.0]"
    assert majority == lines[3]


def test_everything_is_told(hold_out: FitReport) -> None:
    """Scores, classes, confusion, the choice of C, and rows left out are in the text."""
    text = fit_text(hold_out, run="runs/a-1")
    for words in (
        "logreg on blobs-12345678 with fake/mean, 12 features",
        "macro-F1",
        "AUROC",
        "of 'working' against the rest",
        "true \\ predicted",
        "defective",
        "the source sets 80 test rows aside",
        "the first head of this runs folder that is judged on these test rows",
        "← chosen",
        "conflict: image0003.png as working, image0004.png as defective",
        "on both sides: image0002.png (left training) = image0200.png",
        "next: embedcache predict runs/a-1",
    ):
        assert words in text


def test_cross_validation_says_so(many_classes: FitReport) -> None:
    """The headline names out-of-fold rows, and that the shipped head is another one."""
    text = fit_text(many_classes)
    assert "150 rows out of fold" in text
    assert "this head is fitted on all rows" in text
    assert "choice of each outer fold" in text


def test_many_classes_show_the_worst(many_classes: FitReport) -> None:
    """More than twenty classes: the lowest recalls and the commonest mistakes."""
    text = fit_text(many_classes)
    assert "the 20 classes of lowest recall, of 25" in text
    assert "the commonest mistakes" in text
    assert "true \\ predicted" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_and_names_are_escaped(
    width: int, many_classes: FitReport, hold_out: FitReport
) -> None:
    """No line is wider than asked, and no name can move the cursor."""
    for report in (many_classes, hold_out):
        text = fit_text(report, width, run="runs/a-1")
        assert max(map(cell_len, text.splitlines())) <= width
        assert text.replace("\n", "").isprintable()
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_missing_intervals_are_dashes(hold_out: FitReport) -> None:
    """A score without an interval shows that it has none."""
    scores = tuple(
        dataclasses.replace(score, interval=None) for score in hold_out.evaluation.scores
    )
    evaluation = dataclasses.replace(hold_out.evaluation, scores=scores, notes=("why",))
    text = fit_text(dataclasses.replace(hold_out, evaluation=evaluation))
    assert "[–] (95 %, 80 test rows)" in text
    assert "note: why" in text


def test_what_was_given_up_is_told_from_what_did_not_converge(hold_out: FitReport) -> None:
    """A setting that is worse beyond doubt was not worth more passes; one that ties needed them."""
    tie, hopeless = (
        dataclasses.replace(
            hold_out.selection.scores[0],
            converged=False,
            difference=difference,
            difference_error=0.01,
        )
        for difference in (0.015, 0.03)
    )
    selection = dataclasses.replace(hold_out.selection, scores=(tie, hopeless))
    first, second = (line for line in curve_lines(selection) if "± 0.0100" in line)
    assert first.endswith("not converged")
    assert second.endswith("given up")


def test_notes_and_flags_are_told(hold_out: FitReport) -> None:
    """Fits that did not converge are marked in the table and in a note."""
    scores = tuple(
        dataclasses.replace(score, converged=False) for score in hold_out.selection.scores
    )
    selection = dataclasses.replace(hold_out.selection, scores=scores, stopped_early=True)
    text = fit_text(dataclasses.replace(hold_out, selection=selection, notes=("the solver …",)))
    assert "not converged" in text
    assert "weaker regularisation was left out" in text
    assert "note: the solver …" in text
