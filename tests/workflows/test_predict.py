"""New images are classified with a run, on features of its own backbone."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import IDENTITY
from fakes import FakeBackbone
from lab import GREEN, RED, Lab, paint

from embedcache.errors import CacheInvalidError, DriftError, IdentityMismatchError, UsageError
from embedcache.heads.head_record import AbstainRule
from embedcache.runs.folder import CONFIG
from embedcache.store.cache import FeatureCache
from embedcache.workflows.fit import Run, fit_head
from embedcache.workflows.predict import predict


@pytest.fixture
def run(lab: Lab) -> Run:
    """A head of red and green."""
    lab.extract()
    return lab.fit(values=(1.0,))


def test_cached_rows_are_reused(lab: Lab, run: Run) -> None:
    """Images of the cache cost no forward pass, also under other names."""
    moved = lab.photos.parent / "moved"
    shutil.copytree(lab.photos / "red", moved)
    backbone = FakeBackbone()
    found = list(lab.predictor(run, backbone).predict([lab.photos, moved]))
    assert len(found) == 30
    assert backbone.passes == 0


def test_new_images_are_embedded_and_only_they(lab: Lab, run: Run, tmp_path: Path) -> None:
    """Three new ones among cached ones cost three forward passes."""
    for seed in range(3):
        paint(lab.photos / "red" / f"new {seed}.png", GREEN, 500 + seed)
    backbone = FakeBackbone()
    found = list(lab.predictor(run, backbone).predict([lab.photos]))
    assert backbone.passes == 3
    assert len(found) == 23


def test_reused_and_embedded_rows_get_the_same_answer(lab: Lab, run: Run, tmp_path: Path) -> None:
    """A prediction does not tell whether its features were cached: both are of the stored dtype."""
    cached = lab.predictor(run, FakeBackbone()).predict([lab.photos])
    backbone = FakeBackbone()
    fresh = predict(run.path, [lab.photos], cache_dir=tmp_path / "empty", backbone=backbone)
    assert backbone.passes == 20
    for mine, theirs in zip(cached, fresh, strict=True):
        assert mine.id == theirs.id
        np.testing.assert_array_equal(mine.probabilities, theirs.probabilities)


def test_answers_are_right_and_in_order(lab: Lab, run: Run, tmp_path: Path) -> None:
    """Files keep the order and the names in which they were given."""
    paths = [
        paint(tmp_path / "b.png", GREEN, 901),
        paint(tmp_path / "a.png", RED, 902),
        paint(tmp_path / "c.png", GREEN, 903),
    ]
    found = predict(run.path, paths, cache_dir=lab.cache_dir, backbone=FakeBackbone())
    assert [os.fsdecode(item.id) for item in found] == [str(path) for path in paths]
    answers = [run.head.classes[int(item.probabilities.argmax())] for item in found]
    assert answers == ["green", "red", "green"]
    assert all(item.probabilities.sum() == pytest.approx(1) for item in found)


def test_unreadable_images_shift_nothing(lab: Lab, run: Run, tmp_path: Path) -> None:
    """A reject has no probabilities and a reason; its neighbours keep theirs."""
    folder = tmp_path / "fresh"
    paint(folder / "a.png", RED, 911)
    (folder / "b.png").write_text("no image")
    paint(folder / "c.png", GREEN, 912)
    found = list(lab.predictor(run, FakeBackbone()).predict([folder, tmp_path / "gone.png"]))
    names = [os.path.basename(os.fsdecode(item.id)) for item in found]
    assert names == ["a.png", "b.png", "c.png", "gone.png"]
    assert found[1].probabilities is None
    assert "not an image" in found[1].error
    assert "missing" in found[3].error
    answers = [run.head.classes[int(found[row].probabilities.argmax())] for row in (0, 2)]
    assert answers == ["red", "green"]


def test_manifests_are_read_too(lab: Lab, run: Run) -> None:
    """The ids are the manifest's paths."""
    table = lab.photos / "some.csv"
    table.write_text("path\nred/3.png\ngreen/4.png\n")
    found = list(lab.predictor(run, FakeBackbone()).predict([table]))
    assert [item.id for item in found] == [b"red/3.png", b"green/4.png"]


def test_drift_stops_before_any_answer(lab: Lab, run: Run) -> None:
    """A machine that computes otherwise does not feed the head."""
    other = FakeBackbone().with_numerics(device="another")
    other.drift = 0.1
    new = paint(lab.photos / "red" / "new.png", RED, 77)
    with pytest.raises(DriftError, match="has drifted"):
        list(lab.predictor(run, other).predict([new]))
    assert other.passes == 0


def test_another_machine_without_drift_is_welcome(lab: Lab, run: Run) -> None:
    """Numerics may differ as long as the golden record is reproduced."""
    other = FakeBackbone().with_numerics(device="another")
    new = paint(lab.photos / "red" / "new.png", RED, 77)
    assert len(list(lab.predictor(run, other).predict([new]))) == 1
    assert other.passes == 1


def test_another_backbone_is_refused_by_field(lab: Lab, run: Run) -> None:
    """The error names what differs."""
    other = FakeBackbone(replace(IDENTITY, interpolation="bicubic"))
    with pytest.raises(IdentityMismatchError) as caught:
        lab.predictor(run, other)
    assert caught.value.got == "interpolation: bilinear → bicubic"


def test_a_run_without_its_backbone_says_so(lab: Lab, run: Run) -> None:
    """A damaged configuration is exit code 4, not a traceback."""
    path = run.path / CONFIG
    for damage in (b"{", json.dumps({"backbones": {"a": 1}}).encode(), b'{"backbones": []}'):
        path.write_bytes(damage)
        with pytest.raises(CacheInvalidError, match="does not say how to load its backbone"):
            lab.predictor(run, FakeBackbone())


