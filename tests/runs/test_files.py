"""Reading files that may come from anybody."""

import os
from pathlib import Path

import children
import pytest

from embedcache.errors import CacheInvalidError
from embedcache.runs.files import read_regular


def test_regular_files_are_read(tmp_path: Path) -> None:
    """A file of up to the limit comes back whole."""
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", 5) == b"12345"


def test_everything_else_is_refused(tmp_path: Path) -> None:
    """Missing, linked, too large, a folder, a pipe: refused without reading or waiting."""
    (tmp_path / "large").write_bytes(b"123456")
    (tmp_path / "link").symlink_to(tmp_path / "large")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "large", "link", "dangling", "folder", "pipe"):
        with pytest.raises(CacheInvalidError) as caught:
            read_regular(tmp_path / name, 5)
        assert name in str(caught.value)


_REFUSED = """
    import sys
    from pathlib import Path
    import children
    from embedcache.errors import StorageError
    from embedcache.runs.files import read_regular

    children.give_up_rights()
    try:
        read_regular(Path(sys.argv[1]), 5)
    except StorageError as error:
        print(error.exit_code)
"""


def test_no_permission_is_a_storage_error() -> None:
    """A file that the system refuses to open is exit code 5."""
    with children.open_folder() as folder:
        (folder / "a").write_bytes(b"1")
        (folder / "a").chmod(0)
        assert children.output(_REFUSED, folder / "a") == "5\n"
