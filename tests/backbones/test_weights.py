"""Tests of `embedcache.backbones.weights`."""

from __future__ import annotations

import hashlib
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from embedcache.backbones.weight_file import WeightFile
from embedcache.backbones.weights import load_tower, read_weights, tower_mismatch, weights_digest
from embedcache.errors import BackboneError, CacheInvalidError


def tower() -> nn.Module:
    """A small tower with a batch norm."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())


STATE = tower().state_dict()


def assert_read(path: Path) -> None:
    """The file gives the tower's tensors back."""
    state, file = read_weights(path)
    assert set(state) == set(STATE)
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)
    assert file.path == path.absolute()
    assert file.state[2] == path.stat().st_size


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        dict(STATE),
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {"state": {}}},
        {"model_state": {"model": STATE}},
        {f"module.{key}": value for key, value in STATE.items()},
        {"state_dict": {f"_orig_mod.{key}": value for key, value in STATE.items()}},
        {"state_dict": {f"module.model.{key}": value for key, value in STATE.items()}},
    ],
)
def test_containers(tmp_path: Path, content: Any) -> None:
    """State dicts are found in the containers of training scripts, and prefixes removed."""
    torch.save(content, tmp_path / "a.pth")
    assert_read(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_old_format(tmp_path: Path, suffix: str) -> None:
    """Files of before PyTorch 1.6, which cannot be mapped, are read as well."""
    torch.save(STATE, tmp_path / f"a{suffix}", _use_new_zipfile_serialization=False)
    assert_read(tmp_path / f"a{suffix}")


def test_safetensors(tmp_path: Path) -> None:
    """Safetensors files are read."""
    save_file(STATE, tmp_path / "a.safetensors")
    assert_read(tmp_path / "a.safetensors")


class Bomb:
    """A pickle that runs code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old", [True, False])
def test_hostile_pickle_is_not_run(tmp_path: Path, *, old: bool) -> None:
    """A weight file that would run code is refused, and its code not run."""
    content = {"weight": torch.ones(2), "bomb": Bomb(tmp_path / "exploded")}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(CacheInvalidError, match="running its code"):
        read_weights(tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(CacheInvalidError, match="running its code"):
        read_weights(tmp_path / "b.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04" + bytes(100),
        bytes(1000),
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_no_weight_file(tmp_path: Path, data: bytes, suffix: str) -> None:
    """Bytes that are no weights are refused as damaged."""
    (tmp_path / f"a{suffix}").write_bytes(data)
    with pytest.raises(CacheInvalidError, match="damaged"):
        read_weights(tmp_path / f"a{suffix}")


def test_false_offsets(tmp_path: Path) -> None:
    """A safetensors header that points beyond the file is refused."""
    header = b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(CacheInvalidError, match="damaged"):
        read_weights(tmp_path / "a.safetensors")


def test_truncated(tmp_path: Path) -> None:
    """Files that were cut are refused, wherever they were cut."""
    torch.save(STATE, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    for part in range(1, 10):
        (tmp_path / "a.pth").write_bytes(whole[: len(whole) * part // 10])
        with pytest.raises(CacheInvalidError):
            read_weights(tmp_path / "a.pth")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_files_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Damaged bytes give tensors or a clear error, never another exception."""
    folder = tmp_path_factory.mktemp("damaged")
    if data.draw(st.booleans()):
        path = folder / "a.pth"
        torch.save(STATE, path, _use_new_zipfile_serialization=data.draw(st.booleans()))
    else:
        path = folder / "a.safetensors"
        save_file(STATE, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert read_weights(path)[0]
    except CacheInvalidError as error:
        assert error.where == str(path)  # noqa: PT017  # damage in the numbers goes unnoticed


def test_wrong_zip(tmp_path: Path) -> None:
    """A ZIP archive that is no weight file is refused."""
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CacheInvalidError):
        read_weights(tmp_path / "a.pth")


def test_a_zip_of_several_disks(tmp_path: Path) -> None:
    """An archive whose last record claims other disks is refused like any other damage."""
    torch.save(STATE, tmp_path / "a.pth")
    data = bytearray((tmp_path / "a.pth").read_bytes())
    locator = data.index(b"PK\x06\x07")
    data[locator + 16] = 7
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(CacheInvalidError):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {}}, torch.ones(3)])
def test_no_state_dict(tmp_path: Path, content: Any) -> None:
    """A file without tensors by name says so."""
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CacheInvalidError, match="holds no state dict"):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["missing.pth", "folder.pth", "a.h5"])
def test_wrong_paths(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and an unknown kind are errors of usage."""
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "a.h5").write_bytes(b"x")
    with pytest.raises(BackboneError, match="weight file"):
        read_weights(tmp_path / name)


def test_load_tower() -> None:
    """All tensors are filled; a classifier in the file is dropped."""
    module = tower()
    state = {key: value + 1 for key, value in STATE.items()}
    classifier = {"fc.weight": torch.ones(10, 4), "fc.bias": torch.ones(10)}
    load_tower(module, {**state, **classifier}, where="here", classifier=("fc",))
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


def test_old_files_have_no_batch_counters() -> None:
    """A missing counter of batches is no mistake."""
    state = {key: value for key, value in STATE.items() if "num_batches" not in key}
    assert tower_mismatch(tower(), state) is None
    load_tower(tower(), state, where="here")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"0.weight": None}, "1 missing: 0.weight"),
        ({"2.weight": torch.ones(1)}, "1 unexpected: 2.weight"),
        (
            {"0.weight": torch.ones(4, 3, 5, 5)},
            r"of another shape: 0.weight \(4, 3, 5, 5\) instead",
        ),
        ({"fc.weight": torch.ones(1)}, "1 unexpected: fc.weight"),
    ],
)
def test_mismatches(change: dict[str, torch.Tensor | None], words: str) -> None:
    """A tensor too few, too many or of another shape is named, and nothing is loaded."""
    module = tower()
    state = {**STATE, **change}
    given_state = {key: value for key, value in state.items() if value is not None}
    with pytest.raises(BackboneError, match=words):
        load_tower(module, given_state, where="here")


def test_long_lists_are_cut() -> None:
    """Of many mismatches the first few are shown."""
    state = {**STATE, **{f"extra{i}": torch.ones(1) for i in range(50)}}
    assert tower_mismatch(tower(), state) == "50 unexpected: extra0, extra1, extra2, …"


def test_digest_is_canonical() -> None:
    """The digest is that of names, dtypes, shapes and little-endian bytes, by name."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.tensor([[1.0, 2.0]]))
            self.register_buffer("a", torch.tensor(3))

    expected = hashlib.sha256()
    expected.update(b"a\0torch.int64\0()\0" + struct.pack("<q", 3))
    expected.update(b"b\0torch.float32\0(1, 2)\0" + struct.pack("<2f", 1, 2))
    assert weights_digest(Two()) == expected.hexdigest()


def test_digest_ignores_memory_layout() -> None:
    """Channels-last weights are the same weights."""
    assert weights_digest(tower().to(memory_format=torch.channels_last)) == weights_digest(tower())


@pytest.mark.parametrize("key", STATE)
def test_digest_sees_every_tensor(key: str) -> None:
    """One changed element of any tensor changes the digest."""
    module = tower()
    with torch.no_grad():
        module.state_dict()[key].reshape(-1)[-1] += 1
    assert weights_digest(module) != weights_digest(tower())


def test_new_files_are_not_settled(tmp_path: Path) -> None:
    """A file that was written a moment ago is not yet to be known by its times."""
    path = tmp_path / "a"
    path.write_bytes(b"x")
    seen = WeightFile.look(path)
    assert not seen.is_settled
    later = WeightFile(seen.path, seen.state, seen.seen_ns + 3_000_000_000)
    assert later.is_settled
