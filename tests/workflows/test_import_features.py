"""Features that were made elsewhere become a cache for heads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from builders import IDENTITY
from numpy.typing import NDArray

from embedcache.errors import (
    FeatureOverflowError,
    IdentityMismatchError,
    RejectedInputsError,
    ShrinkError,
    UsageError,
)
from embedcache.records.imported import imported_identity
from embedcache.store.cache import FeatureCache
from embedcache.workflows.fit import Run, fit_head
from embedcache.workflows.import_features import ImportResult, import_features
from embedcache.workflows.predict import predict
from embedcache.workflows.repair import repair
from embedcache.workflows.verify import verify


@dataclass
class Desk:
    """A file of features, its labels, and where cache and runs go."""

    folder: Path
    features: NDArray[np.float32]

    @property
    def file(self) -> Path:
        return self.folder / "features.npy"

    def write(self, features: NDArray[np.floating], labels: int | None = None) -> None:
        np.save(self.file, features)
        lines = [f"picture {row},{'ab'[row % 2]}" for row in range(labels or len(features))]
        (self.folder / "labels.csv").write_text("\n".join(["id,label", *lines]))

    def imported(self, name: str = "dino", **options: object) -> ImportResult:
        return import_features(
            self.file,
            name,
            labels=self.folder / "labels.csv",
            cache_dir=self.folder / "cache",
            **options,
        )

    def fit(self) -> Run:
        return fit_head(self.imported().cache, runs_dir=self.folder / "runs", values=(1.0,))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Forty rows of two classes that a line separates."""
    features = np.random.default_rng(0).standard_normal((40, 5)).astype("f4")
    features[::2, 0] += 6
    desk = Desk(tmp_path, features)
    desk.write(features)
    return desk


def test_the_cache_has_rows_labels_and_ids(desk: Desk) -> None:
    """As an extraction's has them."""
    result = desk.imported()
    cache = FeatureCache(result.cache)
    np.testing.assert_array_equal(cache.X, desk.features.astype("f2"))
    assert cache.classes == ("a", "b")
    assert cache.y.tolist() == [0, 1] * 20
    assert cache.ids.text(3) == "picture 3"
    assert cache.identity == imported_identity("dino", "float16")
    assert (result.rows, result.dim, result.rejected, result.changed) == (40, 5, 0, True)


def test_the_same_again_changes_nothing(desk: Desk) -> None:
    """And other labels are taken over."""
    path = desk.imported().cache
    before = path.read_bytes()
    assert not desk.imported().changed
    assert path.read_bytes() == before
    labels = desk.folder / "labels.csv"
    labels.write_text(labels.read_text().replace(",a", ",c"))
    assert desk.imported().changed
    assert FeatureCache(path).classes == ("b", "c")


