"""Fixtures: a folder of empty files, a table beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Create empty files by relative name below one folder, which is returned."""

    def create(*names: str | bytes) -> Path:
        root = tmp_path / "data"
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / os.fsdecode(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return create


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a table of these bytes, and empty files a.jpg to d.jpg beside it."""

    def create(content: bytes | str, name: str = "m.csv", files: Iterable[str] = "abcd") -> Path:
        for file in files:
            (tmp_path / f"{file}.jpg").touch()
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return create
