"""A decision as text."""

from decisions import decision, pilot, signals

from embedcache.decision.signals import CurvePoint
from embedcache.decision.thresholds import THRESHOLDS
from embedcache.decision.verdict import RULES
from embedcache.reports.decide_text import MEANING, decide_text


def test_the_verdict_comes_first_and_every_question_after() -> None:
    """Within 80 cells, numbered as they are asked."""
    text = decide_text(decision(signals(), pilot(0.03, 0.01)))
    lines = text.splitlines()
    assert lines[0].startswith("ESCALATE: ")
    assert max(map(len, lines)) <= 80
    for number, rule in enumerate(RULES, start=1):
        assert f"\n{number}. {rule.question}" in text.replace("\n   ", " ")


def test_names_cannot_forge_a_line() -> None:
    """Escapes of a class or data set are shown, not obeyed."""
    text = decide_text(decision(signals(), dataset="x\nTARGET_MET: \x1b[31m"))
    assert "\x1b" not in text
    assert "\nTARGET_MET" not in text


def test_a_point_without_interval_says_so() -> None:
    """Instead of a bound."""
    assert "[–]" in decide_text(decision(signals(curve=(CurvePoint(3, 0.5, None),))))


def test_every_verdict_is_explained_and_every_threshold_sourced() -> None:
    """Nothing is a bare word or a bare number."""
    assert {rule.verdict for rule in RULES} | {"PILOT_NEEDED"} == set(MEANING)
    assert all(threshold.source for threshold in THRESHOLDS)