def test_a_damaged_cache_costs_forward_passes_and_no_answer(lab: Lab, run: Run) -> None:
    """Rows that cannot be believed are embedded again."""
    (cache,) = lab.cache_dir.glob("*/*.h5")
    cache.write_bytes(cache.read_bytes()[:-100])
    backbone = FakeBackbone()
    assert len(list(lab.predictor(run, backbone).predict([lab.photos]))) == 20
    assert backbone.passes == 20


@pytest.fixture
def pair() -> list[FakeBackbone]:
    """Two backbones that see different sizes."""
    return [FakeBackbone(), FakeBackbone(replace(IDENTITY, resize_to="4x4", image_size="4x4"))]


def test_several_backbones_embed_side_by_side(
    lab: Lab, pair: list[FakeBackbone], tmp_path: Path
) -> None:
    """Each looks up its own cached rows, and embeds once what it does not know."""
    caches = [lab.extract(each).cache for each in pair]
    run = fit_head(caches, values=(1.0,), runs_dir=lab.runs_dir)
    assert len(json.loads((run.path / CONFIG).read_bytes())["backbones"]) == 2
    whole = np.concatenate([FeatureCache(path).X for path in caches], axis=1)
    expected = run.head.predict_proba(whole)
    fresh = [FakeBackbone(each.identity) for each in pair]
    found = predict(run.path, [lab.photos], cache_dir=lab.cache_dir, backbone=fresh)
    assert [each.passes for each in fresh] == [0, 0]
    ids = [os.path.relpath(os.fsdecode(item.id), lab.photos) for item in found]
    order = [FeatureCache(caches[0]).ids.texts().index(name) for name in ids]
    assert np.array_equal([item.probabilities for item in found], expected[order])
    # Without the second's cache, that one embeds.
    caches[1].unlink()
    again = predict(run.path, [lab.photos], cache_dir=lab.cache_dir, backbone=fresh)
    assert [each.passes for each in fresh] == [0, 20]
    assert np.array_equal([item.probabilities for item in again], expected[order])


def test_what_one_backbone_rejects_is_rejected(
    lab: Lab, pair: list[FakeBackbone], tmp_path: Path
) -> None:
    """The other's features alone are no row, and the neighbours keep theirs."""
    run = fit_head([lab.extract(each).cache for each in pair], values=(1.0,), runs_dir=lab.runs_dir)
    new = [paint(tmp_path / f"{seed}.png", GREEN, 700 + seed) for seed in range(2)]
    new.insert(1, tmp_path / "bad.png")
    new[1].write_text("no image")
    fresh = [FakeBackbone(pair[0].identity), FakeBackbone(pair[1].identity, spoil=float("nan"))]
    found = predict(run.path, new, cache_dir=lab.cache_dir, backbone=fresh)
    assert [item.probabilities is None for item in found] == [True, True, True]
    assert "not finite" in found[0].error
    assert "not an image" in found[1].error
    fresh[1].spoil = None
    found = predict(run.path, new, cache_dir=lab.cache_dir, backbone=fresh)
    assert [item.probabilities is None for item in found] == [False, True, False]


def test_a_file_that_changes_between_two_backbones_is_rejected(
    lab: Lab, pair: list[FakeBackbone], tmp_path: Path
) -> None:
    """A row is of one image, never half of one and half of another."""
    run = fit_head([lab.extract(each).cache for each in pair], values=(1.0,), runs_dir=lab.runs_dir)
    path = paint(tmp_path / "a.png", GREEN, 801)
    first = FakeBackbone(pair[0].identity)
    first.before_batch = lambda _: paint(path, RED, 802)
    backbones = [first, FakeBackbone(pair[1].identity)]
    (found,) = predict(run.path, [path], cache_dir=lab.cache_dir, backbone=backbones)
    assert found.probabilities is None
    assert "changed while read" in found.error


def test_backbones_must_be_the_runs_in_its_order(lab: Lab, pair: list[FakeBackbone]) -> None:
    """One too few, or another order, is refused by name."""
    run = fit_head([lab.extract(each).cache for each in pair], values=(1.0,), runs_dir=lab.runs_dir)
    with pytest.raises(IdentityMismatchError, match="another number"):
        predict(run.path, [lab.photos], cache_dir=lab.cache_dir, backbone=pair[0])
    with pytest.raises(IdentityMismatchError, match="not of the backbone"):
        predict(run.path, [lab.photos], cache_dir=lab.cache_dir, backbone=pair[::-1])


def test_unsure_images_get_no_answer(lab: Lab, run: Run, tmp_path: Path) -> None:
    """A head with a rule marks what is below its threshold; one without marks nothing."""
    grey = paint(tmp_path / "grey.png", (120, 120, 40), 951)
    red = paint(tmp_path / "red.png", RED, 952)
    plain = list(lab.predictor(run, FakeBackbone()).predict([grey, red]))
    assert not any(item.abstained for item in plain)
    sure = [float(item.probabilities.max()) for item in plain]
    assert sure[0] < sure[1]
    rule = AbstainRule(0.95, sum(sure) / 2)
    replace(run.head, abstain=rule).save(run.path)
    careful = list(lab.predictor(run, FakeBackbone()).predict([grey, red]))
    assert [item.abstained for item in careful] == [True, False]
    np.testing.assert_array_equal(careful[0].probabilities, plain[0].probabilities)


def test_a_backbone_that_was_in_memory_must_be_given_again(lab: Lab, run: Run) -> None:
    """The run cannot say how to load it."""
    with pytest.raises(UsageError, match="given from Python"):
        predict(run.path, [lab.photos], cache_dir=lab.cache_dir)
