"""Logistic regression that shrinks towards zero-shot weights."""

import numpy as np
import pytest
from problems import cycle, digests, problem

from embedcache.heads.features import Features
from embedcache.heads.fit import fit
from embedcache.heads.forms.neighbours import normalised
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Training
from embedcache.heads.models.shrunk import Shrunk

K, D, SCALE = 6, 64, 15.0
RNG = np.random.default_rng(0)
CENTRES = normalised(RNG.normal(size=(K, D)))
PRIOR = SCALE * normalised(CENTRES + 1.2 * normalised(RNG.normal(size=(K, D))))


def rows(labels: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(labels), D))
    return (3 * CENTRES[labels] + 0.7 * noise).astype(np.float32)


def training(shots: int) -> Training:
    labels = cycle(K, K * shots)
    return Training(Features.of(rows(labels, 1)), labels, 0, PRIOR)


@pytest.mark.parametrize("shots", [2, 20])
def test_with_a_strong_penalty_it_is_zero_shot(shots: int) -> None:
    """Up to free intercepts, with fewer and with more rows than dimensions."""
    form = Shrunk().fit(training(shots), {"C": 1e-9}).form
    assert form.name == "cosine"
    assert form.linear.weights == pytest.approx(PRIOR, abs=1e-4)


def test_folds_score_as_the_fitted_head() -> None:
    """A fold's held-out logits are those of a head fitted to its training rows."""
    data = training(4)
    folds = np.arange(24) // 6 % 4
    scores = Shrunk().out_of_fold(data, folds).score({"C": 0.1}, 1e-9).scores[folds == 0]
    form = Shrunk().fit(data.part(np.flatnonzero(folds != 0))[0], {"C": 0.1}).form
    held_out = data.features.take(np.flatnonzero(folds == 0)).array().astype(np.float64)
    assert softmax(scores) == pytest.approx(softmax(form.logits(held_out)), abs=1e-4)


def test_a_part_keeps_the_prior_of_its_own_classes() -> None:
    """Where a fold misses a class, the others' weights move up with their codes."""
    data = training(3)
    part, seen = data.part(np.flatnonzero(data.labels != 2))
    assert seen.tolist() == [0, 1, 3, 4, 5]
    assert np.array_equal(part.prior, PRIOR[seen])
    assert part.labels.max() == 4


def test_few_labels_gain_by_it() -> None:
    """At two rows for each class it beats both zero-shot and logistic regression."""
    labels = cycle(K, K * 2 + 600)
    features = np.concatenate([rows(labels[:12], 1), rows(labels[12:], 2)])
    split = np.where(np.arange(612) < 12, 1, 3).astype(np.uint8)
    data = {"features": features, "split": split, "digests": digests(612)}
    losses = {}
    for name, prior in (("plain", None), ("shrunk", PRIOR)):
        fitted = fit(problem(labels, prior=prior, **data))
        losses[name] = fitted.report.evaluation.score("log-loss").value
        assert fitted.head.model == ("logreg" if prior is None else "logreg-from-zero-shot")
    chances = softmax(normalised(features[12:]) @ PRIOR.T)
    losses["zero-shot"] = -np.log(chances[np.arange(600), labels[12:]]).mean()
    assert losses["shrunk"] < min(losses["plain"], losses["zero-shot"])


def test_the_prior_follows_the_classes_order() -> None:
    """Classes without rows leave; the others' weights stay with their names."""
    labels = np.array([4, 2, 5])[cycle(3, 60)]
    fitted = fit(problem(labels, features=rows(labels, 3), prior=PRIOR), values=(1e-9,))
    assert fitted.head.classes == ("class 2", "class 4", "class 5")
    own = fitted.head.form.linear.weights * fitted.head.chosen.temperature
    assert own == pytest.approx(PRIOR[[2, 4, 5]], abs=1e-3)
