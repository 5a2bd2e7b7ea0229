"""Calibration and abstention as text."""

from embedcache.evaluation.abstention import Abstention, Answered, Threshold
from embedcache.evaluation.intervals import Interval
from embedcache.heads.calibrate import Calibration
from embedcache.reports.trust_text import trust_lines

FOUND = Calibration(1.31, (), 0.052, 0.017, 0.41, 0.385, Interval(-0.031, -0.019))
ANSWERED = Answered(500, 310, 0.62, Interval(0.58, 0.66), 0.981, Interval(0.96, 0.99))


def test_it_shows_before_and_after() -> None:
    """Both errors, both losses, the temperature and the interval of the change."""
    text = " ".join(line.strip() for line in trust_lines(FOUND, None, 80))
    for words in (
        "a temperature of 1.31",
        "ECE 5.2 → 1.7 points",
        "log-loss 0.410 → 0.385, change [-0.0310, -0.0190]",
    ):
        assert words in text


def test_no_temperature_is_said_in_words() -> None:
    """Where training rows ask for none, and nothing of it where nothing was fitted."""
    idle = Calibration(1.0, (1.0,), 0.052, 0.052, 0.41, 0.41, Interval(0.0, 0.0))
    text = " ".join(line.strip() for line in trust_lines(idle, None, 80))
    assert text.endswith("ECE 5.2 points, log-loss 0.410; training rows ask for no temperature")
    unfitted = Calibration(None, (), 0.052, 0.052, 0.41, 0.41, None)
    assert "temperature" not in " ".join(trust_lines(unfitted, None, 80))


def test_it_says_when_the_head_answers() -> None:
    """The threshold and its bound, and what was measured; or that there is none."""
    chosen = Threshold(0.95, 0.871, 0.6, 0.97, 0.954)
    lines = trust_lines(FOUND, Abstention(chosen, ANSWERED, 1), 80)
    assert max(map(len, lines)) <= 80
    text = " ".join(line.strip() for line in lines)
    for words in (
        "from a probability of 0.871 on",
        "at least 95.4 % of",
        "answers 62.0 % [58.0, 66.0]",
        "98.1 % [96.0, 99.0] of these answers are right",
        "1 outer folds found no threshold",
    ):
        assert words in text
    without = Abstention(Threshold(0.9, None, 0, None, None), ANSWERED, 0)
    assert "show no threshold" in " ".join(trust_lines(FOUND, without, 80))
