"""The page of a decision."""

from html.parser import HTMLParser

import materials
from decisions import decision, pilot, signals

from embedcache.decision.signals import CurvePoint, Doubt
from embedcache.decision.thresholds import THRESHOLDS
from embedcache.reports.page.decision import decision_page


class _Seen(HTMLParser):
    """Tags and text as a browser sees them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_shows_the_pilot_the_curve_the_power_and_every_threshold() -> None:
    """Two charts, and no script."""
    seen = _Seen(decision_page(decision(signals(), pilot(0.03, 0.01)), lambda _row: None))
    assert "script" not in seen.tags
    assert seen.tags.count("svg") == 2
    assert "blocks.5" in seen.text
    assert "Looked at, and no guide here" in seen.text
    for threshold in THRESHOLDS:
        assert threshold.source in seen.text


def test_hostile_names_mean_nothing_to_a_browser() -> None:
    """In labels, ids, warnings and the data set's name."""
    hostile = materials.HOSTILE
    found = signals(doubts=(Doubt(hostile, 0, hostile, hostile, 0.5),))
    made = decision(found, dataset=hostile, warnings=(hostile,), command=hostile)
    page = decision_page(made, lambda _row: None)
    assert "script" not in _Seen(page).tags
    assert b"\x1b" not in page


def test_a_curve_of_one_size_is_left_out() -> None:
    """There is nothing to draw."""
    found = signals(curve=(CurvePoint(0, 0.5, None), CurvePoint(3, 0.5, None)))
    assert "Learning curve" not in _Seen(decision_page(decision(found), lambda _row: None)).text
