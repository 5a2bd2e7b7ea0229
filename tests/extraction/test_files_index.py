import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedcache.extraction import files_index
from embedcache.extraction.files_index import FilesIndex, settled_stat, stat_of

_PATHS = st.binary(max_size=30).filter(lambda path: 0 not in path)
_STATS = st.tuples(
    *(st.integers(0, 2**64 - 1) for _ in range(2)),
    *(st.integers(-(2**63), 2**63 - 1) for _ in range(3)),
)
_ENTRIES = st.lists(st.tuples(_PATHS, _STATS, st.binary(min_size=32, max_size=32)), max_size=20)


def _as_dict(index: FilesIndex) -> dict[bytes, tuple[bytes, bytes]]:
    return {
        path: (index.stats[row].tobytes(), index.digests[row].tobytes())
        for row, path in enumerate(index.paths)
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_ENTRIES, max_size=4))
def test_merged_and_saved_indexes_are_as_a_dict(
    tmp_path: Path, parts: list[list[tuple[bytes, tuple[int, int, int, int, int], bytes]]]
) -> None:
    """The last entry of a path counts, and all of it survives the disk."""
    expected = {}
    for part in parts:
        expected |= _as_dict(FilesIndex.of(part))
    merged = FilesIndex.merge(map(FilesIndex.of, parts))
    assert _as_dict(merged) == expected
    merged.save(tmp_path / "index")
    assert _as_dict(FilesIndex.load(tmp_path / "index")) == expected


def _index(path: Path) -> FilesIndex:
    return FilesIndex.of([(os.fsencode(path), stat_of(os.stat(path)), b"d" * 32)])


def _knows(index: FilesIndex, *paths: Path) -> list[bool]:
    digests, known = index.known_digests(map(os.fsencode, paths), len(paths))
    assert all(digest.tobytes() == b"d" * 32 for digest in digests[known])
    assert not digests[~known].any()
    return known.tolist()


def test_an_unchanged_file_is_known(tmp_path: Path) -> None:
    """Its digest is given, and nothing is for a file that was never seen or is gone."""
    seen, unseen, gone = (tmp_path / name for name in ("seen", "unseen", "gone"))
    for path in (seen, unseen, gone):
        path.write_bytes(b"x")
    index = FilesIndex.merge([_index(seen), _index(gone)])
    gone.unlink()
    assert _knows(index, unseen, seen, gone, seen) == [False, True, False, True]
    assert _knows(FilesIndex.of([]), seen) == [False]


@pytest.mark.parametrize("how", ["content", "mode", "link", "rename over", "touch"])
def test_any_change_of_the_file_is_noticed(tmp_path: Path, how: str) -> None:
    """Size and mtime may be restored: the change time cannot."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = path.stat()
    index = _index(path)
    time.sleep(0.02)
    match how:
        case "content":
            path.write_bytes(b"new")
        case "mode":
            path.chmod(0o600)
        case "link":
            os.link(path, tmp_path / "other")
        case "rename over":
            (tmp_path / "other").write_bytes(b"new")
            os.replace(tmp_path / "other", path)
        case "touch":
            os.utime(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _knows(index, path) == [False]


@pytest.mark.parametrize("field", range(5))
def test_every_field_of_the_state_counts(tmp_path: Path, field: int) -> None:
    """Device, inode, size, mtime and ctime each tell files apart."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    index = _index(path)
    index.stats[0, field] += 1
    assert _knows(index, path) == [False]


def test_a_young_file_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within two seconds of a change a second one might not show; then it would."""
    monkeypatch.setattr(files_index, "_is_trusted", lambda _: True)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    changed = path.stat().st_ctime_ns
    for age, is_believed in [(0, False), (1.9, False), (2.1, True), (-5, False)]:
        monkeypatch.setattr(time, "time_ns", lambda age=age: changed + int(age * 1e9))
        assert (settled_stat(os.fsencode(path)) is not None) == is_believed
    os.utime(path, ns=(0, changed + 10**12))  # a mtime in the future
    monkeypatch.setattr(time, "time_ns", lambda: changed + 10**10)
    assert settled_stat(os.fsencode(path)) is None


def test_a_file_system_without_change_times_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On network and FUSE mounts every file is read."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    monkeypatch.setattr(files_index, "_YOUNG_NS", -(10**18))
    for is_trusted in (True, False):
        monkeypatch.setattr(files_index, "_is_trusted", lambda _, answer=is_trusted: answer)
        assert (settled_stat(os.fsencode(path)) is not None) == is_trusted


@pytest.mark.parametrize("path", [b"/nowhere/at/all", b"/dev/null/x", b"with\0nul", b""])
def test_what_is_no_file_has_no_state(path: bytes) -> None:
    """Reading it will say why."""
    assert settled_stat(path) is None


_MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:40 / /nfs rw - nfs4 server:/ rw
24 22 0:41 / /fuse rw - fuse.sshfs x rw
25 22 0:42 / /tmp rw shared:1 - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("device", "mounts", "expected"),
    [
        ((8, 1), _MOUNTS, True),
        ((0, 42), _MOUNTS, True),
        ((0, 40), _MOUNTS, False),
        ((0, 41), _MOUNTS, False),
        ((0, 99), _MOUNTS, False),
        ((0, 99), _MOUNTS + "26 22 0:50 / /b rw - btrfs /dev/sdb rw\n", True),
        ((8, 1), "", False),
    ],
)
def test_file_systems_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, *, device: tuple[int, int], mounts: str, expected: bool
) -> None:
    """Local file systems are believed, network and unknown ones are not."""
    monkeypatch.setattr(files_index.sys, "platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda _: mounts)
    answer = files_index._is_trusted.__wrapped__(os.makedev(*device))
    assert answer is expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[:-1],
        lambda data: data[:30],
        lambda data: data + b"x",
        lambda data: b"embedcache files index 2\n" + data[25:],
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[:-1] + bytes([data[-1] ^ 128]),
    ],
)
def test_a_damaged_index_is_empty(tmp_path: Path, damage: object) -> None:
    """Whatever is wrong with the file, it only costs reading."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    _index(path).save(tmp_path / "index")
    assert len(FilesIndex.load(tmp_path / "index")) == 1
    data = (tmp_path / "index").read_bytes()
    (tmp_path / "index").write_bytes(damage(data))  # type: ignore[operator]  # a lambda above
    assert len(FilesIndex.load(tmp_path / "index")) == 0
    assert len(FilesIndex.load(tmp_path / "missing")) == 0
    assert len(FilesIndex.load(tmp_path)) == 0


def test_an_empty_index_is_saved_and_merged(tmp_path: Path) -> None:
    """No entries are no special case."""
    FilesIndex.of([]).save(tmp_path / "index")
    loaded = FilesIndex.load(tmp_path / "index")
    assert len(FilesIndex.merge([loaded, FilesIndex.of([])])) == 0
    assert len(FilesIndex.merge([])) == 0
    assert loaded.stats.shape == (0, 5)
    assert loaded.stats.dtype == np.int64
