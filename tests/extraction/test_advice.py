import pytest

from embedcache.extraction.advice import bottleneck
from embedcache.extraction.records import Timings


@pytest.mark.parametrize(
    ("timings", "device", "said", "advised"),
    [
        (Timings(forward=9), "cpu", "forward pass on cpu (90 % of the time)", "--device cuda"),
        (Timings(forward=9), "NVIDIA H200", "forward pass on NVIDIA H200", "--batch-size"),
        (Timings(write=9), "cpu", "writing", "--cache-dir"),
        (Timings(wait=9, read=30, decode=3), "cpu", "reading", "-j"),
        (
            Timings(wait=9, read=3, decode=30),
            "cpu",
            "decoding (90 % of the time) on 2 threads",
            "-j",
        ),
    ],
)
def test_the_slowest_stage_is_named(timings: Timings, device: str, said: str, advised: str) -> None:
    """The sentence says what bounds the speed and which flag would help."""
    timings.total = 10
    sentence = bottleneck(timings, 100, device, 2)
    assert sentence is not None
    assert f"bound by {said}" in sentence or f"bound by the {said}" in sentence
    assert advised in sentence


def test_too_little_work_says_nothing() -> None:
    """Neither an instant nor a run without a forward pass has a bottleneck worth a word."""
    assert bottleneck(Timings(total=0.5, forward=0.5), 10, "cpu", 2) is None
    assert bottleneck(Timings(total=50, wait=50), 0, "cpu", 2) is None
    assert bottleneck(Timings(total=10, write=1), 10, "cpu", 2) is None
