"""Rows: features for the solver, copied only where they have to be."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from embedcache.heads.features import Features
from embedcache.heads.solver import rows as rows_module
from embedcache.heads.solver.fit import Fit, fit_at
from embedcache.heads.solver.folds import FoldedFits
from embedcache.heads.solver.parallel import Workers
from embedcache.heads.solver.rows import Rows
from embedcache.heads.solver.targets import Targets
from embedcache.heads.standardise import Scaler


@pytest.fixture(autouse=True)
def without_fast_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor whose bfloat16 products are slow."""
    monkeypatch.setattr(rows_module, "has_fast_half", lambda _: False)


def features(mean: float = 1.0) -> np.ndarray:
    """(600, 40) of standard deviation 2."""
    rng = np.random.default_rng(0)
    return (mean + 2 * rng.normal(size=(600, 40))).astype(np.float32)


LABELS = np.random.default_rng(1).integers(3, size=600)
TARGETS = partial(Targets.from_codes, LABELS, 3)


def rows_of(found: Features) -> Rows:
    return Rows(found, Scaler.of(found), Workers(torch.device("cpu")))


def fits(raw: np.ndarray) -> tuple[Fit, Fit]:
    """One fit, and the refit after five folds."""
    found, ones = Features.of(raw), np.ones(600)
    alone = fit_at(found, TARGETS, ones, 0.1, scaler=Scaler.of(found))
    folded = FoldedFits(found, TARGETS, np.arange(600) % 5)
    folded.at(0.1, tolerance=1e-6, max_passes=200)
    refit = folded.refit(0.1, tolerance=1e-6)
    assert refit is not None
    return alone, refit


def test_features_near_zero_are_not_copied() -> None:
    """What is handed out is the caller's own memory, and it is as it was afterwards."""
    raw = features()
    before = raw.copy()
    block = rows_of(Features.of(raw)).block(slice(0, 10)).numpy()
    assert np.shares_memory(block, raw)
    fits(raw)
    assert np.array_equal(raw, before)


def test_other_features_are_copied() -> None:
    """Of another type, chosen or in another order, read-only, or far from 0: scaled, in memory."""
    raw = features()
    frozen = raw.copy()
    frozen.flags.writeable = False
    for found in (
        Features.of(raw.astype(np.float16)),
        Features.of(raw).take(np.arange(599)),
        Features.of(raw).take(np.arange(600)[::-1]),
        Features.of(frozen),
        Features.of(features(mean=17.0)),
    ):
        block = rows_of(found).block(slice(0, len(found)))
        assert block.dtype == torch.float32
        assert abs(float(block.mean())) < 1e-3
        assert float(block.std()) == pytest.approx(1, abs=0.05)


def test_no_copy_is_kept_beside_products_of_many_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are scaled when they are asked for, to the same bits."""
    found = Features.of(features().astype(np.float16))
    monkeypatch.setattr(rows_module, "_SMALL", 0)
    kept, scaled = rows_of(found), fits(found.array())
    assert shares_memory(kept)
    monkeypatch.setattr(rows_module, "_MANY", 3)
    many = Rows(found, Scaler.of(found), Workers(torch.device("cpu")), logits=3)
    assert not shares_memory(many)
    assert torch.equal(many.block(slice(7, 600, 5)), kept.block(slice(7, 600, 5)))
    monkeypatch.setattr(rows_module, "_FAR", -1.0)
    anew = fits(found.array())
    monkeypatch.setattr(rows_module, "_MANY", 4)
    for each, other in zip(fits(found.array()), anew, strict=True):
        assert np.array_equal(each.weights, other.weights)
    assert scaled[0].objective == pytest.approx(anew[0].objective, rel=2e-6)


def shares_memory(rows: Rows) -> bool:
    """Whether a block is the same memory each time."""
    first, again = (rows.block(slice(0, 10)).numpy() for _ in range(2))
    return np.shares_memory(first, again)


@pytest.mark.parametrize("mean", [0.0, 15.0])
def test_both_find_the_same_optimum(mean: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Means of up to eight scales cost no digit that anybody sees."""
    raw = features(mean)
    as_they_are = fits(raw)
    monkeypatch.setattr(rows_module, "_FAR", -1.0)
    for found, scaled in zip(as_they_are, fits(raw), strict=True):
        assert found.objective == pytest.approx(scaled.objective, rel=2e-6)
        answers, others = (
            (raw @ fit.weights.T + fit.intercept).argmax(1) for fit in (found, scaled)
        )
        assert (answers == others).mean() >= 0.999
