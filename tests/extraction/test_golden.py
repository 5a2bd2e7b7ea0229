"""Rows of two environments meet in one cache only if the golden record is reproduced."""

import dataclasses
from pathlib import Path

import builders
import pytest
from bench import Bench, add_photos
from fakes import FakeBackbone

from embedcache.errors import CacheInvalidError, DriftError
from embedcache.extraction.golden import GoldenClaim, GoldenKeeper
from embedcache.extraction.source import BackboneSource
from embedcache.records.identity import Numerics
from embedcache.store.cache import FeatureCache

_OTHERS = {
    "device": "another",
    "engine": "folded",
    "memory_format": "channels_last",
    "batch_size": 5,
    "torch": "9.9",
    "library": "fake 2",
    "codec": "pillow 99",
}


class _Checks:
    """Counts golden checks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from embedcache.backbones import golden_record

        self.count = 0
        real = golden_record.check_golden

        def counted(*arguments: object) -> None:
            self.count += 1
            real(*arguments)  # type: ignore[arg-type]  # handed through

        monkeypatch.setattr(golden_record, "check_golden", counted)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> _Checks:
    """Golden checks, counted."""
    return _Checks(monkeypatch)


def _elsewhere(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Go on in an environment that has other versions."""
    from embedcache.extraction.environment import environment

    here = environment() | changes
    for module in ("extract", "golden"):
        monkeypatch.setattr(f"embedcache.extraction.{module}.environment", lambda: here)


def test_every_field_of_the_numerics_is_tried() -> None:
    """The changes leave no field out."""
    assert set(_OTHERS) == {field.name for field in dataclasses.fields(Numerics)}


@pytest.mark.parametrize("name", _OTHERS)
def test_other_numerics_fill_the_same_cache(bench: Bench, checks: _Checks, name: str) -> None:
    """How rows are computed is recorded with each; a new way is checked once, a batch size not."""
    first = bench.extract()
    add_photos(bench.photos / "class1", 3)
    backbone = FakeBackbone().with_numerics(**{name: _OTHERS[name]})
    result = bench.extract(backbone=backbone)
    assert (result.cache, result.embedded) == (first.cache, 3)
    assert checks.count == (name != "batch_size")
    cache = FeatureCache(result.cache)
    assert cache.meta.numerics == (builders.NUMERICS, backbone.numerics)
    assert cache.tables.numerics.sum() == 3
    bench.extract(backbone=FakeBackbone(numerics=backbone.numerics))
    assert checks.count == (name != "batch_size"), "a check that has passed is remembered"


def test_drift_on_another_device_stops(bench: Bench) -> None:
    """The error says what drifted and how to embed again; the cache stays as it was."""
    first = bench.extract()
    before = first.cache.read_bytes()
    add_photos(bench.photos / "class1", 3)
    drifted = FakeBackbone().with_numerics(device="another")
    drifted.drift = 0.01
    with pytest.raises(DriftError, match="drifted") as caught:
        bench.extract(backbone=drifted)
    assert caught.value.exit_code == 4
    assert "--overwrite" in str(caught.value)
    assert drifted.passes == 0
    assert first.cache.read_bytes() == before


def test_another_environment_is_checked_before_reuse(
    bench: Bench, checks: _Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nothing is to be embedded, other versions have to reproduce the record, once."""
    bench.extract()
    _elsewhere(monkeypatch, pillow="99")
    for _ in range(2):
        assert bench.extract().embedded == 0
        assert checks.count == 1


def test_drift_in_another_environment_stops_reuse(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drifted environment neither reuses nor publishes, until it embeds all again."""
    bench.extract()
    _elsewhere(monkeypatch, pillow="99")
    for _ in range(2):
        with pytest.raises(DriftError):
            bench.extract(backbone=FakeBackbone(drift=0.01))
    with pytest.raises(AssertionError):  # its features are other than the image's
        bench.extract(backbone=FakeBackbone(drift=0.01), overwrite=True)
    (cache,) = map(FeatureCache, bench.published())
    assert cache.meta.environment["pillow"] == "99"
    with pytest.raises(AssertionError):
        bench.extract(backbone=FakeBackbone(drift=0.01))
    assert bench.backbone.passes == 0


def test_a_little_rounding_is_no_drift(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another machine may round otherwise goes into the same cache."""
    bench.extract()
    _elsewhere(monkeypatch, machine="other")
    assert bench.extract(backbone=FakeBackbone(drift=1e-6)).embedded == 0


def test_the_record_stays_with_the_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An updated cache keeps its first record: drift cannot creep in step by step."""
    first = FeatureCache(bench.extract().cache)
    for step in range(1, 3):
        _elsewhere(monkeypatch, machine=f"other {step}")
        add_photos(bench.photos / "class1", 1, seed=70_000 + step)
        result = bench.extract()
        assert result.embedded == 1
        assert FeatureCache(result.cache).meta.golden == first.meta.golden


def _keeper(bench: Bench, record: dict[str, object]) -> GoldenKeeper:
    source = BackboneSource(FakeBackbone(), index_dir=bench.root / ".index")
    claim = GoldenClaim(record, {"python": "2"}, ())
    return GoldenKeeper(source, [claim], bench.root / ".index")


@pytest.mark.parametrize("record", [{"a": 1}, {"digest": "0"}])
def test_a_forged_record_is_an_invalid_cache(bench: Bench, record: dict[str, object]) -> None:
    """A record that is none is an error with exit 4, not a traceback."""
    with pytest.raises(CacheInvalidError, match="golden record") as caught:
        _keeper(bench, record).check_before_reuse()
    assert caught.value.exit_code == 4


def test_without_a_record_there_is_nothing_to_check(bench: Bench) -> None:
    """Features that were imported without a backbone carry no record."""
    _keeper(bench, {}).check_before_reuse()
    assert not (bench.root / ".index").exists()


def test_a_claim_survives_json() -> None:
    """A run keeps the claim of its cache."""
    claim = GoldenClaim({"a": 1}, {"python": "3"}, (builders.NUMERICS,))
    assert GoldenClaim.from_json(claim.to_json()) == claim


@pytest.mark.parametrize(
    "value", [{}, {"record": {}, "environment": {}, "numerics": [5]}, {"record": {}, "x": 1}]
)
def test_what_is_no_claim_is_refused(value: dict[str, object]) -> None:
    """Only exactly the own fields are taken."""
    with pytest.raises(ValueError, match="not a golden claim"):
        GoldenClaim.from_json(value)


def test_the_claim_of_a_cache(tmp_path: Path) -> None:
    """Record, environment and numerics come from the file."""
    cache = builders.make_cache(tmp_path / "c.h5")
    assert GoldenClaim.of(cache) == GoldenClaim({}, {"python": "3"}, (builders.NUMERICS,))
