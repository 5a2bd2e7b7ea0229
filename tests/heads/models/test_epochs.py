"""Minibatch training: right gradients, the same optimum, and nothing but blocks in memory."""

import numpy as np
import pytest
from problems import blobs, cycle

from embedcache.heads.features import Features
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Training
from embedcache.heads.models.epochs import Epochs, Network
from embedcache.heads.models.logreg import Logreg


def training(n: int = 120, k: int = 3) -> Training:
    labels = cycle(k, n)
    return Training(Features.of(blobs(labels, dim=7, spread=1.5)), labels, 0)


@pytest.mark.parametrize("hidden", [0, 5])
def test_gradients_are_those_of_the_loss(hidden: int) -> None:
    """Finite differences of the loss agree with the gradient, in every layer."""
    data = training()
    network = Network(data, hidden)
    network.train(1)
    network.weights = [each.astype(np.float64) for each in network.weights]
    rows = network._scaler.apply(data.features.array(), np.float64)
    gradients = network.gradient(rows, data.labels)[1]
    for weight, gradient in zip(network.weights, gradients, strict=True):
        place = np.unravel_index(int(np.abs(gradient).argmax()), weight.shape)
        kept, losses = weight[place], []
        for step in (1e-5, -1e-5):
            weight[place] = kept + step
            losses.append(network.gradient(rows, data.labels)[0])
        weight[place] = kept
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(gradient[place], rel=1e-3, abs=1e-8)


def test_many_epochs_reach_the_softmax_regression(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a hidden layer, training goes where logistic regression without penalty goes."""
    monkeypatch.setattr("embedcache.heads.models.epochs._RATE", 3e-3)
    data = training(600)
    rows = data.features.array().astype(np.float64)
    form = Epochs("linear-sgd", 0).fit(data, {"epochs": 500}).form
    expected = Logreg().fit(data, {"C": 1e4}).form
    difference = softmax(form.logits(rows)) - softmax(expected.logits(rows))
    assert np.abs(difference).mean() < 0.01


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_row_that_counts_twice_is_two_rows(hidden: int) -> None:
    """Loss and gradient of a batch with a row twice, but for the batch's size."""
    data = training()
    network = Network(data, hidden)
    rows = network._scaler.apply(data.features.array(), np.float32)
    counts = np.ones(len(rows))
    counts[3] = 2
    twice = np.r_[np.arange(len(rows)), 3]
    loss, gradients = network.gradient(rows, data.labels, counts)
    again, repeated = network.gradient(rows[twice], data.labels[twice])
    scale = len(twice) / len(rows)
    assert loss == pytest.approx(scale * again)
    for one, other in zip(gradients, repeated, strict=True):
        assert one == pytest.approx(scale * other, abs=1e-6)


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_form_is_the_network(hidden: int) -> None:
    """Folding the scaler and going to float64 keeps the logits."""
    data = training()
    network = Network(data, hidden)
    network.train(3)
    rows = data.features.array()
    assert network.form().logits(rows.astype(np.float64)) == pytest.approx(
        network.logits(rows), abs=1e-4
    )


def test_training_may_be_resumed() -> None:
    """Two and then three epochs are the five epochs of one run, bit by bit."""
    once, twice = Network(training(), 4), Network(training(), 4)
    once.train(5)
    twice.train(2)
    twice.train(5)
    for a, b in zip(once.weights, twice.weights, strict=True):
        assert np.array_equal(a, b)


def test_features_are_read_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more rows than a block are ever asked of the table at once."""
    asked: list[int] = []

    class Watched(np.ndarray):
        def __getitem__(self, key: object) -> np.ndarray:
            found = np.asarray(super().__getitem__(key))
            asked.append(len(found))
            return found

    labels = cycle(2, 10_000)
    table = blobs(labels, dim=3).view(Watched)
    data = Training(Features(table, np.arange(10_000)), labels, 0)
    model = Epochs("linear-sgd", 0)
    model.fit(data, {"epochs": 1})
    fold = model.fold(data, data.features)
    fold.score({"epochs": 1}, 0.0)
    assert max(asked) == 4096