def test_a_damaged_cache_is_made_again(desk: Desk) -> None:
    """From the file, whatever was damaged."""
    path = desk.imported().cache
    whole = FeatureCache(path).content_digest
    for place in (path.stat().st_size // 2, 0):
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
        desk.imported()
        assert FeatureCache(path).content_digest == whole


def test_rows_that_are_not_finite_are_rejects(desk: Desk) -> None:
    """Recorded with their ids; the others keep their places."""
    desk.features[4, 2] = np.nan
    desk.write(desk.features)
    result = desk.imported()
    cache = FeatureCache(result.cache)
    assert (result.rows, result.rejected) == (39, 1)
    assert cache.ids.text(4) == "picture 5"
    np.testing.assert_array_equal(cache.X[4], desk.features[5].astype("f2"))
    assert cache.rejects[0].id == b"picture 4"
    assert "row 4" in cache.rejects[0].detail


def test_nothing_is_published_of_what_does_not_fit(desk: Desk) -> None:
    """Overflow, and files without a finite row."""
    desk.write(desk.features * 1e5)
    with pytest.raises(FeatureOverflowError):
        desk.imported()
    desk.write(np.full((3, 2), np.nan))
    with pytest.raises(RejectedInputsError):
        desk.imported()
    assert not list(desk.folder.glob("cache/*/*.h5"))


def test_losing_rows_needs_leave(desk: Desk) -> None:
    """A smaller file under the same name may be the wrong one."""
    desk.imported()
    desk.write(desk.features[:20])
    with pytest.raises(ShrinkError):
        desk.imported()
    assert desk.imported(prune=True).rows == 20


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_the_backbone_needs_a_name(name: str, desk: Desk) -> None:
    """One that a person can read."""
    with pytest.raises(UsageError, match="does not name a backbone"):
        desk.imported(name)


def test_a_head_takes_new_rows_of_the_same_backbone_and_no_other(desk: Desk) -> None:
    """As far as their owner names it."""
    head = desk.fit().head
    desk.write(desk.features[::-1])
    head.check_identity(FeatureCache(desk.imported(name="dino").cache).identity)
    for identity in (FeatureCache(desk.imported(name="clip").cache).identity, IDENTITY):
        with pytest.raises(IdentityMismatchError):
            head.check_identity(identity)


def test_new_features_are_classified_as_cached_ones(desk: Desk) -> None:
    """Bit-equal; rows that are not finite are named."""
    run = desk.fit()
    expected = run.head.predict_proba(desk.features.astype("f2"))
    fresh = desk.features.copy()
    fresh[7] = np.inf
    path = desk.folder / "fresh.npy"
    np.save(path, fresh)
    found = predict(run.path, [path])
    assert [each.id for each in found][:2] == [f"{path}:0".encode(), f"{path}:1".encode()]
    assert found[7].probabilities is None
    assert "not finite" in found[7].error
    kept = [each.probabilities for each in found if each.probabilities is not None]
    np.testing.assert_array_equal(kept, np.delete(expected, 7, axis=0))


def test_images_and_other_dimensions_are_refused(desk: Desk) -> None:
    """A head of imported features has no backbone to embed with."""
    run = desk.fit()
    with pytest.raises(UsageError, match="imported features"):
        predict(run.path, [desk.folder / "photo.png"])
    np.save(desk.folder / "wide.npy", np.zeros((2, 6)))
    with pytest.raises(IdentityMismatchError, match="dimension"):
        predict(run.path, [desk.folder / "wide.npy"])


def test_verify_says_what_it_cannot_recheck(desk: Desk) -> None:
    """Sums are checked; rows have no backbone, and so damage no repair."""
    path = desk.imported().cache
    report = verify(path)
    assert report.is_sound
    assert report.recomputed == 0
    assert "imported" in report.notes[0]
    data = bytearray(path.read_bytes())
    at = data.index(desk.features.astype("f2").tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert not verify(path).is_sound
    with pytest.raises(UsageError, match="imported") as error:
        repair(path)
    assert f"embedcache import {desk.file}" in str(error.value)


def test_the_report_says_how_to_repeat_it(desk: Desk) -> None:
    """With the import instead of an extraction."""
    text = (desk.fit().path / "report.html").read_text()
    assert f"embedcache import {desk.file} --backbone-name dino --labels" in text


def test_rows_join_other_caches_by_the_digest_of_the_image(desk: Desk) -> None:
    """Where a column says it, features of the same images stand side by side."""
    digests = np.random.default_rng(1).integers(0, 256, (40, 32), np.uint8)
    lines = [f"{row},{'ab'[row % 2]},{digests[row].tobytes().hex()}" for row in range(40)]
    (desk.folder / "labels.csv").write_text("\n".join(["id,label,sha256", *lines]))
    columns = {"digest_column": "sha256"}
    caches = [desk.imported(name, columns=columns).cache for name in ("dino", "clip")]
    run = fit_head(caches, runs_dir=desk.folder / "runs", values=(1.0,))
    assert run.head.dim == 10
    with pytest.raises(UsageError, match="imported features beside others"):
        predict(run.path, [desk.folder / "features.npy"])
