"""Decisions on small problems, without a cache and without pictures."""

from collections.abc import Callable
from typing import Any

import pytest

from embedcache.decision.decide import decide_on
from embedcache.decision.measure import Asked
from embedcache.decision.pilot_result import Pilot
from embedcache.decision.record import Decision, Limits
from embedcache.decision.training_rows import training_rows
from embedcache.heads.problem import Problem

Decide = Callable[..., Decision]


@pytest.fixture
def decide(monkeypatch: pytest.MonkeyPatch) -> Decide:
    """Decide on a problem; of the other heads only three quick ones take part."""
    quick = ("ridge", "ncm", "knn")
    monkeypatch.setattr("embedcache.decision.contest.sensible", lambda *_: (quick, ()))

    def decided(
        problem: Problem,
        *,
        target: float | None = None,
        values: tuple[float, ...] | None = None,
        pilot: Pilot | None = None,
        **options: Any,
    ) -> Decision:
        return decide_on(
            problem,
            training_rows(problem, seed=0),
            Asked("logreg", values, 0.01, None),
            Limits(target, 0.01, 1.0),
            lambda _row: None,
            cache="cache/pets.h5",
            origin="pets",
            pilot=pilot,
            **options,
        )

    return decided
