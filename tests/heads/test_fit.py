"""Fits: protocols, promises and contract errors."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from problems import blobs, cycle, digests, problem
from sklearn.linear_model import LogisticRegression

from embedcache.errors import UnfittableError, UsageError
from embedcache.evaluation.splits import SIDE_FOLD, SIDE_TEST, SIDE_TRAIN
from embedcache.heads.artefact import Head
from embedcache.heads.fit import fit
from embedcache.heads.json_records import load_record
from embedcache.heads.problem import Problem
from embedcache.heads.report import FitReport
from embedcache.heads.rows import RunRows
from embedcache.heads.standardise import Scaler
from embedcache.records.strings import Strings


def given_split(train: int = 120, test: int = 60, k: int = 3, **changes: object) -> Problem:
    """Three classes with a split of the source's own."""
    labels = changes.pop("labels", cycle(k, train + test))
    split = np.repeat(np.array([1, 3], np.uint8), [train, test])
    fields = {"split": split, "features": blobs(labels, spread=1.5), **changes}
    return problem(labels, **fields)


def test_hold_out_judges_the_test_rows_once() -> None:
    """The source's test rows are judged by the shipped head, and the report says how often."""
    data = given_split()
    fitted = fit(data)
    report = fitted.report
    assert (report.split.kind, report.split.source) == ("hold-out", "given")
    assert report.split.test_openings == 1
    assert report.split.fold_settings == ()
    assert (report.rows.train, report.rows.judged) == (120, 60)
    answers = fitted.head.predict_proba(data.features[120:]).argmax(axis=1)
    expected = np.mean(answers == data.labels[120:])
    assert report.evaluation.score("accuracy").value == pytest.approx(expected)
    assert fitted.rows.side.tolist() == [SIDE_TRAIN] * 120 + [SIDE_TEST] * 60
    assert np.array_equal(fitted.rows.label, data.labels)


def test_cross_validation_judges_every_row_out_of_fold() -> None:
    """Few rows: five folds choose their own C, and the shipped head has seen all rows."""
    labels = cycle(3, 150)
    fitted = fit(problem(labels, features=blobs(labels, spread=1.5)))
    report = fitted.report
    assert (report.split.kind, report.split.folds) == ("cross-validation", 5)
    assert len(report.split.fold_settings) == 5
    assert report.split.test_openings == 0
    assert (report.rows.train, report.rows.judged) == (150, 150)
    assert fitted.head.chosen.rows == 150
    assert set(fitted.rows.side) == {SIDE_FOLD + fold for fold in range(5)}


def test_cross_validation_does_not_flatter() -> None:
    """Features without information are judged at chance, though the head fits its own rows."""
    labels = cycle(2, 80)
    noise = np.random.default_rng(0).normal(size=(80, 200)).astype(np.float16)
    fitted = fit(problem(labels, features=noise), values=(1.0,))
    own = np.mean(fitted.head.predict_proba(noise).argmax(axis=1) == labels)
    assert own == 1.0
    assert fitted.report.evaluation.score("accuracy").value < 0.7


