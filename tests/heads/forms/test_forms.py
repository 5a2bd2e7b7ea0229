"""Every form: its arrays, its independence of company, and arrays that it refuses."""

import numpy as np
import pytest
from forms import D, K, make
from problems import IDENTITY

from embedcache.errors import CacheInvalidError
from embedcache.heads.artefact import Head
from embedcache.heads.forms.form import Form
from embedcache.heads.forms.index import FORMS
from embedcache.heads.forms.neighbours import Neighbours, normalised
from embedcache.heads.head_record import HowChosen
from embedcache.records.feature_source import FeatureSource


def head(form: Form) -> Head:
    chosen = HowChosen({}, "log_loss", 0, 50, True, 0)
    sources = (FeatureSource("fake/mean", IDENTITY, "c" * 64, D),)
    return Head(("a", "b", "c"), (), form, "any", "blobs", sources, chosen)


@pytest.mark.parametrize("name", FORMS)
def test_answers_do_not_depend_on_company(name: str) -> None:
    """A row's probabilities are equal in every bit, alone or among others."""
    features = np.random.default_rng(1).normal(size=(600, D)).astype(np.float16)
    whole = head(make(name)).predict_proba(features)
    for low, high in ((0, 1), (7, 300), (255, 258), (599, 600)):
        part = head(make(name)).predict_proba(features[low:high])
        assert np.array_equal(part, whole[low:high])
    assert np.array_equal(head(make(name)).predict_proba(features[::-1]), whole[::-1])


@pytest.mark.parametrize("name", FORMS)
def test_a_form_comes_back_as_it_went(name: str, tmp_path: object) -> None:
    """Saved and loaded, the head answers the same bits."""
    first = head(make(name))
    first.save(tmp_path)
    again = Head.load(tmp_path)
    assert again.form.name == name
    assert (again.form.k, again.form.dim) == (K, D)
    features = np.random.default_rng(1).normal(size=(9, D))
    assert np.array_equal(first.predict_proba(features), again.predict_proba(features))


CONTRADICTIONS = {
    "layers": {
        "hidden.intercept": np.zeros(10),
        "output.weights": np.zeros((K, 10)),
    },
    "landmarks": {
        "landmarks": np.zeros((8, D)),
        "scale": np.zeros(D),
        "gamma": np.array([-1.0]),
    },
    "neighbours": {
        "labels": np.zeros(49, np.int32),
        "neighbours": np.array([51], np.int32),
        "vote_temperature": np.array([0.0]),
        "temperature": np.array([0.0]),
        "widths": np.array([30, 8], np.int32),
    },
}


@pytest.mark.parametrize(
    ("name", "array"), [(name, array) for name, each in CONTRADICTIONS.items() for array in each]
)
def test_arrays_that_contradict_each_other_are_refused(
    name: str, array: str, tmp_path: object
) -> None:
    """A head whose arrays cannot belong together is not loaded."""
    form = make(name)
    arrays = {**form.tensors(), array: CONTRADICTIONS[name][array]}
    with pytest.raises(ValueError, match=r"."):
        type(form).of(arrays)


@pytest.mark.parametrize("label", [-1, 2**31 - 1, 5])
def test_labels_of_no_class_are_refused(label: int) -> None:
    """A label out of range, or that leaves a gap, costs neither memory nor a wrong answer."""
    arrays = make("neighbours").tensors()
    arrays["labels"][7] = label
    with pytest.raises(ValueError, match="classes without rows"):
        Neighbours.of(arrays)


def test_neighbours_of_more_classes_than_named_are_refused(tmp_path: object) -> None:
    """The number of classes in the arrays is that of the description."""
    form = make("neighbours")
    form.labels[7] = K
    head(form).save(tmp_path)
    with pytest.raises(CacheInvalidError, match="another number of classes"):
        Head.load(tmp_path)


def test_a_cosine_does_not_see_the_length_of_a_row() -> None:
    """Rows of length 1 and the same rows longer get the same answer; zeros get the intercept's."""
    form = make("cosine")
    rows = np.random.default_rng(1).normal(size=(5, D))
    expected = normalised(rows) @ form.linear.weights.T + form.linear.intercept
    assert form.logits(rows) == pytest.approx(expected)
    assert form.logits(64 * rows) == pytest.approx(expected)
    assert np.array_equal(form.logits(np.zeros((1, D)))[0], form.linear.intercept)


@pytest.mark.parametrize("name", FORMS)
def test_a_cooled_form_divides_its_logits(name: str) -> None:
    """By the temperature, and nothing else changes."""
    form = make(name)
    features = np.random.default_rng(2).normal(size=(20, D))
    assert form.cooled(2.5).logits(features) == pytest.approx(form.logits(features) / 2.5)
    assert form.cooled(2.5).tensors().keys() == form.tensors().keys()
