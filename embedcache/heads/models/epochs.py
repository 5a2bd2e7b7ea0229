"""`Network`: minibatch training of zero or one hidden layer, from blocks that may lie on disk.

The number of epochs is what is chosen: fewer regularise more. n is the number of
training rows, D the embedding dimension, U the number of hidden units, K the number of
classes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embedcache.heads.features import BLOCK, Features
from embedcache.heads.forms.form import Form
from embedcache.heads.forms.layers import Layers
from embedcache.heads.forms.linear import Linear
from embedcache.heads.ladder import Ladder, Setting
from embedcache.heads.logreg import softmax
from embedcache.heads.model import Fit, Scored, Training
from embedcache.heads.models.base import Base
from embedcache.heads.standardise import Scaler
from embedcache.heads.threads import one_thread

__all__ = ["Epochs", "Network"]

_EPOCHS = tuple(2.0**power for power in range(11))
_BATCH = 128
_RATE = 3e-4
"""Adam's step. On ELPV, 3e-4 reaches an out-of-fold log-loss of 0.364 with a hidden layer, 1e-3
0.385."""

# Kingma & Ba (2015), *Adam*: their constants.
_MEAN_DECAY, _SQUARE_DECAY, _SMALL = 0.9, 0.999, 1e-8


class Epochs(Base):
    """A model that is trained by Adam for some epochs.

    Args:
        name: As in `--model`.
        hidden: U, 0 for a linear model.
    """

    calibrated = True
    weighs = True
    ladders: tuple[Ladder, ...] = (Ladder("epochs", _EPOCHS, last=6, stops=True),)
    """1 to 64 epochs, doubled until hopeless, and up to 1,024 while the last is the best."""

    def __init__(self, name: str, hidden: int) -> None:
        self.name, self._hidden = name, hidden

    def fold(self, training: Training, held_out: Features) -> EpochsFold:
        """A network that has not been trained yet."""
        return EpochsFold(Network(training, self._hidden), held_out)

    def fit(self, training: Training, setting: Setting) -> Fit:
        """Train for so many epochs."""
        network = Network(training, self._hidden)
        network.train(int(setting["epochs"]))
        return Fit(network.form(), iterations=network.steps)


class EpochsFold:
    """One training run serves all settings in rising order."""

    def __init__(self, network: Network, held_out: Features) -> None:
        self._network, self._held_out = network, held_out

    def score(self, setting: Setting, tolerance: float) -> Scored:  # noqa: ARG002  # epochs end it
        """Logits of the held-out rows after so many epochs."""
        self._network.train(int(setting["epochs"]))
        scores = np.empty((len(self._held_out), self._network.k), np.float32)
        with one_thread():
            for place, block in self._held_out.blocks():
                scores[place] = self._network.logits(block)
        return Scored(scores, iterations=self._network.steps)


class Network:
    """float32 layers on standardised features, and Adam's state.

    Args:
        training: Its seed is of the first weights and of the order of the rows.
        hidden: U, 0 for none.
    """

    def __init__(self, training: Training, hidden: int) -> None:
        features = training.features
        self._features, self._labels = features, training.labels
        counts = training.weights
        self._counts = None if counts is None else counts / counts.mean()
        self.k = training.k
        self.steps = self.epochs = 0
        self._rng = np.random.default_rng(training.seed)
        self._scaler = Scaler.of(features)
        d = features.dim
        if hidden:
            # He et al. (2015): variance 2 / D keeps the size of rectified units.
            first = self._rng.normal(scale=np.sqrt(2 / d), size=(d, hidden))
            second = self._rng.normal(scale=np.sqrt(2 / hidden), size=(hidden, self.k))
            weights = [first, np.zeros(hidden), second, np.zeros(self.k)]
        else:
            weights = [np.zeros((d, self.k)), np.zeros(self.k)]
        self.weights: list[NDArray[np.float32]] = [each.astype(np.float32) for each in weights]
        self._means = [np.zeros_like(each) for each in self.weights]
        self._squares = [np.zeros_like(each) for each in self.weights]

    def train(self, epochs: int) -> None:
        """Go on until so many epochs have been done in all.

        Blocks are read whole, in a drawn order, and their rows drawn without
        replacement: nearly as good as a shuffle of all rows, and sequential on disk.
        """
        with one_thread():
            while self.epochs < epochs:
                for start in self._rng.permutation(np.arange(0, len(self._features), BLOCK)):
                    self._block(int(start))
                self.epochs += 1

    def _block(self, start: int) -> None:
        which = np.arange(start, min(start + BLOCK, len(self._features)))
        rows = self._whole if len(self._features) <= BLOCK else self._scaled(which)
        order = self._rng.permutation(len(which))
        for at in range(0, len(order), _BATCH):
            batch = order[at : at + _BATCH]
            at_rows = which[batch]
            counts = None if self._counts is None else self._counts[at_rows]
            self._step(self.gradient(rows[batch], self._labels[at_rows], counts)[1])

    @cached_property
    def _whole(self) -> NDArray[np.float32]:
        """All rows, where one block holds them: read and scaled once instead of each epoch."""
        return self._scaled(np.arange(len(self._features)))

    def _scaled(self, which: NDArray[np.integer]) -> NDArray[np.float32]:
        return self._scaler.apply(self._features.take(which).array(), np.float32)

    def logits(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, K) of raw features."""
        return self._forward(self._scaler.apply(features, np.float32))[-1]

    def _forward(self, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Each layer's input, then the logits."""
        inputs = [rows]
        for layer in range(0, len(self.weights), 2):
            if layer:
                inputs[-1] = np.maximum(inputs[-1], 0)
            inputs.append(inputs[-1] @ self.weights[layer] + self.weights[layer + 1])
        return inputs

    def gradient(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.integer],
        counts: NDArray[np.float64] | None = None,
    ) -> tuple[float, list[NDArray[np.float32]]]:
        """Mean log-loss of standardised rows, and its gradient by each array of weights.

        Args:
            rows: (B, D).
            labels: (B,).
            counts: (B,) how much each row counts; None where all count 1.
        """
        *inputs, logits = self._forward(rows)
        error = softmax(logits)
        place = np.arange(len(labels)), labels
        losses = -np.log(np.maximum(error[place], np.finfo(np.float64).tiny))
        error[place] -= 1
        if counts is not None:
            losses *= counts
            error *= counts[:, None]
        loss = float(losses.mean())
        back = (error / len(labels)).astype(np.float32)
        gradients: list[NDArray[np.float32]] = []
        for layer in reversed(range(len(inputs))):
            gradients[:0] = [inputs[layer].T @ back, back.sum(axis=0)]
            if layer:
                back = (back @ self.weights[2 * layer].T) * (inputs[layer] > 0)
        return loss, gradients

    def _step(self, gradients: list[NDArray[np.float32]]) -> None:
        self.steps += 1
        rate = _RATE * np.sqrt(1 - _SQUARE_DECAY**self.steps) / (1 - _MEAN_DECAY**self.steps)
        for index, gradient in enumerate(gradients):
            mean, square = self._means[index], self._squares[index]
            mean += (1 - _MEAN_DECAY) * (gradient - mean)
            square += (1 - _SQUARE_DECAY) * (gradient * gradient - square)
            self.weights[index] -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(_SMALL))

    def form(self) -> Form:
        """The network for raw features, float64."""
        layers = [
            (weights.T.astype(np.float64), intercept.astype(np.float64))
            for weights, intercept in zip(self.weights[::2], self.weights[1::2], strict=True)
        ]
        first = Linear(*self._scaler.fold(*layers[0]))
        return first if len(layers) == 1 else Layers(first, Linear(*layers[1]))
