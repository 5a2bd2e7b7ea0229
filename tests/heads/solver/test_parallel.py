"""Workers share the work, and say what to do where a device's memory is over."""

from __future__ import annotations

import pytest
import torch

from embedcache.errors import OutOfMemoryError
from embedcache.heads.solver.parallel import Workers


def test_a_device_that_is_too_small_names_the_way_out() -> None:
    """Its own error, whichever of the solver's tensors did not fit; others pass unchanged."""
    with (
        pytest.raises(OutOfMemoryError, match=r"out of memory on cpu[\s\S]*--device cpu"),
        Workers(torch.device("cpu")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.58 GiB")
    with pytest.raises(ValueError, match="of another kind"), Workers(torch.device("cpu")):
        raise ValueError("of another kind")


def test_shares_come_back_in_order() -> None:
    """Whoever was ready first, and with torch's threads as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with Workers(torch.device("cpu")) as workers:
            assert workers.share(list, list(range(7))) == [[0, 3, 6], [1, 4], [2, 5]]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
