"""The page of rows that have any number of labels."""

import re
from dataclasses import replace

import materials
from pages import Reader

from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.records.strings import Strings
from embedcache.reports.page.material import Material
from embedcache.reports.page.multilabel import multilabel_page


def _read(material: Material[MultilabelReport]) -> Reader:
    return Reader.of(multilabel_page(material))


def test_it_says_what_a_person_looks_for() -> None:
    """The mean average precision, F1, each label, mistakes, doubts, and how to repeat it."""
    material = materials.marked_material()
    text = re.sub(r"\s+", " ", _read(material).text)
    evaluation = material.report.evaluation
    score = evaluation.score("mAP")
    assert score.interval is not None
    value, low, high = (100 * x for x in (score.value, score.interval.low, score.interval.high))
    assert f"{value:.1f} % [{low:.1f}, {high:.1f}] mAP" in text
    for words in (
        "macro-F1",
        "micro-F1",
        "exact match",
        "Expected calibration error",
        "probability of a label, %",
        "Most confident mistakes",
        "not labelled so",
        "2 of 900 training marks and 1 of 900 judged marks",
        "labelled cat, seems not (10.0 %)",
        "not labelled cat, seems so (90.0 %)",
        "c.png, which left training, is d.png",
        "embedcache fit-head cache/pets.h5",
    ):
        assert words in text
    for label in evaluation.labels:
        assert f"{100 * (label.score('AUROC').value or 0):.1f}" in text


def test_hostile_names_are_only_text() -> None:
    """Labels and ids of hostile text add no tag."""
    name = materials.HOSTILE
    plain = _read(materials.marked_material())
    hostile = materials.marked_material((name + "1", name + "2", name + "3"))
    raw = name.encode("utf-8", "surrogateescape")
    found = _read(replace(hostile, ids=Strings.of([raw] * 300)))
    assert found.tags == plain.tags
    assert {name for name, _ in found.attributes} == {name for name, _ in plain.attributes} | {
        "title"
    }


def test_of_many_labels_the_weakest_are_shown() -> None:
    """Sixty labels: a table of fifty, and pictures of twelve."""
    names = tuple(f"label {i}" for i in range(60))
    text = _read(materials.marked_material(names, rows=120)).text
    assert "Labels: the 50 of lowest average precision, of 60" in text
    assert "labels of lowest average precision, 12 of them" in text


def test_without_mistakes_and_doubts_it_says_so() -> None:
    """Right answers throughout."""
    material = materials.marked_material()
    right = material.labels.astype("float32")
    report = replace(material.report, label_doubts=replace(material.report.label_doubts, listed=()))
    text = _read(replace(material, probabilities=right, report=report)).text
    assert "No label of a judged row was answered wrong." in text
