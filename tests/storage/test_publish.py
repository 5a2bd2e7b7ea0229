import errno
import os
import secrets
from pathlib import Path
from typing import NoReturn

import children
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedcache.errors import StorageError
from embedcache.storage.publish import (
    check_free_space,
    human_bytes,
    is_temporary,
    make_dir,
    storage_errors,
    temporary_path,
    write_atomic,
)

_KILLED_BEFORE_RENAME = """
    import os, signal, sys
    from pathlib import Path
    from embedcache.storage.publish import write_atomic
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    write_atomic(Path(sys.argv[1]), b"new")
"""

_LIMITED = """
    import resource, sys
    from pathlib import Path
    from embedcache.errors import StorageError
    from embedcache.storage.publish import write_atomic
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_atomic(Path(sys.argv[1]), bytes(5000))
    except StorageError as error:
        print(error)
        sys.exit(error.exit_code)
"""

_READ_ONLY = """
    import sys
    from pathlib import Path
    import children
    from embedcache.errors import StorageError
    from embedcache.storage import publish
    children.give_up_rights()
    for action in (
        lambda folder: publish.write_atomic(folder / "file", b"new"),
        lambda folder: publish.make_dir(folder),
        lambda folder: publish.make_dir(folder / "below"),
    ):
        try:
            action(Path(sys.argv[1]))
        except StorageError as error:
            print(error.exit_code, error.where, error.hint is not None)
"""


def test_new_content_replaces_old(tmp_path: Path) -> None:
    """A file gets its content whole and nothing is left beside it."""
    write_atomic(tmp_path / "file", b"old")
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_keeps_the_old_file(tmp_path: Path) -> None:
    """Whoever has the old file open goes on reading it."""
    write_atomic(tmp_path / "file", b"old")
    with open(tmp_path / "file", "rb") as reader:
        write_atomic(tmp_path / "file", b"new")
        assert reader.read() == b"old"


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    """What a killed writer leaves is known as temporary, with its process in the name."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    assert children.run(_KILLED_BEFORE_RENAME, path).returncode == -9
    assert path.read_bytes() == b"old"
    (left,) = [item for item in tmp_path.iterdir() if item != path]
    assert is_temporary(left)
    assert not is_temporary(path)


def test_a_file_size_limit_is_an_error_with_a_message(tmp_path: Path) -> None:
    """The error exits 5 and names the file, what is needed and what is free; nothing is left."""
    done = children.run(_LIMITED, tmp_path / "file")
    assert done.returncode == 5, done.stderr
    assert str(tmp_path / "file") in done.stdout
    assert "5.0 kB needed" in done.stdout
    assert "free" in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    """Wherever the system fails, the old file stands alone and the error names it."""

    def fail(*_: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StorageError) as caught:
        write_atomic(path, b"new")
    assert caught.value.exit_code == 5
    assert caught.value.where == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("target", ["victim", "nowhere"])
def test_a_link_planted_at_the_temporary_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """Nothing is written through a link, whether it leads to a file or nowhere."""
    monkeypatch.setattr(secrets, "token_hex", lambda _: "guessed")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    temporary_path(tmp_path / "file").symlink_to(tmp_path / target)
    with pytest.raises(StorageError):
        write_atomic(tmp_path / "file", b"new")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "file").exists()


def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """A link that carries the target's name gives way to the file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "file").symlink_to(victim)
    write_atomic(tmp_path / "file", b"new")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "file").is_symlink()


def test_a_read_only_folder_is_refused(shared_dir: Path) -> None:
    """Without permission, writing and creating folders are storage errors with a hint."""
    shared_dir.chmod(0o555)
    lines = children.output(_READ_ONLY, shared_dir).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"5 {shared_dir}") and line.endswith("True") for line in lines)
    assert os.listdir(shared_dir) == []


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder cannot be made where a file is."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        make_dir(tmp_path / "file")
    with pytest.raises(StorageError):
        make_dir(tmp_path / "file" / "below")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name)))
def test_every_file_name_can_be_published(tmp_path: Path, name: bytes) -> None:
    """Names of up to 255 bytes of any kind, UTF-8 or not, leave room for the temporary name."""
    if name in (b".", b".."):
        return
    path = tmp_path / os.fsdecode(name)
    write_atomic(path, name)
    assert path.read_bytes() == name
    assert os.listdir(tmp_path) == [os.fsdecode(name)]
    path.unlink()


def test_too_little_space_is_refused_before_writing(tmp_path: Path) -> None:
    """The check names the folder, what is free and what would be needed."""
    check_free_space(tmp_path, 1)
    with pytest.raises(StorageError, match=r"1000\.0 TB needed") as caught:
        check_free_space(tmp_path, 10**15)
    assert caught.value.where == str(tmp_path)
    assert "free" in str(caught.value)


def test_only_errors_of_the_system_are_translated(tmp_path: Path) -> None:
    """A mistake in the code does not pass for a problem of the disk."""
    with pytest.raises(KeyError), storage_errors(tmp_path):
        raise KeyError


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (4e11, "400.0 GB")],
)
def test_bytes_in_words(count: float, text: str) -> None:
    """Sizes are told in decimal units with one digit after the point."""
    assert human_bytes(count) == text


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Not the temporary name within it."""
    with pytest.raises(StorageError, match="no such folder") as caught:
        write_atomic(tmp_path / "none" / "x.bin", b"x")
    assert caught.value.where == str(tmp_path / "none")
