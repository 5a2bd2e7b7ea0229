"""The report of any number of labels as text."""

from dataclasses import replace

import materials
import pytest

from embedcache.reports.multilabel_text import multilabel_text


def test_it_fits_into_eighty_columns() -> None:
    """Headline first, every score beside its baseline, a line for each label."""
    report = materials.marked_material(("cat", "dog", "a label with a very long name")).report
    lines = multilabel_text(report).splitlines()
    assert max(map(len, lines)) <= 80
    score = report.evaluation.score("mAP")
    assert lines[2].startswith(f"mAP {100 * (score.value or 0):.1f} % [")
    assert lines[3].startswith(f"baseline {100 * (score.baseline or 0):.1f} %")
    for name in ("exact match", "macro-F1", "micro-F1", "log-loss", "label  ", "note: "):
        assert any(line.startswith(name) for line in lines)


def test_of_many_labels_the_weakest_are_shown() -> None:
    """Twenty of thirty, by average precision, the lowest first."""
    report = materials.marked_material(tuple(f"label {i}" for i in range(30)), rows=90).report
    text = multilabel_text(report)
    assert "the 20 labels of lowest average precision, of 30, %" in text
    ranked = sorted(
        report.evaluation.labels, key=lambda each: each.score("average precision").value or 0
    )
    assert text.index(f"{ranked[0].name} ") < text.index(f"{ranked[19].name} ")
    assert f"{ranked[29].name} " not in text[: text.index("calibration:")]


@pytest.mark.parametrize("temperatures", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.0)])
def test_temperatures_are_said_where_there_are_any(temperatures: tuple[float, ...]) -> None:
    """Of models whose scores are no logits."""
    report = materials.marked_material().report
    labels = tuple(
        replace(each, temperature=value)
        for each, value in zip(report.labels, temperatures, strict=True)
    )
    text = multilabel_text(replace(report, labels=labels))
    assert ("0.5 to 2" in text) == (temperatures[0] != 1)
