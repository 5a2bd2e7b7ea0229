"""The page that people look at."""

import re
from dataclasses import replace

import materials
import numpy as np
import pytest
from pages import Reader

from embedcache.evaluation.abstention import Abstention, Answered, Threshold
from embedcache.evaluation.intervals import Interval
from embedcache.heads.choice_records import Contender, Leaderboard
from embedcache.heads.report import FitReport
from embedcache.heads.row_records import NearDuplicates, NearPair
from embedcache.records.rejects import Reject, RejectReason
from embedcache.records.strings import Strings
from embedcache.reports.page.material import Material
from embedcache.reports.page.page import page


def _read(material: Material[FitReport]) -> Reader:
    return Reader.of(page(material))


def test_it_needs_nothing_but_itself() -> None:
    """No script, no link, no address of another file, and a policy that would stop them."""
    found = _read(materials.material(picture=lambda _row: "data:image/jpeg;base64,AAAA"))
    assert not found.tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
    for name, value in found.attributes:
        assert not name.startswith("on")
        if name in {"src", "href", "srcset", "data", "action"}:
            assert (value or "").startswith("data:image/jpeg;base64,")
    assert "url(" not in page(materials.material()).decode()
    assert "@import" not in page(materials.material()).decode()
    assert any("default-src 'none'" in (value or "") for _, value in found.attributes)


def test_it_says_what_a_person_looks_for() -> None:
    """The accuracy with its interval and baseline, errors, rejects, and how to repeat it."""
    found = _read(materials.material())
    text = re.sub(r"\s+", " ", found.text)
    accuracy = materials.material().report.evaluation.score("accuracy")
    assert accuracy.interval is not None
    value, low, high = (
        100 * x for x in (accuracy.value, accuracy.interval.low, accuracy.interval.high)
    )
    assert f"{value:.1f} % [{low:.1f}, {high:.1f}] accuracy" in text
    for words in (
        "is right in 33.3 %",
        "C = 0.01: the best, by log-loss over 5 folds",
        "Most confident mistakes",
        "Labels in doubt",
        "Northcutt",
        "Expected calibration error",
        "2 of 300 training labels and 1 of 300 judged labels look like another class",
        "looks like dog",
        "bad.png: truncated, cut off",
        "a.png as cat, b.png as dog",
        "c.png, which left training, is d.png",
        "embedcache fit-head cache/pets.h5",
        "2" * 64,
        "numpy 2.4",
    ):
        assert words in text


def test_hostile_names_are_only_text() -> None:
    """Classes, ids, rejects, notes and commands of hostile text add no tag and no attribute."""
    name = materials.HOSTILE
    plain = materials.material()
    classes = (name + "1", name + "2", name + "3")
    hostile = materials.material(classes)
    sources = (replace(hostile.report.sources[0], backbone=name),) * 2
    report = replace(hostile.report, dataset=name, sources=sources, model=name, notes=(name,))
    raw = name.encode("utf-8", "surrogateescape")
    found = _read(
        replace(
            hostile,
            report=report,
            ids=Strings.of([raw] * 300),
            rejects=(Reject(raw, bytes(32), RejectReason.CORRUPT, name, name),),
            commands=(name,),
            versions={name: name},
        )
    )
    assert found.tags == _read(plain).tags
    assert {n for n, _ in found.attributes} <= {n for n, _ in _read(plain).attributes} | {"title"}
    assert "<script>alert(1)</script>\"'&\\u202e\\x1b[31m\\n\\xff" in found.text
    for bad in "\u202e\x1b":
        assert bad not in page(replace(hostile, report=report)).decode()


def test_many_classes_show_the_worst_pairs() -> None:
    """Above 20 classes there is no matrix; above 50 only the classes of lowest recall."""
    names = tuple(f"class {i}" for i in range(60))
    text = _read(materials.material(names, rows=600)).text
    assert "most frequent pairs" in text
    assert "the 50 of lowest recall, of 60" in text
    twenty = page(materials.material(names[:20], rows=200)).decode()
    assert twenty.count('<th scope="row">') == 20


def test_perfect_answers_have_a_page() -> None:
    """Nothing is wrong, in doubt or confused."""
    material = materials.material()
    shares = np.eye(3, dtype=np.float32)[material.labels]
    text = _read(replace(material, probabilities=shares)).text
    assert "No judged row was answered wrong." in text


@pytest.mark.parametrize("values", [{}, {"k": 5.0}, {"shrinkage": 0.0}])
def test_any_models_choice_can_be_drawn(values: dict[str, float]) -> None:
    """Models without parameters, with one setting, and with a parameter that may be 0."""
    material = materials.material()
    one = replace(materials.selection().scores[0], setting=values)
    for scores in ((one,), (one, replace(one, setting={n: v + 0.5 for n, v in values.items()}))):
        selection = replace(materials.selection(), setting=values, best=values, scores=scores)
        assert (
            "Choice"
            in _read(replace(material, report=replace(material.report, selection=selection))).text
        )


def test_a_temperature_alone_is_no_choice() -> None:
    """It is found for a model that has no parameter, and given by nobody."""
    material = materials.material()
    one = replace(materials.selection().scores[0], setting={"temperature": 2.4})
    selection = replace(materials.selection(), setting=one.setting, best=one.setting, scores=(one,))
    report = replace(material.report, selection=selection)
    assert "logreg has nothing to choose" in _read(replace(material, report=report)).text


def test_a_leaderboard_is_shown() -> None:
    """The models that were compared, the winner first, and those that were not tried."""
    board = Leaderboard(
        "log_loss",
        (
            Contender("logreg", {"C": 0.01}, 0.38, 0.91, 0.0, 0.0, 0.0),
            Contender("lda", {}, 0.41, 0.90, 0.03, -0.01, 0.07),
        ),
        ("knn: too many rows",),
    )
    material = materials.material()
    text = _read(replace(material, report=replace(material.report, leaderboard=board))).text
    assert "0.0300 [-0.0100, 0.0700]" in text
    assert "knn: too many rows" in text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Threshold(0.95, 0.871, 0.6, 0.97, 0.954), "at least 0.871: that is 62.0"),
        (Threshold(0.95, None, 0.0, None, None), "No threshold can be shown to make 95"),
    ],
)
def test_a_wanted_precision_is_answered(found: Threshold, words: str) -> None:
    """The threshold with its coverage, or that there is none."""
    material = materials.material()
    judged = Answered(500, 310, 0.62, Interval(0.58, 0.66), 0.981, Interval(0.96, 0.99))
    report = replace(material.report, abstention=Abstention(found, judged, 0))
    assert words in _read(replace(material, report=report)).text
    assert "When it answers" not in _read(material).text


def test_near_duplicates_are_listed() -> None:
    """Their number, ten of them, and whether pixels confirm them."""
    pair = NearPair("left.png", "right.png", 0.991, None)
    near = NearDuplicates(12, 0, True, False, (pair,) * 12)
    material = materials.material()
    text = _read(replace(material, report=replace(material.report, near_duplicates=near))).text
    assert "left.png and right.png, cosine 0.991, not confirmed" in text
    assert "and 2 more" in text
