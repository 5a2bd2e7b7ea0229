"""`TextTower`: texts in the space of an open_clip model's images.

M is the number of texts, D the dimension of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.from_open_clip import (
    PREFIX,
    fetch,
    published_config,
    resolve_quickgelu,
)
from embedcache.backbones.hush import hushed
from embedcache.backbones.names import parse_name
from embedcache.backbones.weights import load_tower, read_weights, weights_digest
from embedcache.errors import BackboneError, WeightsUnavailableError

__all__ = ["TextTower", "load_text_tower"]

_BATCH = 256

_NEEDS_HUB = (ImportError, RuntimeError, OSError)
"""What open_clip raises for a text tower or tokenizer of the transformers library that is
not installed, or whose files are not on this machine."""


@dataclass(frozen=True, eq=False)
class TextTower:
    """A text tower, its tokenizer, and what belongs to its images.

    Attributes:
        model: The whole open_clip model.
        tokenizer: From texts to tokens.
        image_weights: Digest of the image tower that came in the same file.
        scale: What the model multiplies cosines with, the exponential of its logit scale.
    """

    model: Any
    tokenizer: Any
    image_weights: str
    scale: float

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Features of length 1, (M, D) float64."""
        batches = [
            self.model.encode_text(self.tokenizer(list(texts[at : at + _BATCH])), normalize=True)
            for at in range(0, len(texts), _BATCH)
        ]
        features: NDArray[np.float64] = torch.cat(batches).double().numpy()
        return features


def load_text_tower(request: BackboneRequest) -> TextTower:
    """The text tower of the model whose image tower `request` asks for, on the CPU.

    Raises:
        BackboneError: The backbone has no text tower, or it does not fit the weights.
        WeightsUnavailableError: The weights are not here and cannot be fetched.
        CacheInvalidError: The weight file is damaged.
    """
    import open_clip

    name = parse_name(request.name)
    if name.source != "open_clip":
        raise BackboneError(
            "this backbone has no text tower: it was trained on images alone",
            got=request.name,
            expected="a backbone of open_clip, as open_clip/ViT-B-32:laion2b_s34b_b79k",
            hint="embedcache extract SOURCE --backbone open_clip/…",
        )
    model, tag = resolve_quickgelu(name, needs_tag=request.weights is None)
    try:
        path = request.weights or fetch(published_config(model, tag))
    except WeightsUnavailableError as error:
        raise WeightsUnavailableError(
            error.what,
            where=error.where,
            got=error.got,
            hint="give a local file of the whole model with --weights FILE",
        ) from error
    state, file = read_weights(path)
    try:
        with hushed():
            whole = open_clip.create_model(model, load_weights=False, pretrained_text=False)
            tokenizer = open_clip.get_tokenizer(model)
    except _NEEDS_HUB as error:
        raise BackboneError(
            "the text tower or the tokenizer of this model comes from the transformers library",
            where=f"open_clip/{model}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint="pip install transformers, with a network at the first use; or choose a model "
            "whose tokenizer open_clip brings along, such as ViT-B-32",
        ) from error
    _fill(whole, state, file.path)
    scale = float(whole.logit_scale.detach().exp().reshape(-1)[0])
    return TextTower(whole.eval(), tokenizer, weights_digest(whole.visual), scale)


def _fill(whole: Any, state: dict[str, torch.Tensor], where: object) -> None:
    """Load every tensor of both towers; what the file has besides is of no interest."""
    import open_clip
    from open_clip.model import convert_to_custom_text_state_dict

    state = open_clip.factory.convert_state_dict(whole, state)
    if "positional_embedding" in state and not hasattr(whole, "positional_embedding"):
        state = convert_to_custom_text_state_dict(state)  # as files were before towers had names
    expected = whole.state_dict()
    known = {key: value for key, value in state.items() if key in expected}
    if all(key.startswith(PREFIX) for key in known):
        raise BackboneError(
            "these weights are of an image tower alone",
            where=where,
            expected="the whole model, with its text tower",
        )
    if "logit_scale" in known:  # a number, or a list of one
        known["logit_scale"] = known["logit_scale"].reshape(expected["logit_scale"].shape)
    if "logit_bias" in expected:  # the same for all classes, so that softmax does not see it
        known["logit_bias"] = torch.zeros_like(expected["logit_bias"])
    load_tower(whole, known, where=where)
