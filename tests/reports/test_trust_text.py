"""Calibration and abstention as text."""

from embedcache.evaluation.abstention import Abstention
from embedcache.heads.calibrate import Calibration
from embedcache.reports.trust_text import trust_lines

FOUND = Calibration(1.31, 0.052, 0.017, 0.41, 0.385)


def test_it_shows_before_and_after() -> None:
    """Both errors and the temperature, in one line."""
    assert trust_lines(FOUND, None, 80) == [
        "calibration: ECE 5.2 points; with a temperature of 1.31 1.7 points, log-loss",
        "  0.385",
    ]


def test_it_says_when_to_answer() -> None:
    """The threshold, its coverage and its bound; or that there is none."""
    text = " ".join(trust_lines(FOUND, Abstention(0.95, 0.871, 0.62, 0.981, 0.954), 80))
    for words in ("from a probability of 0.871 on", "62.0 % of the", "98.1 %", "95.4 %", "95 %)"):
        assert words in text
    assert "no threshold" in " ".join(trust_lines(FOUND, Abstention(0.9, None, 0, None, None), 80))
