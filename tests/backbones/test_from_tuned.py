"""Tuned backbones: built from their own folder alone, found again, and never half-believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import clip_model, timm_model, torchvision_model
from torch import nn

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_tuned import write_tuned
from embedcache.backbones.listing import list_backbones, search_names
from embedcache.backbones.load import build_architecture, load_backbone
from embedcache.backbones.tuned_folder import read_description, read_seen, seen_by, settled
from embedcache.errors import BackboneError, CacheInvalidError, EmbedcacheError
from embedcache.inputs.golden import texture
from embedcache.records.identity import Identity
from embedcache.records.seen import TRAINED, VALIDATED, SeenRows

SEEN = SeenRows(
    np.arange(96, dtype=np.uint8).reshape(3, 32), np.array([TRAINED, TRAINED, VALIDATED], np.uint8)
)


def nudge(module: nn.Module) -> nn.Module:
    """Other weights, as after a training."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.01 * torch.randn(value.shape, generator=generator))
    return module


def ship(folder: Path, request: BackboneRequest) -> tuple[nn.Module, Identity]:
    """A run with a tuned backbone; the tower, and its identity."""
    before = load_backbone(request, device="cpu").spec
    tower = nudge(build_architecture(request).module)
    identity = write_tuned(folder, tower, request, before.identity, SEEN, before.license)
    return tower, identity


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with `mine`, tuned from a small ResNet whose own weights are gone."""
    folder = tmp_path_factory.mktemp("tuned")
    small = timm_model(folder)
    ship(folder / "runs" / "mine", small.request)
    assert small.request.weights is not None
    small.request.weights.unlink()
    return folder / "runs"


@pytest.fixture
def runs(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, named in the environment."""
    shutil.copytree(original, tmp_path / "runs")
    monkeypatch.setenv("EMBEDCACHE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (torchvision_model, {}),
        (timm_model, {"image_size": 96}),
        (lambda folder: timm_model(folder, "test_vit.r160_in1k"), {}),
        (lambda folder: timm_model(folder, "test_vit.r160_in1k"), {"image_size": 96}),
        (lambda folder: timm_model(folder, "test_vit.r160_in1k"), {"pooling": "avg"}),
        (clip_model, {}),
        (clip_model, {"image_size": 96}),
    ],
)
def test_it_computes_what_was_tuned(
    tmp_path: Path, make: Callable[[Path], object], changes: dict[str, object]
) -> None:
    """The same features bit by bit, without the base's weights, at the size and pooling asked."""
    request = replace(make(tmp_path).request, **changes)
    tower, identity = ship(tmp_path / "run", request)
    request.weights.unlink()
    built = build_architecture(BackboneRequest(f"tuned:{tmp_path / 'run'}"))
    height, width = built.preprocessing.image_size
    pixels = torch.from_numpy(texture(height, width)).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        assert torch.equal(built.module(pixels), tower.eval()(pixels))
    loaded = load_backbone(BackboneRequest(f"tuned:{tmp_path / 'run'}"), device="cpu")
    assert loaded.spec.identity == identity
    assert loaded.spec.name == "tuned:run"


def test_other_weights_are_another_identity(tmp_path: Path) -> None:
    """Only the digest of the weights tells it from the base, so no feature is ever shared."""
    request = timm_model(tmp_path).request
    before = load_backbone(request, device="cpu").spec.identity
    _, after = ship(tmp_path / "run", request)
    assert [each.partition(":")[0] for each in before.differences(after)] == ["weights"]


def test_a_backbone_tuned_twice_stands_alone(tmp_path: Path) -> None:
    """Its base is the first one's, and the first one's folder may go."""
    request = timm_model(tmp_path).request
    ship(tmp_path / "one", request)
    first = BackboneRequest(f"tuned:{tmp_path / 'one'}")
    _, identity = ship(tmp_path / "two", first)
    shutil.rmtree(tmp_path / "one")
    request.weights.unlink()
    again = load_backbone(BackboneRequest(f"tuned:{tmp_path / 'two'}"), device="cpu")
    assert again.spec.identity == identity
    assert read_description(tmp_path / "two" / "backbone").base == "timm/test_resnet.r160_in1k"


