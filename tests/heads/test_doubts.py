"""Labels in doubt, of training and of judged rows."""

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.heads.fit import fit
from embedcache.heads.reporting import LISTED


@pytest.mark.parametrize("given", [True, False])
def test_planted_errors_are_found_on_every_side(*, given: bool) -> None:
    """Ten of 300 labels are wrong; most are named with what they were, and few others."""
    labels = cycle(3, 300)
    features = blobs(labels, spread=0.3)
    planted = np.random.default_rng(1).choice(300, 10, replace=False)
    wrong = labels.copy()
    wrong[planted] = (labels[planted] + 1) % 3
    split = np.repeat(np.array([1, 3], np.uint8), [200, 100]) if given else np.zeros(300, np.uint8)
    fitted = fit(problem(wrong, features=features, split=split), values=(0.01,))
    doubts, counts = fitted.doubts, fitted.report.label_doubts
    found = {each.row for each in doubts}
    assert len(found & set(planted)) >= 7
    assert len(found - set(planted)) <= 2
    for each in doubts[:5]:
        assert each.id == f"image{each.row:04d}.png"
        assert each.label == f"class {wrong[each.row]}"
        assert each.suggested == f"class {labels[each.row]}"
        assert each.trained == (each.row < 200 or not given)
        assert each.judged == (each.row >= 200 or not given)
    margins = [each.probability - each.self_confidence for each in doubts]
    assert margins == sorted(margins, reverse=True)
    assert counts.trained == sum(each.trained for each in doubts)
    assert counts.judged == sum(each.judged for each in doubts)
    assert counts.listed == doubts[:LISTED]
