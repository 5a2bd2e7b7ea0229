"""Tests of `embedcache.backbones.index` and `weight_file`."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import children
import pytest
from builders import IDENTITY

from embedcache.backbones import index
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.index import remember_spec, resolve_spec
from embedcache.backbones.weight_file import WeightFile, file_state
from embedcache.records.backbone import BackboneSpec

REQUEST = BackboneRequest("timm/test_resnet")
SPEC = BackboneSpec("timm/test_resnet.r160_in1k", IDENTITY, 96, 372688, "apache-2.0")

_RESOLVE = """
    import sys
    from pathlib import Path
    from embedcache.backbones.base import BackboneRequest
    from embedcache.backbones.index import resolve_spec
    spec = resolve_spec(BackboneRequest("timm/test_resnet"), Path(sys.argv[1]))
    heavy = {"torch", "torchvision", "timm", "open_clip", "safetensors", "h5py"} & set(sys.modules)
    print(spec.identity.digest, sorted(heavy))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A weight file."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the index is; it does not exist yet."""
    return tmp_path / "cache" / "index"


def look(path: Path, *, age_s: float = 60) -> WeightFile:
    """The file as if it had been looked at some time after it was written."""
    newest = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
    return WeightFile(path.absolute(), file_state(path), newest + int(age_s * 1e9))


def remember(file: Path, folder: Path, request: BackboneRequest = REQUEST) -> Path:
    """Put one entry into the index and find its file."""
    before = set(folder.glob("*"))
    remember_spec(request, SPEC, [look(file)], folder)
    (entry,) = set(folder.glob("*")) - before
    return entry


def test_what_was_remembered_is_known(file: Path, folder: Path) -> None:
    """The whole spec comes back, and only for this request."""
    remember(file, folder)
    assert resolve_spec(REQUEST, folder) == SPEC
    for other in (
        replace(REQUEST, name="timm/test_vit"),
        replace(REQUEST, weights=file),
        replace(REQUEST, image_size=128),
        replace(REQUEST, pooling="max"),
        replace(REQUEST, precision="bfloat16"),
        replace(REQUEST, stored_dtype="float32"),
    ):
        assert resolve_spec(other, folder) is None


def test_no_index_knows_nothing(folder: Path) -> None:
    """A folder that is not there is an empty index, and is not made by asking."""
    assert resolve_spec(REQUEST, folder) is None
    assert not folder.exists()


def test_asking_imports_nothing_heavy(file: Path, folder: Path) -> None:
    """A second run learns the identity without torch or any model library."""
    remember(file, folder)
    done = children.run(_RESOLVE, folder)
    assert done.stdout.strip() == f"{IDENTITY.digest} []", done.stderr


def test_a_weight_file_that_changed_is_asked_again(file: Path, folder: Path) -> None:
    """Other bytes, also of the same length, are noticed."""
    remember(file, folder)
    file.write_bytes(b"WEIGHTS")
    assert resolve_spec(REQUEST, folder) is None


def test_a_restored_mtime_does_not_hide_a_change(file: Path, folder: Path) -> None:
    """Size and mtime can be restored, the time of the inode's change cannot."""
    remember(file, folder)
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.write_bytes(b"WEIGHTS")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert resolve_spec(REQUEST, folder) is None


def test_a_replaced_weight_file_is_asked_again(file: Path, folder: Path) -> None:
    """Another file under the same name is another file."""
    remember(file, folder)
    other = file.with_name("other")
    other.write_bytes(b"weights")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert resolve_spec(REQUEST, folder) is None


def test_a_missing_weight_file_is_asked_again(file: Path, folder: Path) -> None:
    """Features of weights that are gone are not promised."""
    remember(file, folder)
    file.unlink()
    assert resolve_spec(REQUEST, folder) is None


def test_a_link_that_points_elsewhere_is_asked_again(file: Path, folder: Path) -> None:
    """Hub caches hold links: where one points to another file, the state is that file's."""
    link = file.with_name("link.safetensors")
    link.symlink_to(file)
    remember(link, folder)
    assert resolve_spec(REQUEST, folder) == SPEC
    other = file.with_name("other.safetensors")
    other.write_bytes(b"weights")
    link.unlink()
    link.symlink_to(other)
    assert resolve_spec(REQUEST, folder) is None


