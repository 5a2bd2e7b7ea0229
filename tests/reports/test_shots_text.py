"""Few-shot curves as text and on the page."""

from dataclasses import replace

import materials

from embedcache.evaluation.intervals import Interval
from embedcache.heads.report import FitReport
from embedcache.heads.shot_records import ShotCurve, ShotPoint, ShotScore
from embedcache.reports.page.shots import few_shot
from embedcache.reports.shots_text import shots_lines


def _report() -> FitReport:
    def score(name: str, mean: float) -> ShotScore:
        low_high = Interval(mean - 0.1, mean + 0.1)
        return ShotScore(name, mean, 0.02, low_high, (mean - 0.02, mean, mean + 0.02))

    def point(shots: int, mean: float, short: tuple[str, ...] = ()) -> ShotPoint:
        names = ("accuracy", "balanced accuracy", "log-loss")
        return ShotPoint(shots, 3 * shots, short, tuple(score(name, mean) for name in names))

    points = (point(1, 0.6), point(5, 0.7), point(25, 0.8, ("hen", "<b>")))
    return replace(materials.material().report, shots=ShotCurve(3, points))


def test_each_point_has_a_line() -> None:
    """Mean, spread and interval, then all rows, then the classes that are short of rows."""
    assert shots_lines(materials.material().report, 80) == []
    lines = shots_lines(_report(), 80)
    assert max(map(len, lines)) <= 80
    assert lines[0] == "few-shot, mean ± spread of 3 draws of rows:"
    cells = ["5", "15", "70.0", "%", "±", "2.0", "[60.0,", "80.0]", "70.0", "%", "0.700"]
    assert lines[3].split() == cells
    assert lines[5].split()[0] == "all"
    assert lines[6] == "fewer than 25 training rows, all of them taken: hen, <b>"


def test_the_page_draws_the_curve() -> None:
    """A dot for each point, the table, and names that are only text."""
    assert few_shot(materials.material().report) == ""
    html = few_shot(_report())
    assert html.count('class="dot"') == 3
    assert "70.0&nbsp;%" in html
    assert "[70.0, 90.0]" in html
    assert "<b>" not in html
