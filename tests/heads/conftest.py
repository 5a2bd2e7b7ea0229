"""What tests of several models share."""

from __future__ import annotations

import pytest

from embedcache.heads.ladder import Ladder
from embedcache.heads.models import epochs


@pytest.fixture
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that learn in 16 epochs at most, by longer steps: their finest is not the point."""
    ladder = Ladder("epochs", tuple(2.0**power for power in range(5)), stops=True)
    monkeypatch.setattr(epochs.Epochs, "ladders", (ladder,))
    monkeypatch.setattr(epochs, "_RATE", 1e-2)
