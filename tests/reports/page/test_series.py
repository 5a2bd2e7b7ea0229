"""Charts of several lines."""

from __future__ import annotations

import re

from embedcache.evaluation.intervals import Interval
from embedcache.reports.page.series import Series, series_chart


def test_lines_share_their_axes() -> None:
    """Each is drawn within the frame, and named in the legend."""
    lines = (
        Series("a < b", [(0.0, 0.5), (500.0, 0.1)], kind="other"),
        Series("", [(0.0, 0.4), (250.0, 0.3)], [Interval(0.2, 0.6), Interval(0.25, 0.35)]),
    )
    drawn = series_chart(lines, "steps", "a title", chosen=(250.0, 0.3))
    places = [
        tuple(map(float, corner.split(",")))
        for points in re.findall(r'points="([^"]*)"', drawn)
        for corner in points.split()
    ]
    assert len(places) == 4
    assert all(46 <= x <= 350 and 12 <= y <= 196 for x, y in places)
    assert places[0][0] == places[2][0]
    assert places[0][1] < places[2][1]  # upwards is less
    assert drawn.count("<li>") == 1
    assert "a &lt; b" in drawn
    assert 'class="ring"' in drawn
    assert drawn.count('class="error"') == 2


def test_a_single_point_has_a_place() -> None:
    """There is no range to divide by."""
    assert "nan" not in series_chart([Series("", [(0.0, 0.0)])], "steps", "a title")
