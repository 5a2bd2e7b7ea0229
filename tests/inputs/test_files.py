"""Tests of `embedcache.inputs.files`."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import children
import pytest

from embedcache.errors import InputRejectedError
from embedcache.inputs import files
from embedcache.inputs.files import read_regular
from embedcache.records.rejects import RejectReason


def reason(path: bytes | str | Path) -> RejectReason:
    """The reason for which a path is refused."""
    with pytest.raises(InputRejectedError) as caught:
        read_regular(os.fspath(path))
    return RejectReason[caught.value.reason]


def test_regular_file(tmp_path: Path) -> None:
    """The bytes of a file come back, whether its name is text or bytes."""
    path = tmp_path / "a picture.jpg"
    path.write_bytes(b"\x00\xff" * 70_000)
    assert read_regular(str(path)) == read_regular(os.fsencode(path)) == b"\x00\xff" * 70_000


def test_undecodable_name(tmp_path: Path) -> None:
    """A name that is not UTF-8 is read, and shown with surrogate escapes when it is missing."""
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.jpg")
    assert reason(path) is RejectReason.MISSING
    Path(os.fsdecode(path)).write_bytes(b"x")
    assert read_regular(path) == b"x"


def test_empty_file(tmp_path: Path) -> None:
    """An empty file is read: that it is no image is for the decoder to say."""
    (tmp_path / "empty").write_bytes(b"")
    assert read_regular(str(tmp_path / "empty")) == b""


def test_link_to_file(tmp_path: Path) -> None:
    """A link to a regular file is followed."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(str(tmp_path / "link")) == b"content"


@pytest.mark.timeout(10)
def test_fifo(tmp_path: Path) -> None:
    """A FIFO named like an image is refused at once, instead of hanging for ever."""
    os.mkfifo(tmp_path / "a.jpg")
    assert reason(tmp_path / "a.jpg") is RejectReason.NOT_A_REGULAR_FILE


@pytest.mark.timeout(10)
def test_fifo_swapped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO that replaces the file between the look and the opening cannot hang either."""
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "file").write_bytes(b"x")
    real = os.stat(tmp_path / "file")
    monkeypatch.setattr(files.os, "stat", lambda _: real)
    assert reason(tmp_path / "a.jpg") is RejectReason.NOT_A_REGULAR_FILE


def test_directory_and_device(tmp_path: Path) -> None:
    """Folders and devices are not regular files."""
    assert reason(tmp_path) is RejectReason.NOT_A_REGULAR_FILE
    assert reason("/dev/zero") is RejectReason.NOT_A_REGULAR_FILE


def test_missing_and_dangling(tmp_path: Path) -> None:
    """A missing file and a link to nowhere are missing, and the words tell them apart."""
    assert reason(tmp_path / "no") is RejectReason.MISSING
    assert reason(tmp_path / ("n" * 300)) is RejectReason.MISSING
    assert reason(str(tmp_path / "nul\0byte")) is RejectReason.MISSING
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputRejectedError, match="link to nowhere"):
        read_regular(str(tmp_path / "link"))


def test_link_loop(tmp_path: Path) -> None:
    """Links that lead to each other are a link loop."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert reason(tmp_path / "a") is RejectReason.LINK_LOOP


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EACCES, RejectReason.PERMISSION),
        (errno.EPERM, RejectReason.PERMISSION),
        (errno.EIO, RejectReason.READ_ERROR),
        (errno.ESTALE, RejectReason.READ_ERROR),
    ],
)
def test_system_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: RejectReason
) -> None:
    """What the system says while reading becomes a reason of the environment."""
    path = tmp_path / "a"
    path.write_bytes(b"x")

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "read", fail)
    assert reason(path) is expected
    assert expected.is_environment


_REFUSED = """
    import os, sys
    import children
    from embedcache.errors import InputRejectedError
    from embedcache.inputs.files import read_regular

    children.give_up_rights()
    try:
        read_regular(os.fsencode(sys.argv[1]))
    except InputRejectedError as error:
        print(error.reason)
"""


def test_permission() -> None:
    """A file without read permission is refused for that."""
    with children.open_folder() as folder:
        path = folder / "a"
        path.write_bytes(b"x")
        path.chmod(0)
        assert children.output(_REFUSED, path) == "PERMISSION\n"


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit is refused before it is read."""
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, files.MAX_FILE_BYTES + 1)
    monkeypatch.setattr(files.os, "read", lambda *_: pytest.fail("it was read"))
    assert reason(path) is RejectReason.TOO_LARGE


@pytest.mark.parametrize("change", [b"longer than before", b"short", b"same length"])
def test_changed_while_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes) -> None:
    """A file that is overwritten while it is read is refused, even at the same length."""
    path = tmp_path / "a"
    path.write_bytes(b"same_length")
    os.utime(path, ns=(1, 1))
    read = os.read

    def read_and_change(descriptor: int, count: int) -> bytes:
        data = read(descriptor, count)
        path.write_bytes(change)
        return data

    monkeypatch.setattr(files.os, "read", read_and_change)
    assert reason(path) is RejectReason.CHANGED_WHILE_READ


def test_no_descriptor_leaks(tmp_path: Path) -> None:
    """Refusals close what they opened, from any thread."""
    os.mkfifo(tmp_path / "fifo")
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0

    def refuse() -> None:
        for _ in range(20):
            assert reason(tmp_path / "fifo") is RejectReason.NOT_A_REGULAR_FILE

    threads = [threading.Thread(target=refuse) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert after == before
