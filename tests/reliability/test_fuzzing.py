"""Every reader of files meets thousands of damaged and forged ones; see `fuzzing`."""

import os

import pytest
from fuzz_targets import TARGETS, UNSUMMED
from fuzzing import fuzz_in_a_child

_CASES = [
    pytest.param(name, forge, id=f"{name}, {'forged' if forge else 'damaged'}")
    for name in TARGETS
    for forge in (False, True)
    if forge or name not in UNSUMMED
]
_LONG = int(os.environ.get("EMBEDCACHE_FUZZ_FILES", "3000"))
_MOST_MEMORY = 256 << 20


@pytest.mark.parametrize(("name", "forge"), _CASES)
def test_spoilt_files_do_no_harm(name: str, *, forge: bool) -> None:
    """A hundred of each: refused, or the same answer as ever; no signal, no hang, no bomb."""
    outcome = fuzz_in_a_child(name, 100, seed=0, forge=forge)
    assert outcome.executions == 100
    assert outcome.refused > 20, "hardly anything was spoilt"
    assert outcome.peak < _MOST_MEMORY


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("name", "forge"), _CASES)
def test_thousands_of_spoilt_files_do_no_harm(name: str, *, forge: bool) -> None:
    """The same with others; `EMBEDCACHE_FUZZ_FILES` says how many of each."""
    outcome = fuzz_in_a_child(name, _LONG, seed=1, forge=forge)
    assert outcome.executions == _LONG
    assert outcome.peak < _MOST_MEMORY
