"""How a choice is told."""

import dataclasses

import numpy as np
import pytest
from problems import blobs, cycle, problem

from embedcache.heads.class_weights import ClassWeightRecord
from embedcache.heads.fit import fit
from embedcache.heads.report import FitReport
from embedcache.reports.selection_text import curve_lines, how_lines, leaderboard_lines


def report(model: str) -> FitReport:
    labels = cycle(2, 90)
    split = np.where(np.arange(90) % 3 == 0, 3, 1).astype(np.uint8)
    return fit(problem(labels, features=blobs(labels, spread=2.0), split=split), model).report


@pytest.fixture(scope="module")
def auto() -> FitReport:
    return report("auto")


def test_the_leaderboard_lists_every_model(auto: FitReport) -> None:
    """The winner comes first and is marked, the others with their intervals."""
    assert auto.leaderboard is not None
    lines = leaderboard_lines(auto.leaderboard, 80)
    winner, *others = auto.leaderboard.contenders
    assert lines[2].startswith(winner.model)
    assert "← chosen" in lines[2]
    for line, each in zip(lines[3:], others, strict=False):
        assert line.startswith(each.model)
        assert f"[{each.low:.4f}, {each.high:.4f}]" in line
    assert "not tried" in " ".join(lines)
    assert leaderboard_lines(None, 80) == []


def test_class_weights_are_said() -> None:
    """Rule and weights, and that they move the probabilities; nothing without them."""
    plain = report("logreg")
    assert "weights" not in "\n".join(how_lines(plain, 80))
    weighted = dataclasses.replace(
        plain, class_weight=ClassWeightRecord("balanced", (0.5, 12.34567))
    )
    said = " ".join(how_lines(weighted, 80))
    assert "class weights, balanced: 'class 0' 0.5, 'class 1' 12.3;" in said
    assert max(map(len, how_lines(weighted, 80))) <= 80
    many = tuple(dataclasses.replace(plain.classes[0], name=f"c{i}") for i in range(20))
    weights = ClassWeightRecord("given", tuple(float(i + 1) for i in range(20)))
    crowded = dataclasses.replace(plain, classes=many, class_weight=weights)
    assert "given: from 'c0' 1 to 'c19' 20;" in " ".join(how_lines(crowded, 80))


def test_leaving_one_out_is_said() -> None:
    """A ridge was not chosen over folds."""
    text = " ".join(how_lines(report("ridge"), 80))
    assert "alpha" in text
    assert "leaving out each of 60 training rows" in text


def test_a_choice_beside_the_best_is_not_called_it() -> None:
    """It is within an error, or, where the error is smaller still, as good as equal."""
    plain = report("logreg")
    best, other = plain.selection.scores[-1], plain.selection.scores[0]
    for error, words in ((1e-3, "within one error of C"), (1e-8, "as good as equal to C")):
        score = dataclasses.replace(other, difference=1e-7, difference_error=error)
        selection = dataclasses.replace(
            plain.selection, setting=score.setting, best=best.setting, scores=(score, best)
        )
        told = dataclasses.replace(plain, selection=selection)
        assert words in " ".join(how_lines(told, 80))


def test_models_without_parameters_have_no_curve() -> None:
    """One setting is a sentence, not a table."""
    found = report("ncm")
    assert curve_lines(found.selection) == []
    assert "the only setting" in " ".join(how_lines(found, 80))


def test_long_curves_are_cut_to_the_best() -> None:
    """Of forty settings of a model the best are shown, the choice among them."""
    selection = report("knn").selection
    lines = curve_lines(selection)
    assert f"of {len(selection.scores)} settings" in lines[0]
    assert len(lines) < len(selection.scores)
    assert sum("← chosen" in line for line in lines) == 1


def test_outer_folds_name_their_models(auto: FitReport) -> None:
    """With several models, an outer fold's choice has the model's name."""
    split = dataclasses.replace(
        auto.split, folds=2, fold_models=("knn", "lda"), fold_settings=({"k": 3.0}, {})
    )
    text = " ".join(how_lines(dataclasses.replace(auto, split=split), 80))
    assert "knn k 3; lda no parameter" in text
