"""A cache of several feature blocks."""

from pathlib import Path

import builders
import pytest

from embedcache.store.cache import FeatureCache


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 320 bytes: ten rows of sixteen float16 features."""
    monkeypatch.setattr("embedcache.store.layout._BLOCK_BYTES", 320)


@pytest.fixture
def cache(tmp_path: Path, small_blocks: None) -> FeatureCache:
    """A cache of 45 rows in five blocks."""
    return builders.make_cache(tmp_path / "c.h5", count=45, dim=16)