@pytest.mark.parametrize("k", [2, 4])
def test_the_head_is_scikit_learns(k: int) -> None:
    """The numpy head gives raw features what scikit-learn gives standardised ones, cooled."""
    data = given_split(k=k)
    fitted = fit(data, values=(0.05,))
    train = data.features[:120].astype(np.float64)
    scaler = Scaler.fit(train)
    reference = LogisticRegression(C=0.05, tol=1e-9, max_iter=5000)
    reference.fit(scaler.apply(train, np.float64), data.labels[:120])
    test = data.features[120:]
    shares = reference.predict_proba(scaler.apply(test, np.float64))
    cooled = shares ** (1 / fitted.report.calibration.temperature)
    expected = cooled / cooled.sum(axis=1, keepdims=True)
    assert fitted.head.predict_proba(test) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "make", [given_split, lambda: problem(cycle(2, 60), features=blobs(cycle(2, 60), spread=4.0))]
)
def test_the_same_seed_gives_the_same_bytes(make: object, tmp_path: Path) -> None:
    """Two fits with one seed write equal files; another seed gives other folds."""
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        fit(make(), seed=seed).save(tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == [
        "head.json",
        "head.safetensors",
        "predictions.safetensors",
        "report.json",
        "rows.safetensors",
    ]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    report = "report.json"
    assert (tmp_path / "a" / report).read_bytes() != (tmp_path / "c" / report).read_bytes()


def test_everything_saved_comes_back(tmp_path: Path) -> None:
    """Head, rows and report are read as they were written."""
    fitted = fit(given_split())
    fitted.save(tmp_path)
    assert np.array_equal(Head.load(tmp_path).form.weights, fitted.head.form.weights)
    assert np.array_equal(RunRows.load(tmp_path).side, fitted.rows.side)
    report = load_record(FitReport, (tmp_path / "report.json").read_bytes())
    assert report == fitted.report


def test_test_rows_change_nothing_but_the_scores() -> None:
    """Absurd test features and labels leave C, folds and weights bit-equal."""
    data = given_split()
    features, labels = data.features.copy(), data.labels.copy()
    features[120:] = np.random.default_rng(9).choice([-6e4, 6e4], size=features[120:].shape)
    labels[120:] = 2 - labels[120:]
    clean, poisoned = (
        fit(each, abstain_precision=0.6)
        for each in (data, dataclasses.replace(data, features=features, labels=labels))
    )
    assert np.array_equal(clean.head.form.weights, poisoned.head.form.weights)
    assert np.array_equal(clean.head.form.intercept, poisoned.head.form.intercept)
    assert clean.report.selection == poisoned.report.selection
    assert clean.head.chosen == poisoned.head.chosen
    assert clean.head.abstain == poisoned.head.abstain is not None
    trained = [[each for each in made.doubts if each.trained] for made in (clean, poisoned)]
    assert trained[0] == trained[1]
    assert clean.report.evaluation != poisoned.report.evaluation


def test_many_rows_are_split_by_hash() -> None:
    """Two thousand rows are held out by their bytes, and the choice uses the rest only."""
    labels = cycle(2, 2100)
    fitted = fit(problem(labels, features=blobs(labels, dim=4, spread=2.0)), values=(0.1,))
    assert fitted.report.split.source == "hash"
    assert fitted.report.rows.train + fitted.report.rows.judged == 2100
    assert fitted.head.chosen.rows == fitted.report.rows.train


def test_groups_are_never_on_both_sides() -> None:
    """In a cross-validation by groups every group is in one fold."""
    labels = cycle(2, 120)
    group = (np.arange(120) // 4).astype(np.int32)
    fitted = fit(
        problem(labels, group=group, groups=Strings.of(map(str, range(30)))), values=(0.1,)
    )
    for code in range(30):
        assert len(set(fitted.rows.side[group == code])) == 1


def test_duplicates_count_once() -> None:
    """Copies of rows change neither weights nor scores."""
    data = given_split()
    rows = np.r_[np.arange(180), np.arange(0, 180, 3)]
    copied = Problem(
        data.features[rows],
        data.labels[rows],
        data.classes,
        data.digests[rows],
        data.ids.take(rows),
        data.split[rows],
        data.group[rows],
        data.groups,
        data.sources,
        data.dataset,
    )
    plain, doubled = fit(data), fit(copied)
    assert np.array_equal(plain.head.form.weights, doubled.head.form.weights)
    assert plain.report.evaluation == doubled.report.evaluation
    assert doubled.report.rows.duplicates == 60
    assert doubled.rows.side[180:].tolist() == [0] * 60


def test_crossings_are_told_before_anything_is_fitted() -> None:
    """A training copy of a test image leaves, and a person hears of it first."""
    table = digests(180)
    table[:6] = table[120:126]
    events: list[str] = []
    fitted = fit(
        given_split(digests=table),
        values=(0.1,),
        notify=lambda note: events.append(f"note: {note}"),
        progress=events.append,
    )
    assert events[0].startswith("note: 6 training rows left out")
    assert "choosing" in events[1]
    assert fitted.report.rows.train == 114
    assert fitted.report.crossing_count == 6
    assert fitted.rows.side[:6].tolist() == [0] * 6


def test_conflicts_stop_the_fit_or_leave_it() -> None:
    """Contradicting labels are an error, or are dropped from fit and score and listed."""
    table = digests(180)
    table[1] = table[0]
    table[121] = table[120]
    data = given_split(digests=table)
    with pytest.raises(UnfittableError, match="2 images have the same bytes"):
        fit(data)
    report = fit(data, on_conflict="drop", values=(0.1,)).report
    assert (report.rows.conflicting, report.rows.train, report.rows.judged) == (4, 118, 58)
    assert report.conflicts[0].ids == ("image0000.png", "image0001.png")


def test_labels_unseen_in_training_are_errors_of_the_head() -> None:
    """Test rows of an unknown class are reported and counted, not dropped."""
    labels = cycle(2, 180)
    labels[150:] = 2
    data = given_split(labels=labels, features=blobs(labels), classes=("a", "b", "zebra"))
    fitted = fit(data, values=(0.1,))
    assert fitted.head.classes == ("a", "b")
    assert fitted.head.unseen == fitted.report.unseen == ("zebra",)
    assert fitted.report.evaluation.rows == 60
    assert fitted.report.evaluation.score("accuracy").value <= 0.5
    assert fitted.report.evaluation.classes[2].recall == 0
    assert any("zebra" in note for note in fitted.report.notes)
    assert fitted.rows.label[-1] == 2


def test_classes_are_renumbered_by_their_training_rows() -> None:
    """A class that only test rows have comes after those that the head knows."""
    labels = cycle(2, 180) + 1
    labels[150:] = 0
    data = given_split(labels=labels, features=blobs(labels), classes=("aardvark", "b", "c"))
    fitted = fit(data, values=(0.1,))
    assert fitted.head.classes == ("b", "c")
    assert fitted.head.unseen == ("aardvark",)
    assert fitted.rows.label[[0, 1, 150]].tolist() == [0, 1, 2]


def test_unlabelled_rows_take_no_part() -> None:
    """Unlabelled rows are counted and left out."""
    labels = cycle(3, 180)
    labels[::10] = -1
    report = fit(given_split(labels=labels), values=(0.1,)).report
    assert report.rows.unlabelled == 18
    assert report.rows.train + report.rows.judged == 162


def test_a_class_with_fewer_rows_than_folds() -> None:
    """Rare classes, single rows included, are fitted and noted."""
    labels = np.r_[cycle(2, 60), [2, 2, 2, 3]]
    fitted = fit(problem(labels, classes=("a", "b", "rare", "single")))
    assert fitted.head.classes == ("a", "b", "rare", "single")
    assert any("'rare' (3), 'single' (1)" in note for note in fitted.report.notes)
    assert fitted.report.evaluation.classes[3].recall == 0
    assert fitted.report.evaluation.score("macro-F1").interval is None


@pytest.mark.parametrize("k", [150, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_classes_of_two_rows(k: int) -> None:
    """Many tiny classes are fitted and judged."""
    labels = np.repeat(np.arange(k), 2)
    features = blobs(labels, dim=16, spread=0.1)
    fitted = fit(problem(labels, features=features), values=(1.0,))
    assert fitted.head.form.weights.shape == (k, 16)
    assert fitted.report.evaluation.score("accuracy").value > 0.5


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 1, 2, 2], [0, 0, 0, 0, 0, 1]])
def test_a_handful_of_rows_is_enough(labels: list[int]) -> None:
    """The smallest data that allow a judgement give one, without a warning."""
    fitted = fit(problem(labels))
    assert fitted.report.evaluation.rows == len(labels)
    assert np.isfinite(fitted.head.form.weights).all()


def test_one_class_among_the_test_rows_is_judged() -> None:
    """Test rows of one class have an accuracy and no AUROC."""
    labels = cycle(2, 180)
    labels[120:] = 0
    evaluation = fit(given_split(labels=labels, k=2), values=(0.1,)).report.evaluation
    assert evaluation.score("accuracy").value is not None
    assert evaluation.score("AUROC").value is None
    assert evaluation.score("AUROC").interval is None


def test_constant_features_are_harmless() -> None:
    """Constant columns get no weight; constant rows alone are judged at chance."""
    labels = cycle(2, 90)
    features = blobs(labels)
    features[:, :4] = 3
    head = fit(problem(labels, features=features), values=(0.1,)).head
    assert np.abs(head.form.weights[:, :4]).max() < 1e-6
    report = fit(problem(labels, features=np.full((90, 3), 2, np.float16))).report
    assert report.evaluation.score("accuracy").value <= 0.6


def test_imbalance_is_shown_beside_the_majority() -> None:
    """With one row in twenty of a class the baseline is 95 %."""
    labels = (np.arange(400) % 20 == 0).astype(np.int32)
    report = fit(problem(labels, features=blobs(labels, spread=3.0)), values=(0.01,)).report
    assert report.evaluation.score("accuracy").baseline == pytest.approx(0.95)
    assert report.evaluation.majority == "class 0"


def test_no_convergence_is_said_and_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that gives up is named in head and report."""
    monkeypatch.setattr("embedcache.heads.models.logreg._MAX_ITERATIONS", 2)
    fitted = fit(given_split(), values=(100.0,))
    assert not fitted.head.chosen.converged
    assert not fitted.report.converged
    assert any("did not converge" in note for note in fitted.report.notes)


def test_mistakes_are_listed_by_confidence() -> None:
    """The most confident mistakes come first, with the row's name."""
    data = given_split()
    report = fit(data, values=(0.1,)).report
    sure = [mistake.probability for mistake in report.mistakes]
    assert sure == sorted(sure, reverse=True)
    ids = data.ids.texts()
    for mistake in report.mistakes:
        row = ids.index(mistake.id)
        assert row >= 120
        assert mistake.label == data.classes[data.labels[row]]
        assert mistake.label != mistake.predicted


def _nan(value: float) -> Problem:
    features = blobs(cycle(2, 60))
    features[17, 3] = value
    return problem(cycle(2, 60), features=features)


CONTRACT = {
    "no rows": (lambda: problem([], features=np.zeros((0, 4), np.float16)), "no row has"),
    "unlabelled": (lambda: problem([-1] * 20, classes=("a", "b")), "no row has a usable label"),
    "one class": (lambda: problem([0] * 50), "two classes"),
    "single rows": (lambda: problem(list(range(30))), "every class has only one row"),
    "one group": (
        lambda: problem(cycle(2, 50), group=np.zeros(50, np.int32), groups=Strings.of(["g"])),
        "one group",
    ),
    "two groups": (
        lambda: problem(
            cycle(2, 60),
            group=(np.arange(60) // 30).astype(np.int32),
            groups=Strings.of(["x", "y"]),
        ),
        "too few groups",
    ),
    "class in a group": (
        lambda: problem(cycle(3, 60), group=cycle(3, 60), groups=Strings.of(["x", "y", "z"])),
        "every class has only one group",
    ),
    "NaN": (lambda: _nan(np.nan), "not a finite number"),
    "infinity": (lambda: _nan(np.inf), "not a finite number"),
    "one training class": (
        lambda: given_split(labels=np.repeat(np.array([0, 1], np.int32), [120, 60])),
        "two classes",
    ),
    "test rows only": (lambda: given_split(split=np.full(180, 3, np.uint8)), "two classes"),
    "lengths": (lambda: given_split(group=np.zeros(3, np.int32)), "differ in length"),
    "not a table": (lambda: given_split(features=np.zeros(180, np.float16)), "not a table"),
    "no dimension": (lambda: given_split(features=np.zeros((180, 0), np.float16)), "not a table"),
    "code without name": (lambda: given_split(classes=("a", "b")), "no name"),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_what_cannot_be_fitted_is_said_clearly(name: str) -> None:
    """Each impossible problem is one error that names what is wrong."""
    make, words = CONTRACT[name]
    with pytest.raises(UnfittableError, match=words):
        fit(make())


def test_not_finite_features_name_the_image() -> None:
    """The row and its name are in the message."""
    with pytest.raises(UnfittableError) as caught:
        fit(_nan(np.nan))
    assert "image0017.png" in str(caught.value)


@pytest.mark.parametrize("option", ["model", "metric", "on_conflict"])
def test_unknown_options_are_refused(option: str) -> None:
    """An unknown word is an error that lists the known ones."""
    with pytest.raises(UsageError, match="unknown"):
        fit(given_split(), **{option: "nonsense"})


def test_a_threshold_is_found_where_one_is_wanted() -> None:
    """Only with `abstain_precision`, and only between 0 and 1."""
    easy = problem(cycle(2, 300), features=blobs(cycle(2, 300), spread=0.3))
    assert fit(easy, model="ncm").report.abstention is None
    fitted = fit(easy, model="ncm", abstain_precision=0.9)
    found = fitted.report.abstention
    assert found is not None
    assert found.judged.coverage > 0.95
    assert fitted.head.abstain is not None
    assert fitted.head.abstain.threshold == found.chosen.threshold
    with pytest.raises(UsageError, match="between 0 and 1"):
        fit(easy, abstain_precision=1.0)
