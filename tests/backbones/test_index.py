"""Tests of `embedcache.backbones.index` and `embedcache.backbones.weight_file`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from builders import IDENTITY

from embedcache.backbones import index
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.index import remember_spec, resolve_spec
from embedcache.backbones.weight_file import WeightFile, file_state
from embedcache.records.backbone import BackboneSpec

SPEC = BackboneSpec("timm/fake.tag", IDENTITY, 7, 100, "mit")
REQUEST = BackboneRequest("timm/fake")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weight file."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    return path


def settled(path: Path) -> WeightFile:
    """The file, as if it had been looked at long after it was written."""
    file = WeightFile.look(path)
    return replace(file, seen_ns=file.seen_ns + 10_000_000_000)


@pytest.fixture
def folder(tmp_path: Path, weights: Path) -> Path:
    """An index that knows the request."""
    remember_spec(REQUEST, SPEC, [settled(weights)], tmp_path / "index")
    assert resolve_spec(REQUEST, tmp_path / "index") == SPEC
    return tmp_path / "index"


def test_nothing_known(tmp_path: Path) -> None:
    """An index that is not there knows nothing."""
    assert resolve_spec(REQUEST, tmp_path / "none") is None


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, name="timm/other"),
        replace(REQUEST, weights=Path("/a/file.pth")),
        replace(REQUEST, image_size=100),
        replace(REQUEST, pooling="avg"),
        replace(REQUEST, precision="bfloat16"),
        replace(REQUEST, stored_dtype="float32"),
    ],
)
def test_every_field_of_the_request_counts(folder: Path, other: BackboneRequest) -> None:
    """Another request is not known."""
    assert resolve_spec(other, folder) is None


@pytest.mark.parametrize("change", ["content", "touch", "replace", "delete"])
def test_changed_weights(folder: Path, weights: Path, change: str) -> None:
    """Weight files that were edited, touched, replaced or deleted are not trusted."""
    before = weights.stat()
    times = before.st_atime_ns, before.st_mtime_ns
    if change == "content":
        while weights.stat().st_ctime_ns == before.st_ctime_ns:  # a coarse clock may stand still
            weights.write_bytes(b"changed")  # same length
            os.utime(weights, ns=times)
    elif change == "touch":
        os.utime(weights, ns=(1, 1))
    elif change == "replace":
        other = weights.with_name("other")
        other.write_bytes(b"weights")
        os.utime(other, ns=times)
        other.replace(weights)
    else:
        weights.unlink()
    assert resolve_spec(REQUEST, folder) is None


@pytest.mark.parametrize("part", range(5))
def test_every_part_of_a_files_state_counts(
    part: int, folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Device, inode, size, mtime and ctime: each alone tells another file."""
    state = list(file_state(weights))
    monkeypatch.setattr(index, "file_state", lambda _: tuple(state))
    assert resolve_spec(REQUEST, folder) == SPEC
    state[part] += 1
    assert resolve_spec(REQUEST, folder) is None


def test_a_link_that_leads_elsewhere(tmp_path: Path, weights: Path) -> None:
    """Hub caches hold links: the state is that of the file behind."""
    link, other = tmp_path / "link.safetensors", tmp_path / "other.safetensors"
    link.symlink_to(weights)
    remember_spec(REQUEST, SPEC, [settled(link)], tmp_path / "index")
    assert resolve_spec(REQUEST, tmp_path / "index") == SPEC
    other.write_bytes(b"weights")
    link.unlink()
    link.symlink_to(other)
    assert resolve_spec(REQUEST, tmp_path / "index") is None


def test_new_weights_are_not_remembered(tmp_path: Path, weights: Path) -> None:
    """A file that was written a moment before it was read may still change unseen."""
    remember_spec(REQUEST, SPEC, [WeightFile.look(weights)], tmp_path / "index")
    assert resolve_spec(REQUEST, tmp_path / "index") is None
    assert not (tmp_path / "index").exists()


def test_weights_that_changed_while_they_were_loaded(tmp_path: Path, weights: Path) -> None:
    """What was remembered of the file before a change does not hold after it."""
    file = settled(weights)
    weights.write_bytes(b"other weights")
    remember_spec(REQUEST, SPEC, [file], tmp_path / "index")
    assert resolve_spec(REQUEST, tmp_path / "index") is None


def test_future_times_are_not_trusted(tmp_path: Path, weights: Path) -> None:
    """A file whose clock is ahead is not trusted."""
    later = weights.stat().st_mtime_ns + 10**15
    os.utime(weights, ns=(later, later))
    remember_spec(REQUEST, SPEC, [settled(weights)], tmp_path / "index")
    assert resolve_spec(REQUEST, tmp_path / "index") is None


def test_other_versions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade of any library involved, the backbone is asked again."""
    real = importlib.metadata.version
    for package in ("embedcache", "torch", "torchvision", "timm", "open_clip_torch", "pillow"):
        with monkeypatch.context() as patch:
            patch.setattr(
                importlib.metadata,
                "version",
                lambda name, package=package: "99" if name == package else real(name),
            )
            assert resolve_spec(REQUEST, folder) is None
    monkeypatch.setattr(index, "DECODE_CONTRACT", "rgb8-2")
    assert resolve_spec(REQUEST, folder) is None


def test_damaged_index(folder: Path) -> None:
    """A damaged index knows nothing and fails nowhere, wherever the damage is."""
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for position in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        found = resolve_spec(REQUEST, folder)
        assert found is None or found == SPEC
        path.write_bytes(whole[:position])
        assert resolve_spec(REQUEST, folder) is None
    for odd in (b"[]", b"{}", b'{"sum": 1, "entry": {}}', b"null", b"\xff"):
        path.write_bytes(odd)
        assert resolve_spec(REQUEST, folder) is None


def test_forged_entry_of_another_request(folder: Path) -> None:
    """An entry under another request's name is not taken for it."""
    (path,) = folder.iterdir()
    other = replace(REQUEST, pooling="avg")
    path.rename(index._path(other, folder))
    assert resolve_spec(other, folder) is None


def test_unchecked_edit(folder: Path) -> None:
    """An entry that was edited by hand no longer has its checksum."""
    (path,) = folder.iterdir()
    content = json.loads(path.read_bytes())
    content["entry"]["spec"]["dim"] = 8
    path.write_text(json.dumps(content))
    assert resolve_spec(REQUEST, folder) is None


def test_without_torch(folder: Path) -> None:
    """Asking the index imports no model library."""
    code = (
        "import sys; from pathlib import Path; from embedcache.backbones.index import resolve_spec;"
        "from embedcache.backbones.base import BackboneRequest;"
        f"spec = resolve_spec(BackboneRequest('timm/fake'), Path({str(folder)!r}));"
        "print(spec.dim, [m for m in ('torch', 'timm', 'torchvision') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "7 []"
