import errno
import fcntl
import os
import signal
import socket
from pathlib import Path
from typing import NoReturn

import children
import pytest

from embedcache.errors import LockedError, StorageError
from embedcache.storage.locks import exclusive

_HOLD = """
    import sys, time
    from pathlib import Path
    from embedcache.storage.locks import exclusive
    with exclusive(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
"""


def test_a_second_process_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    """The error names process and host, exits 6, and the lock is free once its holder is killed."""
    path = tmp_path / "deep" / "lock"
    with children.start(_HOLD, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as caught, exclusive(path):
            pytest.fail("two processes hold one lock")
        assert caught.value.exit_code == 6
        assert f"process {holder.pid} on {socket.gethostname()}" in str(caught.value)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with exclusive(path):
            pass


def test_a_second_attempt_in_one_process_is_refused(tmp_path: Path) -> None:
    """A process that holds the lock does not get it again."""
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(LockedError, match=str(os.getpid())),
        exclusive(tmp_path / "lock"),
    ):
        pytest.fail("the lock was given twice")


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    """An exception inside releases the lock and takes the holder's note away."""
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "lock"):
        raise ZeroDivisionError
    assert not (tmp_path / "lock.holder").exists()
    with exclusive(tmp_path / "lock"):
        assert (tmp_path / "lock.holder").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"pid": "x"}', b"\xff\xfe"])
def test_a_holder_that_cannot_be_named_is_unknown(tmp_path: Path, content: bytes) -> None:
    """A damaged note of the holder does not hide that the lock is held."""
    with exclusive(tmp_path / "lock"):
        (tmp_path / "lock.holder").write_bytes(content)
        with (
            pytest.raises(LockedError, match="an unknown process"),
            exclusive(tmp_path / "lock"),
        ):
            pytest.fail("the lock was given twice")


def test_links_planted_at_the_lock_are_not_followed(tmp_path: Path) -> None:
    """Neither the lock nor the note of its holder is written through a link."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "lock.holder").symlink_to(victim)
    with exclusive(tmp_path / "lock"):
        pass
    assert victim.read_bytes() == b"precious"
    (tmp_path / "other").symlink_to(victim)
    with pytest.raises(StorageError), exclusive(tmp_path / "other"):
        pytest.fail("a link was taken for a lock")
    assert victim.read_bytes() == b"precious"


def test_without_working_locks_everybody_goes_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without locks, as some network mounts, does not stop the work."""

    def no_locks(*_: object) -> NoReturn:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with exclusive(tmp_path / "lock"), exclusive(tmp_path / "lock"):
        pass


def test_a_full_disk_leaves_the_lock_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the holder's note cannot be written, the lock is not kept."""

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StorageError), exclusive(tmp_path / "lock"):
            pytest.fail("went ahead on a full disk")
    with exclusive(tmp_path / "lock"):
        pass
