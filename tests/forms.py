"""Heads of every form, of random arrays."""

import numpy as np

from embedcache.heads.forms.cosine import Cosine
from embedcache.heads.forms.form import Form
from embedcache.heads.forms.landmarks import Landmarks
from embedcache.heads.forms.layers import Layers
from embedcache.heads.forms.linear import Linear
from embedcache.heads.forms.neighbours import Neighbours, normalised

K, D = 3, 37


def make(name: str) -> Form:
    """A form of three classes."""
    rng = np.random.default_rng(0)

    def linear(k: int, d: int) -> Linear:
        return Linear(rng.normal(size=(k, d)), rng.normal(size=k))

    if name == "linear":
        return linear(K, D)
    if name == "cosine":
        return Cosine(linear(K, D))
    if name == "layers":
        return Layers(linear(11, D), linear(K, 11))
    if name == "landmarks":
        scale = rng.uniform(1, 2, D)
        return Landmarks(
            rng.normal(size=D), scale, rng.normal(size=(9, D)), np.array([0.01]), linear(K, 9)
        )
    return Neighbours(
        normalised(rng.normal(size=(50, D))).astype(np.float16),
        (np.arange(50) % K).astype(np.int32),
        np.array([5], np.int32),
        np.array([0.1]),
        np.array([0.7]),
        np.array([30, 7], np.int32),
    )