def test_it_is_found_by_name_path_and_after_a_move(runs: Path, tmp_path: Path) -> None:
    """By its run's name or folder; a recorded folder that moved is looked for among the runs."""
    found = str(runs / "mine")
    for name in ("mine", "runs/mine", found, "/gone/elsewhere/mine"):
        assert settled(BackboneRequest(f"tuned:{name}")).name == f"tuned:{found}"
    assert settled(BackboneRequest("timm/resnet18")).name == "timm/resnet18"
    runs.rename(tmp_path / "archive")
    beside = tmp_path / "archive" / "other"
    moved = settled(BackboneRequest(f"tuned:{found}"), beside=beside)
    assert moved.name == f"tuned:{tmp_path / 'archive' / 'mine'}"
    with pytest.raises(BackboneError, match="EMBEDCACHE_RUNS_DIR"):
        settled(BackboneRequest(f"tuned:{found}"))


def test_names_that_lead_nowhere(runs: Path) -> None:
    """Near names are listed; a fine-tuning that shipped nothing says so."""
    with pytest.raises(BackboneError, match="tuned:mine"):
        settled(BackboneRequest("tuned:mime"))
    (runs / "frozen").mkdir()
    (runs / "frozen" / "finetune.json").write_bytes(b"{}")
    with pytest.raises(BackboneError, match="the frozen one stays"):
        settled(BackboneRequest("tuned:frozen"))


@pytest.mark.parametrize(
    "option", [{"image_size": 64}, {"pooling": "avg"}, {"weights": Path("x.safetensors")}]
)
def test_it_is_used_as_it_was_tuned(runs: Path, option: dict[str, object]) -> None:
    """No option changes what was tuned."""
    with pytest.raises(BackboneError, match="as it was tuned"):
        load_backbone(BackboneRequest("tuned:mine", **option), device="cpu")


@pytest.mark.parametrize("file", ["backbone.json", "tower.safetensors", "rows.safetensors"])
def test_every_changed_byte_is_refused(runs: Path, file: str) -> None:
    """Flipped, cut short or gone: the backbone is not used."""
    path = runs / "mine" / "backbone" / file
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 12):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CacheInvalidError):
            build_architecture(BackboneRequest("tuned:mine"))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CacheInvalidError):
        build_architecture(BackboneRequest("tuned:mine"))
    path.unlink()
    with pytest.raises(CacheInvalidError, match="missing"):
        build_architecture(BackboneRequest("tuned:mine"))


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "tuned:mine"},
        {"base": "timm/nothing"},
        {"files": {}},
        {"files": {"tower.safetensors": "0", "rows.safetensors": "0", "../../x": "0"}},
        {"identity": {}},
        {"format": 2},
        {"kind": "other"},
        {"extra": 1},
    ],
)
def test_a_forged_description_is_refused(runs: Path, changes: dict[str, object]) -> None:
    """Even one with a sum of its own that is right."""
    from embedcache.backbones.tuned_folder import _sum

    path = runs / "mine" / "backbone" / "backbone.json"
    value = {**json.loads(path.read_bytes()), **changes}
    del value["sum"]
    path.write_text(json.dumps({**value, "sum": _sum(value)}))
    with pytest.raises(EmbedcacheError):
        build_architecture(BackboneRequest("tuned:mine"))


def test_the_rows_that_trained_it(runs: Path) -> None:
    """They are told by digest, without torch; an image that it has not seen has no part."""
    seen = seen_by(BackboneRequest("tuned:mine"))
    assert seen is not None
    assert seen.of(np.r_[SEEN.digest[::-1], np.full((1, 32), 7, np.uint8)]).tolist() == [2, 1, 1, 0]
    assert seen_by(BackboneRequest("timm/resnet18")) is None
    folder = runs / "mine" / "backbone"
    assert len(read_seen(folder, read_description(folder))) == 3


def test_rows_add_up() -> None:
    """Trained on in either is trained on in both; each image counts once."""
    other = SeenRows(SEEN.digest[[0, 2]], np.array([VALIDATED, TRAINED], np.uint8))
    both = SEEN.joined(other)
    assert len(both) == 3
    assert both.of(SEEN.digest).tolist() == [TRAINED, TRAINED, TRAINED]


def test_it_is_listed(runs: Path) -> None:
    """With its dimension, under the name that `--backbone` takes."""
    assert search_names("tuned mine") == ["tuned:mine"]
    (row,) = list_backbones(["tuned:mine"])
    assert (row.name, row.is_local, row.image_size) == ("tuned:mine", True, "160x160")
