"""Heads of any number of labels: equal to binary fits, choice by mean loss, what is refused."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from embedcache.errors import UsageError
from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.metrics import cell_log_loss
from embedcache.evaluation.splits import strata
from embedcache.heads.features import Features
from embedcache.heads.logreg import sigmoid
from embedcache.heads.multilabel.fitting import FittedLabels, LabelRecipe, fit_labels
from embedcache.heads.names import MODEL_NAMES, MULTILABEL_MODELS
from embedcache.heads.standardise import Scaler

N, K, D = 160, 3, 12
ALONE = np.full(N, -1, np.int32)


def rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random((N, K)) < [0.5, 0.3, 0.1]).astype(np.uint8)
    directions = rng.normal(size=(K, D))
    return (labels @ directions + rng.normal(size=(N, D))).astype(np.float32), labels


def fitted(model: str, features: np.ndarray, labels: np.ndarray) -> FittedLabels:
    folds = stratified_folds(strata(labels), ALONE, 5, 0)
    recipe = LabelRecipe(model, None, 0)
    return fit_labels(recipe, Features.of(features), labels, ALONE, folds)


def test_each_label_is_the_binary_regression_of_scikit_learn() -> None:
    """The probabilities are those of one binary fit for each label, at the chosen C."""
    features, labels = rows()
    found = fitted("logreg", features, labels)
    scaled = Scaler.fit(features).apply(features, np.float64)
    given = sigmoid(found.fit.form.logits(features.astype(np.float64)))
    for label in range(K):
        single = LogisticRegression(C=found.chosen.record.setting["C"], tol=1e-8, max_iter=5000)
        expected = single.fit(scaled, labels[:, label]).predict_proba(scaled)[:, 1]
        np.testing.assert_allclose(given[:, label], expected, atol=1e-4)


@pytest.mark.parametrize("model", MULTILABEL_MODELS)
def test_the_choice_is_by_mean_log_loss_over_labels(model: str) -> None:
    """The recorded loss is that of the out-of-fold probabilities, and beats the prevalence."""
    features, labels = rows()
    chosen = fitted(model, features, labels).chosen
    loss = cell_log_loss(labels == 1, chosen.probabilities).mean()
    record = chosen.record
    (own,) = [each for each in record.scores if each.setting == record.setting]
    assert own.loss == pytest.approx(loss)
    assert chosen.selected.folds is None, "as much as the features, for nothing"
    assert min(each.loss for each in record.scores) >= own.loss - own.difference_error - 1e-12
    constant = np.broadcast_to(labels.mean(axis=0), labels.shape)
    assert loss < 0.8 * cell_log_loss(labels == 1, constant).mean()


@pytest.mark.parametrize("model", MULTILABEL_MODELS)
def test_the_same_seed_gives_the_same_head(model: str) -> None:
    """Two fits of the same rows agree in every bit."""
    one, other = (fitted(model, *rows()).fit.form.tensors() for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_label_on_every_row_has_its_odds() -> None:
    """A label that all rows have, and one that none has, get finite constant logits."""
    features, labels = rows()
    labels[:, 0], labels[:, 1] = 1, 0
    found = fitted("logreg", features, labels)
    given = sigmoid(found.fit.form.logits(features.astype(np.float64)))
    np.testing.assert_allclose(given[:, 0], (N + 0.5) / (N + 1))
    np.testing.assert_allclose(given[:, 1], 0.5 / (N + 1))
    assert np.isfinite(cell_log_loss(labels == 1, found.chosen.probabilities)).all()


def test_a_label_of_one_row_has_finite_losses() -> None:
    """The fold that holds a label's only row answers it by its odds."""
    features, labels = rows()
    labels[:, 2] = np.arange(N) == 7
    found = fitted("logreg", features, labels)
    assert found.chosen.probabilities[7, 2] == pytest.approx(1.5 / (N + 1))


@pytest.mark.parametrize("model", sorted({*MODEL_NAMES} - {*MULTILABEL_MODELS}))
def test_other_models_refuse(model: str) -> None:
    """A model that cannot fit several labels a row says so, and names those that can."""
    with pytest.raises(UsageError, match="any number of labels") as error:
        fitted(model, *rows())
    assert "logreg, ridge, linear-svm" in str(error.value)
