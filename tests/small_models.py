"""Small models with random weights in files, and plain loops over images as the reference."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from embedcache.backbones.base import BackboneRequest
from embedcache.inputs.golden import golden_bytes, texture
from embedcache.inputs.images import decode_rgb

CLIP_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 64,
        "layers": 2,
        "width": 64,
        "head_width": 32,
        "patch_size": 16,
    },
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


@dataclass(frozen=True)
class SmallModel:
    """A model, its weights in a file, and how its own library embeds an image.

    Attributes:
        request: How embedcache is asked for it.
        model: The library's whole model.
        embed: (1, 3, H, W) to (1, D), by the library's means.
        transform: The library's evaluation transform.
    """

    request: BackboneRequest
    model: nn.Module
    embed: Callable[[torch.Tensor], torch.Tensor]
    transform: Callable[[Image.Image], torch.Tensor]

    def loop(self, images: list[bytes]) -> NDArray[np.float32]:
        """(N, D) features by a plain loop, one image at a time."""
        with torch.no_grad():
            rows = [self.embed(self.transform(decode_rgb(data))[None])[0] for data in images]
        return torch.stack(rows).numpy()


def randomise(model: nn.Module) -> nn.Module:
    """Give a model weights and statistics in which no layer is the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1, generator=generator)
                part.running_var.uniform_(0.5, 2, generator=generator)
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.normal_(0, 0.1, generator=generator)
    return model.eval()


def save(model: nn.Module, path: Path) -> Path:
    """The model's tensors in a `.safetensors` file."""
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


def torchvision_model(folder: Path, name: str = "resnet18") -> SmallModel:
    """A model of torchvision."""
    torch.manual_seed(1)
    model = randomise(models.get_model(name, weights=None))
    path = save(model, folder / f"{name}.safetensors")
    model.fc = nn.Identity()
    transform = models.get_model_weights(name).DEFAULT.transforms()
    return SmallModel(BackboneRequest(f"torchvision/{name}", path), model, model, transform)


def timm_model(folder: Path, name: str = "test_resnet.r160_in1k", **arguments: Any) -> SmallModel:
    """A model of timm."""
    torch.manual_seed(2)
    model: Any = randomise(timm.create_model(name, **arguments))
    path = save(model, folder / f"{name}.safetensors")

    def embed(batch: torch.Tensor) -> torch.Tensor:
        return model.forward_head(model.forward_features(batch), pre_logits=True)

    data = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**data, is_training=False)
    return SmallModel(BackboneRequest(f"timm/{name}", path), model, embed, transform)


def clip_model(folder: Path) -> SmallModel:
    """A model of open_clip, of an architecture of our own, `tiny-clip`."""
    config = folder / "configs" / "tiny-clip.json"
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps(CLIP_CONFIG))
    open_clip.add_model_config(config)
    torch.manual_seed(3)
    model, _, transform = open_clip.create_model_and_transforms("tiny-clip")
    path = save(model, folder / "tiny-clip.safetensors")
    model.eval()
    return SmallModel(
        BackboneRequest("open_clip/tiny-clip", path), model, model.encode_image, transform
    )


def talking_clip_model(folder: Path) -> SmallModel:
    """The same with the vocabulary of open_clip's own tokenizer, `talking-clip`."""
    config = folder / "configs" / "talking-clip.json"
    config.parent.mkdir(exist_ok=True)
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config.write_text(json.dumps({**CLIP_CONFIG, "text_cfg": text}))
    open_clip.add_model_config(config)
    torch.manual_seed(4)
    model, _, transform = open_clip.create_model_and_transforms("talking-clip")
    path = save(model, folder / "talking-clip.safetensors")
    model.eval()
    return SmallModel(
        BackboneRequest("open_clip/talking-clip", path), model, model.encode_image, transform
    )


def sample_images() -> list[bytes]:
    """Encoded images of several sizes, aspects and formats."""
    images = [golden_bytes()]
    for index, (height, width) in enumerate([(1, 1), (30, 500), (225, 223), (300, 90), (256, 256)]):
        buffer = io.BytesIO()
        picture = Image.fromarray(np.roll(texture(height, width), 17 * index, axis=1))
        picture.save(buffer, ("PNG", "JPEG", "WEBP", "BMP", "TIFF")[index])
        images.append(buffer.getvalue())
    return images
