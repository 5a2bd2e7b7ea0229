from pathlib import Path

import pytest

from embedcache.datasets.table_errors import table_errors
from embedcache.errors import SourceError, StorageError


def test_a_table_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """Exit 2, also for a folder and below a file: the path is wrong, not the disk."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path, tmp_path / "file" / "below"):
        with pytest.raises(SourceError, match="no such table") as caught, table_errors(path):
            path.open().close()
        assert caught.value.where == str(path)


def test_what_the_system_refuses_is_its_own_matter(tmp_path: Path) -> None:
    """Exit 5."""
    with pytest.raises(StorageError, match="cannot be read"), table_errors(tmp_path):
        raise PermissionError(13, "Permission denied")
