"""The order of the questions, one yes at a time."""

from dataclasses import replace

import pytest
from decisions import pilot, signals

from embedcache.decision.facts import Facts
from embedcache.decision.record import Limits
from embedcache.decision.signals import Duplicates, HeadScore, OtherFeatures, Signals
from embedcache.decision.verdict import PILOT_NEEDED, RULES, ask, takes_all
from embedcache.evaluation.intervals import Interval
from embedcache.evaluation.learning_curve import Doubling

LIMITS = Limits(None, 0.01, 10.0)
_BETTER = HeadScore("lda", 0.88, 0.03, 0.01, 0.05)

_ALONE = {
    "FIX_DATA": signals(doubtful=300, surest_error=0.2),
    "TUNE_HEAD": signals(contest=replace(signals().contest, heads=(_BETTER,))),
    "NEW_FEATURES": signals(elsewhere=(OtherFeatures("other.h5", 2_000, _BETTER),)),
    "STAY_FROZEN": signals(accuracy=0.995, interval=Interval(0.99, 0.998)),
    "INCONCLUSIVE": signals(detectable=0.2, detectable_crossed=0.2),
}


@pytest.mark.parametrize("verdict", _ALONE)
def test_each_answer_alone_gives_its_verdict(verdict: str) -> None:
    """Before any pilot, which is not asked then."""
    found, evidence, steps = ask(Facts(_ALONE[verdict], LIMITS, pilot(0.05, 0.03)))
    assert found == verdict
    assert [step.answer for step in steps].count("yes") == 1
    assert next(step for step in steps if step.answer == "yes").evidence == evidence


@pytest.mark.parametrize(
    "found",
    [
        signals(duplicates=Duplicates(2_000, 21, 0, True, 0)),
        signals(duplicates=Duplicates(2_000, 0, 0, True, 21)),
        signals(doubtful=290, surest_error=0.145, conflicting=12),
    ],
)
def test_duplicates_copies_and_contradictions_are_data_to_fix(found: Signals) -> None:
    """More than 1 %, or 15 % together with other doubts."""
    assert ask(Facts(found, LIMITS))[0] == "FIX_DATA"


@pytest.mark.parametrize(
    ("doubtful", "surest_error"), [(600, 0.14), (280, 0.3)], ids=["overlap", "few doubts"]
)
def test_doubts_count_where_the_surest_answers_share_them(
    doubtful: int, surest_error: float
) -> None:
    """Overlapping classes and few rows raise doubts too, but not about what is plain."""
    assert (
        ask(Facts(signals(doubtful=doubtful, surest_error=surest_error), LIMITS))[0] != "FIX_DATA"
    )


@pytest.mark.parametrize("change", [{"on_edge": True}, {"converged": False}])
def test_an_unfinished_choice_is_a_head_to_tune(change: dict[str, bool]) -> None:
    """Whatever the other heads do."""
    assert ask(Facts(signals(**change), LIMITS))[0] == "TUNE_HEAD"


def test_the_target_counts_by_its_lower_bound() -> None:
    """And comes before everything else."""
    noisy = signals(doubtful=300, surest_error=0.2)
    assert ask(Facts(noisy, Limits(0.83, 0.01, 10.0)))[0] == "TARGET_MET"
    assert ask(Facts(noisy, Limits(0.84, 0.01, 10.0)))[0] == "FIX_DATA"


@pytest.mark.parametrize(
    ("gain", "low", "doubling", "verdict"),
    [
        (0.02, 0.005, 0.03, "ESCALATE"),
        (0.009, 0.005, 0.03, "MORE_DATA"),
        (0.02, -0.001, 0.03, "MORE_DATA"),
        (0.009, 0.005, 0.009, "STAY_FROZEN"),
    ],
)
def test_the_pilot_decides_by_gain_and_bound(
    gain: float, low: float, doubling: float, verdict: str
) -> None:
    """Where it fails, more data have to promise more at their lower bound."""
    facts = Facts(signals(doubling=Doubling(0.04, doubling)), LIMITS, pilot(gain, low))
    assert ask(facts)[0] == verdict


