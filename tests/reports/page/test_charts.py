"""The charts of the page, where the data leave nothing to draw a scale from."""

from embedcache.heads.choice_records import SelectionRecord, SettingScore
from embedcache.reports.page.charts import curve


def test_equal_losses_have_a_curve() -> None:
    """Easy data, where every setting is right everywhere, once divided by zero."""
    scores = tuple(
        SettingScore(
            setting={"C": c},
            loss=0.0,
            difference=0.0,
            difference_error=0.0,
            accuracy=1.0,
            converged=True,
            iterations=3,
        )
        for c in (0.1, 1.0)
    )
    selection = SelectionRecord(
        setting={"C": 0.1},
        best={"C": 0.1},
        metric="accuracy",
        folds=5,
        scores=scores,
        on_edge=False,
        stopped_early=False,
    )
    assert "<svg" in curve(selection, "error")
