"""Options of a fit that do not go together are refused before anything is read."""

from __future__ import annotations

import pytest
import torch

from embedcache.errors import UsageError
from embedcache.workflows.fit_options import fitting_device


@pytest.mark.parametrize("model", ["logreg", "ridge", "zero-shot"])
def test_every_model_is_fitted_on_the_cpu(model: str) -> None:
    """Without a question to torch."""
    assert fitting_device(model, "cpu") == "cpu"


def test_a_device_is_for_the_model_that_can_use_it() -> None:
    """The others say who can."""
    assert fitting_device("auto", "cpu:0") == "cpu:0"
    with pytest.raises(UsageError, match=r"ridge is fitted on the CPU[\s\S]*--model logreg"):
        fitting_device("ridge", "cuda")


def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the CPU, also where the GPU is one that the solver cannot use."""
    for kind, found in (("cuda", "cuda"), ("mps", "cpu"), ("cpu", "cpu")):
        monkeypatch.setattr(
            "embedcache.backbones.load.find_device", lambda _, kind=kind: torch.device(kind)
        )
        assert fitting_device("logreg", "auto") == found
    monkeypatch.setattr("embedcache.backbones.load.find_device", lambda _: torch.device("mps"))
    with pytest.raises(UsageError, match=r"not fitted on this device[\s\S]*leave --device out"):
        fitting_device("logreg", "mps")


def test_a_device_that_is_not_there_is_named() -> None:
    """As for every other command."""
    with pytest.raises(UsageError, match="this device is not there"):
        fitting_device("logreg", "cuda:99")