@pytest.mark.parametrize("age_s", [0.0, 1.9, -5.0])
def test_young_files_are_not_trusted(file: Path, folder: Path, age_s: float) -> None:
    """A file written just before it was read may change again within one tick of the clock."""
    remember_spec(REQUEST, SPEC, [look(file, age_s=age_s)], folder)
    assert resolve_spec(REQUEST, folder) is None
    assert not folder.exists()


def test_one_young_file_is_enough(file: Path, folder: Path) -> None:
    """All weight files must be settled."""
    other = file.with_name("second")
    other.write_bytes(b"2")
    remember_spec(REQUEST, SPEC, [look(file), look(other, age_s=0.1)], folder)
    assert resolve_spec(REQUEST, folder) is None


def test_a_real_look_at_a_new_file_is_young(file: Path) -> None:
    """The clock of the look is the machine's own."""
    assert not WeightFile.look(file).is_settled
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    assert not WeightFile.look(file).is_settled, "an old mtime does not make the inode old"


@pytest.mark.parametrize("package", ["embedcache", "torch", "timm", "pillow"])
def test_another_version_is_asked_again(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    """A library's update may change a transform or a layer."""
    remember(file, folder)
    version = index.importlib.metadata.version
    monkeypatch.setattr(
        index.importlib.metadata,
        "version",
        lambda name: "99.0" if name == package else version(name),
    )
    assert resolve_spec(REQUEST, folder) is None


@pytest.mark.parametrize("name", ["DECODE_CONTRACT", "IDENTITY_VERSION"])
def test_another_contract_is_asked_again(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What the identity means is part of the question."""
    remember(file, folder)
    monkeypatch.setattr(index, name, 99)
    assert resolve_spec(REQUEST, folder) is None


def test_an_absent_library_is_a_version_too(
    file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without open_clip the index works; with it installed later, it is asked again."""
    version = index.importlib.metadata.version

    def without(name: str) -> str:
        if name == "open_clip_torch":
            raise index.importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(index.importlib.metadata, "version", without)
    remember(file, folder)
    assert resolve_spec(REQUEST, folder) == SPEC
    monkeypatch.undo()
    assert resolve_spec(REQUEST, folder) is None


def test_every_damaged_byte_is_noticed(file: Path, folder: Path) -> None:
    """A flipped bit or a cut anywhere gives `None` or the same spec, never another one."""
    path = remember(file, folder)
    good = path.read_bytes()
    for position in range(0, len(good), 7):
        for damaged in (
            good[:position],
            good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :],
        ):
            path.write_bytes(damaged)
            assert resolve_spec(REQUEST, folder) in (None, SPEC)


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[]", b"3", b"{}", b'{"sum": 1, "entry": []}', b"\xff", b"[" * 50000]
)
def test_what_is_no_index_is_not_believed(file: Path, folder: Path, content: bytes) -> None:
    """Any other file under the entry's name is as good as none."""
    remember(file, folder).write_bytes(content)
    assert resolve_spec(REQUEST, folder) is None


def test_a_folder_under_the_entrys_name_is_not_believed(file: Path, folder: Path) -> None:
    """Neither is a folder."""
    path = remember(file, folder)
    path.unlink()
    path.mkdir()
    assert resolve_spec(REQUEST, folder) is None


def test_an_entry_with_a_right_sum_and_wrong_content_is_not_believed(
    file: Path, folder: Path
) -> None:
    """An older embedcache's record with other fields is as good as none."""
    path = remember(file, folder)

    def rewrite(change: dict[str, Any]) -> None:
        entry = {**json.loads(path.read_bytes())["entry"], **change}
        path.write_text(json.dumps({"sum": index._sum(entry), "entry": entry}))

    rewrite({})
    assert resolve_spec(REQUEST, folder) == SPEC
    for change in ({"spec": {"name": "x"}}, {"files": []}, {"files": {str(file): 3}}):
        good = path.read_bytes()
        rewrite(change)
        assert resolve_spec(REQUEST, folder) is None
        path.write_bytes(good)


def test_remembering_again_replaces(file: Path, folder: Path) -> None:
    """A changed weight file is remembered anew under the same entry."""
    remember(file, folder)
    file.write_bytes(b"other weights")
    newer = replace(SPEC, identity=replace(IDENTITY, weights="1" * 64))
    remember_spec(REQUEST, newer, [look(file)], folder)
    assert resolve_spec(REQUEST, folder) == newer
    assert len(list(folder.iterdir())) == 1
