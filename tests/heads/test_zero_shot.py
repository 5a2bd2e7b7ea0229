"""Heads of names alone, judged where rows have labels."""

from pathlib import Path

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.errors import UnfittableError
from embedcache.heads.artefact import Head
from embedcache.heads.fit import Fitted, fit
from embedcache.heads.forms.neighbours import normalised
from embedcache.heads.zero_shot import Named, Unscored, zero_shot
from embedcache.reports.fit_text import fit_text

NAMES = ("class 0", "class 1", "class 2")


def named(classes: tuple[str, ...] = NAMES, scale: float = 20.0) -> Named:
    """The centres of the blobs, as if a text tower knew them."""
    centres = blobs(np.arange(3), spread=0.0)
    extra = np.random.default_rng(5).normal(size=(len(classes), centres.shape[1]))
    extra[: len(centres)] = centres[: len(classes)]
    return Named(classes, normalised(extra), scale)


def test_probabilities_are_the_softmax_of_scaled_cosines() -> None:
    """As CLIP's own zero-shot classifier has it."""
    labels = cycle(3, 90)
    data = problem(labels)
    found = zero_shot(data, named())
    cosines = normalised(data.features) @ named().features.T
    powers = np.exp(20 * cosines)
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert found.head.predict_proba(data.features) == pytest.approx(expected)


def test_few_rows_are_all_judged() -> None:
    """Nothing is fitted, so no row is kept back, and no row counts as fitted."""
    found = zero_shot(problem(cycle(3, 90)), named())
    assert isinstance(found, Fitted)
    report = found.report
    assert (report.rows.train, report.rows.judged) == (0, 90)
    assert report.model == found.head.model == "zero-shot"
    assert report.evaluation.score("accuracy").value > 0.9
    assert report.evaluation.score("accuracy").baseline == pytest.approx(1 / 3)
    assert "all 90 labelled rows" in report.split.reason
    text = fit_text(report)
    assert "nothing is fitted: logit_scale 20" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_given_split_is_judged_on_its_test_rows() -> None:
    """The rows are those of every other head, so that they can be compared in pairs."""
    labels = cycle(3, 120)
    split = np.where(np.arange(120) % 4 == 0, 3, 1).astype(np.uint8)
    data = problem(labels, split=split)
    found = zero_shot(data, named())
    other = fit(data, "ncm")
    assert isinstance(found, Fitted)
    assert np.array_equal(found.predictions.row, other.predictions.row)
    assert found.report.rows.judged == 30
    assert "90 labelled training rows take no part" in " ".join(found.report.notes)


def test_labels_and_names_may_differ() -> None:
    """More names than labels are more answers; a label without a name is always an error."""
    labels = cycle(3, 60)
    more = zero_shot(problem(labels), named((*NAMES, "zebra")))
    assert isinstance(more, Fitted)
    assert more.head.classes == (*NAMES, "zebra")
    assert more.report.evaluation.score("accuracy").value > 0.8
    fewer = zero_shot(problem(labels), named(NAMES[:2]))
    assert isinstance(fewer, Fitted)
    assert fewer.head.unseen == ("class 2",)
    assert fewer.report.unseen == ("class 2",)
    assert fewer.report.evaluation.score("accuracy").value <= 2 / 3
    assert "not given: 'class 2'" in " ".join(fewer.report.notes)


def test_no_label_is_no_score(tmp_path: Path) -> None:
    """The head is there all the same, and answers after it was saved and loaded."""
    data = problem(np.full(20, -1), features=blobs(cycle(3, 20)), classes=())
    found = zero_shot(data, named())
    assert isinstance(found, Unscored)
    found.save(tmp_path)
    answers = Head.load(tmp_path).predict_proba(data.features)
    assert np.array_equal(answers, found.head.predict_proba(data.features))
    assert (answers.argmax(axis=1) == cycle(3, 20)).mean() > 0.8
    assert (found.rows.side == 0).all()


def test_one_labelled_row_is_a_score() -> None:
    """A wide interval is an honest answer."""
    labels = np.full(20, -1)
    labels[3] = 1
    data = problem(labels, features=blobs(cycle(3, 20)), classes=NAMES)
    found = zero_shot(data, named())
    assert isinstance(found, Fitted)
    assert found.report.rows.judged == 1


def test_features_that_are_not_finite_are_refused() -> None:
    """By the row, as when something is fitted."""
    features = blobs(cycle(3, 30))
    features[7, 2] = np.nan
    with pytest.raises(UnfittableError, match="not a finite number"):
        zero_shot(problem(cycle(3, 30), features=features), named())