def test_a_shallow_pilot_cannot_say_that_there_is_nothing_to_gain() -> None:
    """Nor send for more labels: it has not tried what it was asked about. What it gains counts."""
    for promised in (0.03, 0.009):
        found = signals(doubling=Doubling(0.04, promised))
        shallow = replace(pilot(0.0, -0.01), share=0.2)
        verdict, evidence, _ = ask(Facts(found, LIMITS, shallow))
        assert verdict == "PILOT_NEEDED"
        assert "left it 20.0 % of the network, from blocks.5 on: raise --budget" in evidence
    gained = replace(pilot(0.02, 0.005), share=0.2)
    assert ask(Facts(signals(), LIMITS, gained))[0] == "ESCALATE"


@pytest.mark.parametrize(
    ("one", "crossed", "verdict"),
    [(0.112, 0.2, PILOT_NEEDED), (0.113, 0.112, PILOT_NEEDED), (0.113, 0.113, "INCONCLUSIVE")],
)
def test_rows_are_too_few_where_not_even_all_of_them_would_tell(
    one: float, crossed: float | None, verdict: str
) -> None:
    """Three quarters of an error of 15 % are 11.25 points."""
    found = signals(detectable=one, detectable_crossed=crossed)
    assert ask(Facts(found, LIMITS))[0] == verdict


@pytest.mark.parametrize(
    ("rows", "one", "takes"), [(1_000, 0.01, True), (1_001, 0.112, False), (1_001, 0.113, True)]
)
def test_a_pilot_takes_all_rows_where_they_are_few(rows: int, one: float, takes: bool) -> None:  # noqa: FBT001  # a test case
    """Or where a fifth of them would not see three quarters of the error."""
    assert takes_all(signals(rows=rows, detectable=one)) is takes


def test_a_gain_of_few_trainings_counts_and_no_gain_of_them_does_not() -> None:
    """One training where it takes three: the level holds, but what is missed may be large."""
    one = replace(pilot(0.05, 0.03), asked=3)
    verdict, evidence, _ = ask(Facts(signals(), LIMITS, one))
    assert verdict == "ESCALATE"
    assert "1 of the 3 trainings" in evidence
    none = replace(pilot(0.0, -0.03), asked=3)
    verdict, evidence, _ = ask(Facts(signals(doubling=Doubling(0.0, 0.0)), LIMITS, none))
    assert verdict == PILOT_NEEDED
    assert "raise --budget" in evidence


def test_a_training_that_lacks_its_last_steps_is_whole() -> None:
    """497 of 500 steps say that there is nothing to gain; 474 of 500 do not."""
    found = signals(doubling=Doubling(0.0, 0.0))
    for steps, verdict in ((475, "STAY_FROZEN"), (474, PILOT_NEEDED)):
        result = replace(pilot(0.0, -0.03), steps=steps)
        assert ask(Facts(found, LIMITS, result))[0] == verdict


def test_the_order_is_that_of_the_page() -> None:
    """docs/decide.md lists the questions as they are asked."""
    assert [rule.verdict for rule in RULES] == [
        "TARGET_MET",
        "FIX_DATA",
        "TUNE_HEAD",
        "NEW_FEATURES",
        "STAY_FROZEN",
        "INCONCLUSIVE",
        "ESCALATE",
        "MORE_DATA",
        "STAY_FROZEN",
    ]


@pytest.mark.parametrize("gain", [0.05, 0.0])
def test_a_pilot_that_was_cut_short_says_so(gain: float) -> None:
    """Whether it gained or not; one with all its steps has nothing to say."""
    whole = pilot(gain, gain - 0.01)
    short = replace(whole, steps=400)
    text = "the budget left it 400 of 500 steps"
    assert text in ask(Facts(signals(), LIMITS, short))[1]
    assert "the budget" not in ask(Facts(signals(), LIMITS, whole))[1]


def test_a_pilot_that_was_cut_short_does_not_say_that_nothing_is_to_be_gained() -> None:
    """On solar cells 413 of 500 steps lost 0.8 points, where others gained 2: it asks for more."""
    whole = pilot(0.0, -0.01)
    facts = Facts(signals(doubling=Doubling(0.0, 0.0)), LIMITS, whole)
    assert ask(facts)[0] == "STAY_FROZEN"
    verdict, evidence, _ = ask(replace(facts, pilot=replace(whole, steps=400)))
    assert verdict == PILOT_NEEDED
    assert "raise --budget" in evidence
