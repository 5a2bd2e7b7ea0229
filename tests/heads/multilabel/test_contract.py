"""What holds for every head of rows that have any number of labels, whatever its model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from problems import digests, marked, marks
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from embedcache.errors import FeatureOverflowError, IdentityMismatchError, UnfittableError
from embedcache.evaluation.folds import stratified_folds
from embedcache.evaluation.metrics import cell_log_loss
from embedcache.evaluation.splits import SIDE_TEST, SIDE_UNUSED, strata
from embedcache.heads.artefact import Head
from embedcache.heads.fitted import Fitted
from embedcache.heads.json_records import load_record
from embedcache.heads.multilabel.fit import fit_multilabel
from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.heads.names import MULTILABEL_MODELS
from embedcache.heads.predictions import Predictions
from embedcache.heads.problem import Problem
from embedcache.heads.rows import RunRows
from embedcache.heads.standardise import Scaler
from embedcache.records.strings import Strings

every_model = pytest.mark.parametrize("model", MULTILABEL_MODELS)

TRAIN, TEST = 90, 45
SPLIT = np.repeat(np.array([1, 3], np.uint8), [TRAIN, TEST])
LABELS = marks(TRAIN + TEST, [0.5, 0.3, 0.15])


def held_out(labels: np.ndarray = LABELS, **changes: object) -> Problem:
    """90 training and 45 test rows with any of three labels."""
    return marked(labels, **{"split": SPLIT, **changes})


def scores(fitted: Fitted) -> dict[str, float | None]:
    return {score.name: score.value for score in fitted.report.evaluation.scores}


@every_model
def test_it_learns(model: str) -> None:
    """Labels are told far better than by their shares, with finite scores."""
    fitted = fit_multilabel(held_out(), model)
    assert fitted.head.model == fitted.report.model == model
    assert fitted.head.output == "sigmoid"
    base = {score.name: score.baseline for score in fitted.report.evaluation.scores}
    found = scores(fitted)
    assert found["mAP"] > base["mAP"] + 0.3
    assert found["log-loss"] < 0.7 * base["log-loss"]


@every_model
def test_the_same_seed_gives_the_same_bytes(model: str, tmp_path: Path) -> None:
    """Two fits with one seed write equal files, and what is loaded answers equal bits."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fitted = fit_multilabel(held_out(), model)
        fitted.save(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    rows = held_out().features
    again = Head.load(tmp_path / "a")
    assert np.array_equal(again.predict_proba(rows), fitted.head.predict_proba(rows))
    data = (tmp_path / "a" / "report.json").read_bytes()
    assert load_record(MultilabelReport, data) == fitted.report
    known = RunRows.load(tmp_path / "a", several=True)
    assert np.array_equal(known.label, LABELS)
    found = Predictions.load(tmp_path / "a", known)
    expected = fitted.head.predict_proba(rows)[TRAIN:]
    assert np.array_equal(found.probability, expected.astype(np.float32))


@every_model
def test_test_rows_change_nothing_but_the_scores(model: str) -> None:
    """Absurd test features and labels leave the choice and every array bit-equal."""
    data = held_out()
    features, labels = data.features.copy(), LABELS.copy()
    features[TRAIN:] = np.random.default_rng(9).choice([-6e4, 6e4], size=features[TRAIN:].shape)
    labels[TRAIN:] = 1 - labels[TRAIN:]
    clean = fit_multilabel(data, model)
    poisoned = fit_multilabel(replace(data, features=features, labels=labels), model)
    assert clean.report.selection == poisoned.report.selection
    arrays, others = clean.head.form.tensors(), poisoned.head.form.tensors()
    assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
    assert clean.report.evaluation != poisoned.report.evaluation


@every_model
def test_one_label_is_enough(model: str) -> None:
    """A single label against its absence is a head."""
    labels = marks(TRAIN + TEST, [0.4])
    fitted = fit_multilabel(held_out(labels), model)
    assert fitted.head.classes == ("label 0",)
    assert scores(fitted)["mAP"] > 0.7


@every_model
def test_labels_on_no_row_and_on_every_row(model: str) -> None:
    """They are answered by their odds, and the report names them."""
    labels = np.concatenate([LABELS, np.zeros_like(LABELS[:, :1]), np.ones_like(LABELS[:, :1])], 1)
    features = held_out().features
    fitted = fit_multilabel(held_out(labels, features=features), model)
    shares = fitted.head.predict_proba(held_out().features)
    np.testing.assert_allclose(shares[:, 3], 0.5 / (TRAIN + 1))
    np.testing.assert_allclose(shares[:, 4], (TRAIN + 0.5) / (TRAIN + 1))
    assert "no row has: 'label 3'" in fitted.report.notes
    assert "every training row has: 'label 4'" in fitted.report.notes
    assert fitted.report.evaluation.labels[3].score("average precision").value is None
    alone = fit_multilabel(held_out(), model).head.predict_proba(features)
    np.testing.assert_allclose(shares[:, :3], alone, atol=1e-3)


@every_model
def test_labels_that_only_test_rows_have(model: str) -> None:
    """They are columns of the head, judged as misses, and named."""
    labels = np.concatenate([LABELS, np.zeros_like(LABELS[:, :1])], 1)
    labels[TRAIN : TRAIN + 6, 3] = 1
    fitted = fit_multilabel(held_out(labels), model)
    assert "no training row has, but judged rows do: 'label 3'" in fitted.report.notes
    unseen = fitted.report.evaluation.labels[3]
    assert (unseen.rows, unseen.predicted, unseen.score("recall").value) == (6, 0, 0.0)


@every_model
def test_more_labels_than_rows(model: str) -> None:
    """Forty-five labels, most of them rare, of forty rows are judged by cross-validation."""
    shares = np.random.default_rng(1).uniform(0.01, 0.3, 45).tolist()
    fitted = fit_multilabel(marked(marks(40, shares), dim=20), model, values=(0.01,))
    assert fitted.report.split.kind == "cross-validation"
    assert fitted.head.form.k == 45
    assert np.isfinite(fitted.head.form.tensors()["weights"]).all()
    assert fitted.report.evaluation.score("mAP").interval is None


@every_model
def test_more_dimensions_than_rows(model: str) -> None:
    """Two hundred dimensions and ninety rows are no difficulty."""
    assert scores(fit_multilabel(held_out(dim=200), model))["mAP"] > 0.9


@every_model
def test_constant_features_are_harmless(model: str) -> None:
    """Constant columns do no harm; constant rows alone are judged as the shares are."""
    features = held_out().features.copy()
    features[:, :2] = 3
    assert scores(fit_multilabel(held_out(features=features), model))["mAP"] > 0.6
    same = np.full((TRAIN + TEST, 3), 2, np.float16)
    loss = fit_multilabel(held_out(features=same), model).report.evaluation.score("log-loss")
    assert loss.value == pytest.approx(loss.baseline, abs=0.02)


@every_model
def test_imbalance_is_not_hidden(model: str) -> None:
    """With a label on one row in twenty no head is worse than its share by much."""
    labels = marks(TRAIN + TEST, [0.05, 0.95])
    loss = fit_multilabel(held_out(labels, spread=2.0), model).report.evaluation.score("log-loss")
    assert loss.value < loss.baseline + 0.05


@every_model
def test_foreign_features_are_refused(model: str) -> None:
    """Another dimension, or NaN, is an error at prediction."""
    head = fit_multilabel(held_out(), model).head
    with pytest.raises(IdentityMismatchError, match="dimension"):
        head.predict_proba(np.zeros((2, 11), np.float32))
    with pytest.raises(FeatureOverflowError, match="not finite"):
        head.predict_proba(np.full((2, 12), np.nan, np.float32))


def _nan() -> Problem:
    features = held_out().features.copy()
    features[17, 3] = np.nan
    return held_out(features=features)


IMPOSSIBLE: dict[str, tuple[Callable[[], Problem], str]] = {
    "unlabelled": (lambda: held_out(np.full((135, 3), 255, np.uint8)), "no row has"),
    "all the same": (lambda: held_out(np.ones((135, 3), np.uint8)), "others lack"),
    "no training rows": (lambda: held_out(split=np.full(135, 3, np.uint8)), "others lack"),
    "NaN": (_nan, "not a finite number"),
    "half a row": (lambda: held_out(np.where(LABELS == 1, 1, 255).astype(np.uint8)), "no mark"),
    "no name": (lambda: held_out(classes=("a", "b")), "no name"),
    "one group": (
        lambda: held_out(group=np.zeros(135, np.int32), groups=Strings.of(["x"])),
        "one group",
    ),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_the_impossible_is_one_clear_error(name: str) -> None:
    """Each impossible problem is one error that names what is wrong."""
    make, words = IMPOSSIBLE[name]
    with pytest.raises(UnfittableError, match=words):
        fit_multilabel(make())


def test_equal_images_count_once_and_contradictions_are_listed() -> None:
    """The same bytes under the same labels stay once, under other labels they leave."""
    images = digests(TRAIN + TEST)
    labels = LABELS.copy()
    images[1], labels[1] = images[0], labels[0]
    images[3], labels[2], labels[3] = images[2], [1, 0, 1], [0, 0, 0]
    labels[5] = 255
    with pytest.raises(UnfittableError, match="same bytes under different labels"):
        fit_multilabel(held_out(labels, digests=images))
    report = fit_multilabel(held_out(labels, digests=images), on_conflict="drop").report
    rows = report.rows
    assert (rows.unlabelled, rows.duplicates, rows.conflicting) == (1, 1, 2)
    assert rows.train == TRAIN - 4
    assert report.conflicts[0].labels == ("label 0 + label 2", "none")


def test_groups_stay_together() -> None:
    """No group is both fitted and judged, and a split by hash keeps the test side out."""
    labels = marks(2400, [0.5, 0.3])
    group = (np.arange(2400) // 3).astype(np.int32)
    data = marked(labels, group=group, groups=Strings.of(f"g{i}" for i in range(800)))
    fitted = fit_multilabel(data, values=(0.01,))
    side = fitted.rows.side
    assert fitted.report.split.source == "hash"
    assert 300 < (side == SIDE_TEST).sum() < 700
    assert all(len(set(side[group == each])) == 1 for each in range(800))


def test_rows_that_trained_the_backbone_take_no_part() -> None:
    """Its own training images are neither fitted nor judged by, and the report counts them."""
    seen = np.arange(TRAIN + TEST) < 40
    fitted = fit_multilabel(held_out(seen=seen), values=(0.1,))
    assert set(fitted.rows.side[:40]) == {SIDE_UNUSED}
    assert fitted.report.rows.train == TRAIN - 40
    assert "40 rows left out: the backbone was tuned with them" in fitted.report.notes
    with pytest.raises(UnfittableError, match="has seen these images"):
        fit_multilabel(held_out(seen=np.arange(TRAIN + TEST) < 130))


def test_auto_takes_the_lowest_loss() -> None:
    """All three models choose over the same folds, and the board is ranked by loss."""
    fitted = fit_multilabel(held_out(), "auto")
    board = fitted.report.leaderboard
    assert {each.model for each in board.contenders} == {*MULTILABEL_MODELS}
    losses = [each.loss for each in board.contenders]
    assert losses == sorted(losses)
    assert fitted.head.model == board.contenders[0].model
    alone = fit_multilabel(held_out(), fitted.head.model)
    assert alone.report.selection == fitted.report.selection


def test_out_of_fold_answers_are_scikit_learns() -> None:
    """The losses of the choice are those of one-against-the-rest fits over the same folds."""
    data = held_out()
    fitted = fit_multilabel(data, values=(0.01, 0.1, 1.0))
    x, y = data.features[:TRAIN].astype(np.float64), LABELS[:TRAIN]
    folds = stratified_folds(strata(y), np.full(TRAIN, -1, np.int32), 5, 0)
    for score in fitted.report.selection.scores:
        shares = np.empty(y.shape)
        for fold in range(5):
            rest, out = folds != fold, folds == fold
            scaler = Scaler.fit(x[rest])
            one = LogisticRegression(C=score.setting["C"], tol=1e-8, max_iter=5000)
            one_each = OneVsRestClassifier(one).fit(scaler.apply(x[rest], np.float64), y[rest])
            shares[out] = one_each.predict_proba(scaler.apply(x[out], np.float64))
        assert score.loss == pytest.approx(cell_log_loss(y == 1, shares).mean(), rel=1e-3)
