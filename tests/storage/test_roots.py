from pathlib import Path

import pytest

from embedcache.errors import UsageError
from embedcache.runs.folder import runs_root
from embedcache.storage.roots import root_folder
from embedcache.store.catalog import cache_root


def test_a_root_is_a_folder_or_not_there_yet(tmp_path: Path) -> None:
    """Both are given back as they are."""
    assert root_folder(tmp_path, "caches") == tmp_path
    assert root_folder(tmp_path / "later", "caches") == tmp_path / "later"


@pytest.mark.parametrize("root", [cache_root, runs_root])
def test_a_file_is_no_root(tmp_path: Path, root: object) -> None:
    """Neither by the command line nor from Python."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match="a file stands where the folder of") as caught:
        root(file)  # type: ignore[operator]
    assert caught.value.where == str(file)
