"""Tests of `embedcache.backbones.text_tower`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import SmallModel, talking_clip_model

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import build_architecture
from embedcache.backbones.text_tower import load_text_tower
from embedcache.errors import BackboneError, WeightsUnavailableError

TEXTS = ["a photo of a cat.", "art of the solar cell.", "itap of a très long name, " * 9]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small model that open_clip's tokenizer can speak to."""
    return talking_clip_model(tmp_path_factory.mktemp("weights"))


def test_texts_are_encoded_as_by_open_clip(
    clip: SmallModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unit features, the model's scale, and the image tower's own digest, in any batches."""
    tower = load_text_tower(clip.request)
    with torch.no_grad():
        tokens = open_clip.get_tokenizer("talking-clip")(TEXTS)
        expected = clip.model.encode_text(tokens, normalize=True).numpy()
    assert tower.encode(TEXTS) == pytest.approx(expected, abs=1e-6)
    assert np.linalg.norm(tower.encode(TEXTS), axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert tower.scale == pytest.approx(float(clip.model.logit_scale.detach().exp()))
    assert tower.image_weights == build_architecture(clip.request).weights
    monkeypatch.setattr("embedcache.backbones.text_tower._BATCH", 2)
    assert tower.encode(TEXTS) == pytest.approx(expected, abs=1e-6)


def test_the_image_size_does_not_matter(clip: SmallModel) -> None:
    """Resampled position embeddings are of the same weights."""
    tower = load_text_tower(replace(clip.request, image_size=96))
    assert tower.image_weights == build_architecture(clip.request).weights


def test_other_spellings_of_a_state_dict(clip: SmallModel, tmp_path: Path) -> None:
    """A scale as a list of one, and tensors that are none of the model's, are met in the wild."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    state["logit_scale"] = state["logit_scale"].reshape(1)
    state["context_length"] = torch.tensor(16)
    save_file(state, tmp_path / "a.safetensors")
    tower = load_text_tower(replace(clip.request, weights=tmp_path / "a.safetensors"))
    assert tower.scale == pytest.approx(float(clip.model.logit_scale.detach().exp()))


def test_files_without_a_text_tower_are_refused(clip: SmallModel, tmp_path: Path) -> None:
    """An image tower alone, and a text tower with a tensor missing."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    alone = {key: value for key, value in state.items() if key.startswith("visual.")}
    save_file(alone, tmp_path / "alone.safetensors")
    with pytest.raises(BackboneError, match="image tower alone"):
        load_text_tower(replace(clip.request, weights=tmp_path / "alone.safetensors"))
    del state["token_embedding.weight"]
    save_file(state, tmp_path / "less.safetensors")
    with pytest.raises(BackboneError, match=r"missing: token_embedding\.weight"):
        load_text_tower(replace(clip.request, weights=tmp_path / "less.safetensors"))


def test_backbones_without_texts_are_refused() -> None:
    """The next step is a backbone that has them."""
    with pytest.raises(BackboneError, match="no text tower") as caught:
        load_text_tower(BackboneRequest("bundled/efficientnet_lite0"))
    assert "open_clip/" in str(caught.value)


def test_tokenizers_of_other_libraries_are_named(
    clip: SmallModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """open_clip needs transformers, and the hub, for some tokenizers."""

    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'transformers'")

    monkeypatch.setattr(open_clip, "get_tokenizer", missing)
    with pytest.raises(BackboneError, match="transformers") as caught:
        load_text_tower(clip.request)
    assert "pip install transformers" in str(caught.value)


def test_without_a_network_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out is the one that zero-shot has, not another backbone."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailableError) as caught:
        load_text_tower(BackboneRequest("open_clip/ViT-B-32:laion2b_s34b_b79k"))
    assert "--weights FILE" in str(caught.value)
    assert "bundled" not in str(caught.value)
