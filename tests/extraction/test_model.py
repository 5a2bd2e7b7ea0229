"""One model to test them all: whatever happens, the cache says what a dict says, or an error."""

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import hostile
import numpy as np
import pytest
from bench import Bench
from builders import png
from fakes import FakeBackbone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)
from numpy.typing import NDArray

from embedcache.errors import (
    CacheError,
    CacheInvalidError,
    EmbedcacheError,
    RejectedInputsError,
    ShrinkError,
    SourceError,
    StorageError,
    UnfittableError,
)
from embedcache.store import writer
from embedcache.store.cache import FeatureCache
from embedcache.workflows.fit import fit_head, load_head
from embedcache.workflows.predict import predict
from embedcache.workflows.repair import repair
from embedcache.workflows.verify import verify

_CLASSES = st.sampled_from(["class0", "class1", "class2"])
_SEEDS = st.integers(0, 40)
_FEATURES = np.random.default_rng(0).random((5, 6)).astype(np.float16)


class CacheModel(RuleBasedStateMachine):
    """A folder of images, its cache, and what the cache has to say."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in {
            "embedcache.extraction.plan._LEAST_ROWS": 8,
            "embedcache.store.layout._BLOCK_BYTES": 48,
            "embedcache.extraction.files_index._YOUNG_NS": -(10**18),
            "embedcache.extraction.files_index._is_trusted": lambda _: True,
        }.items():
            self.patch.setattr(name, value)
        self.folder = Path(tempfile.mkdtemp())
        self.bench = Bench(self.folder / "photos", self.folder / "cache")
        self.bench.photos.mkdir()
        self.files: dict[str, bytes] = {}
        self.published: dict[str, bytes] | None = None
        self.is_damaged = False
        self.count = 0
        self.runs: dict[Path, NDArray[np.float64]] = {}

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    # -- the folder ----------------------------------------------------------------

    def _write(self, name: str, data: bytes) -> str:
        path = self.bench.photos / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        self.files[name] = data
        return name

    def _new_name(self, label: str) -> str:
        self.count += 1
        return f"{label}/{self.count}.png"

    @initialize(target=names)
    def begin(self) -> object:
        """Enough of two classes for a head."""
        labels = ["class0", "class1"] * 5
        return multiple(*[self._write(self._new_name(x), png(i)) for i, x in enumerate(labels)])

    @rule(target=names, label=_CLASSES, seeds=st.lists(_SEEDS, max_size=12))
    def add(self, label: str, seeds: list[int]) -> object:
        return multiple(*[self._write(self._new_name(label), png(seed)) for seed in seeds])

    @rule(target=names, label=_CLASSES, text=st.binary(max_size=3))
    def add_what_is_no_image(self, label: str, text: bytes) -> str:
        return self._write(self._new_name(label), text)

    @rule(name=names, seed=_SEEDS)
    def edit(self, name: str, seed: int) -> None:
        self._write(name, png(seed))

    @rule(name=consumes(names))
    def delete(self, name: str) -> None:
        (self.bench.photos / name).unlink()
        del self.files[name]

    @rule(target=names, name=consumes(names), label=_CLASSES)
    def rename(self, name: str, label: str) -> str:
        data = self.files[name]
        new = self._new_name(label)
        (self.bench.photos / label).mkdir(exist_ok=True)
        (self.bench.photos / name).rename(self.bench.photos / new)
        del self.files[name]
        self.files[new] = data
        return new

    # -- the cache -----------------------------------------------------------------

    def _good(self) -> dict[str, bytes]:
        return {name: data for name, data in self.files.items() if data.startswith(b"\x89PNG")}

    def _digests(self, files: dict[str, bytes]) -> set[bytes]:
        return {hashlib.sha256(data).digest() for data in files.values()}

    def _expected_error(self, error: EmbedcacheError, *, prune: bool) -> bool:
        """Whether the state of things explains the error."""
        good, published = self._good(), self.published or {}
        match error:
            case SourceError():
                return not self.files
            case ShrinkError():
                # An image that was edited and renamed is a loss and a new one.
                # Names may be blank where damaged tables are made again.
                named = set() if self.is_damaged else good.keys()
                stays = [n for n, data in published.items() if n in named or data in good.values()]
                return not prune and min(len(good), len(stays)) < 0.9 * len(published)
            case RejectedInputsError():
                return not good
            case CacheInvalidError():
                return self.is_damaged
        return False

    @rule(prune=st.booleans(), checksum=st.booleans(), overwrite=st.booleans())
    def extract(self, *, prune: bool, checksum: bool, overwrite: bool) -> None:
        is_clean = not self.is_damaged and not self.bench.works() and not overwrite
        try:
            result = self.bench.extract(prune=prune, checksum=checksum, overwrite=overwrite)
        except EmbedcacheError as error:
            assert self._expected_error(error, prune=prune), error  # noqa: PT017  # one of several
            return
        good = self._good()
        assert result.rejected == len(self.files) - len(good)
        assert set(FeatureCache(result.cache).ids.texts()) == set(good)
        assert self.bench.backbone.passes <= len(self._digests(good))
        if is_clean:
            new = self._digests(good) - self._digests(self.published or {})
            assert self.bench.backbone.passes == len(new)
        self.published, self.is_damaged = good, False

    @rule(batch=st.integers(0, 4), overwrite=st.booleans())
    def interrupt(self, batch: int, *, overwrite: bool) -> None:
        def stop(batches: int) -> None:
            if batches == batch:
                raise KeyboardInterrupt

        self._try(FakeBackbone(before_batch=stop), overwrite=overwrite)

    @rule(room=st.integers(0, 3))
    def fill_the_disk(self, room: int) -> None:
        allocate, left = writer._allocate, room

        def full(descriptor: int, size: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            allocate(descriptor, size)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(writer, "_allocate", full)
            self._try(FakeBackbone(), overwrite=False)

    def _try(self, backbone: FakeBackbone, *, overwrite: bool) -> None:
        """Extract where it may well fail; if it does not, it has to be right."""
        try:
            self.bench.extract(backbone=backbone, overwrite=overwrite, prune=True)
        except (KeyboardInterrupt, StorageError):
            return
        except EmbedcacheError as error:
            assert self._expected_error(error, prune=True), error  # noqa: PT017  # one of several
            return
        self.published, self.is_damaged = self._good(), False

    @rule(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
    def flip_a_bit(self, where: float, bit: int) -> None:
        for path in self.bench.published():
            hostile.flip(path, int(where * path.stat().st_size), 1 << bit)
            self.is_damaged = True

    @rule(row=st.integers(0, 100))
    def flip_a_feature(self, row: int) -> None:
        if self.published and not self.is_damaged:
            (path,) = self.bench.published()
            hostile.flip_feature(path, row % len(self.published))
            self.is_damaged = True

    @rule(where=st.floats(0, 1, exclude_max=True))
    def flip_a_bit_of_unfinished_work(self, where: float) -> None:
        for work in self.bench.works():
            for path in sorted(work.iterdir()):
                if path.stat().st_size:
                    hostile.flip(path, int(where * path.stat().st_size))

    @rule()
    def repair(self) -> None:
        for path in self.bench.published():
            with contextlib.suppress(CacheInvalidError):  # images may be gone
                repair(path, backbone=FakeBackbone())

    @rule(seed=st.integers(0, 3))
    def verify(self, seed: int) -> None:
        for path in self.bench.published():
            try:
                report = verify(path, rows=2, seed=seed, backbone=FakeBackbone())
            except CacheError:
                assert self.is_damaged
                continue
            # An image that was edited since is no fault of the cache; a flip may hit padding.
            assert report.is_sound or self.is_damaged
            assert not report.wrong

    # -- heads ---------------------------------------------------------------------

    @rule()
    def fit(self) -> None:
        for path in self.bench.published():
            try:
                run = fit_head(path, model="ncm", on_conflict="drop", runs_dir=self.folder / "runs")
            except CacheError:
                assert self.is_damaged
            except UnfittableError:
                pass  # too few rows or classes
            else:
                self.runs[run.path] = run.head.predict_proba(_FEATURES)

    @rule(run=st.integers(0, 100))
    def predict(self, run: int) -> None:
        if not self.runs or not self.files:
            return
        path = list(self.runs)[run % len(self.runs)]
        names = sorted(self.files)
        where = [self.bench.photos / name for name in names]
        answers = predict(path, where, cache_dir=self.bench.root, backbone=FakeBackbone())
        head, good = load_head(path), self._good()
        for name, answer in zip(names, answers, strict=True):
            assert (answer.probabilities is not None) == (name in good)
            if answer.probabilities is not None:
                features = FakeBackbone().features_of(good[name]).astype(np.float16)[None]
                np.testing.assert_array_equal(answer.probabilities, head.predict_proba(features)[0])

    @invariant()
    def runs_stay_as_they_were(self) -> None:
        for path, expected in self.runs.items():
            np.testing.assert_array_equal(load_head(path).predict_proba(_FEATURES), expected)

    @invariant()
    def the_cache_says_what_was_published_or_nothing(self) -> None:
        paths = self.bench.published()
        assert len(paths) == (self.published is not None)
        for path in paths:
            try:
                cache = FeatureCache(path)
                features = cache.X
            except CacheError:
                assert self.is_damaged
                continue
            assert self.published is not None
            assert sorted(cache.ids.texts()) == sorted(self.published)
            for row, name in enumerate(cache.ids.texts()):
                data = self.published[name]
                assert cache.sha256[row].tobytes() == hashlib.sha256(data).digest()
                assert cache.classes[cache.y[row]] == name.partition("/")[0]
                expected = FakeBackbone().features_of(data).astype(np.float16)
                np.testing.assert_array_equal(features[row], expected)


_QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}

TestCacheModel = CacheModel.TestCase
TestCacheModel.settings = settings(max_examples=8, stateful_step_count=15, **_QUIET)


class ThoroughModel(CacheModel):
    """The same, for longer; `EMBEDCACHE_MODEL_EXAMPLES` says for how much longer."""


_MANY = int(os.environ.get("EMBEDCACHE_MODEL_EXAMPLES", "200"))

TestThoroughModel = pytest.mark.slow(pytest.mark.timeout(7200)(ThoroughModel.TestCase))
TestThoroughModel.settings = settings(max_examples=_MANY, stateful_step_count=40, **_QUIET)
