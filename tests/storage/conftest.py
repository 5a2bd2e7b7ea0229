"""A folder that other users can reach."""

from collections.abc import Iterator
from pathlib import Path

import children
import pytest


@pytest.fixture
def shared_dir() -> Iterator[Path]:
    """Empty, and gone afterwards."""
    with children.open_folder() as path:
        yield path
