"""Red and green pictures, and roots for caches and runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from building import built_once
from lab import GREEN, RED, Lab, paint


@pytest.fixture(scope="session", autouse=True)
def one_build() -> Iterator[None]:
    """Bundled backbones are built once: what building does is tested in tests/backbones."""
    with built_once():
        yield


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Ten red and ten green pictures; nothing is cached or fitted yet."""
    photos = tmp_path / "photos"
    for index in range(10):
        paint(photos / "red" / f"{index}.png", RED, index)
        paint(photos / "green" / f"{index}.png", GREEN, 100 + index)
    return Lab(photos, tmp_path / "cache", tmp_path / "runs")
