"""Build vision models of the transformers library: `hf/OWNER/MODEL`, or `hf/FOLDER`.

B is the batch size, T the number of tokens, D the embedding dimension, H and W the
input's height and width, h and w those of the last feature map.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embedcache.backbones.architecture import Architecture, Sketch
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.hf_processor import read_processor
from embedcache.backbones.names import BackboneName
from embedcache.backbones.published import find_hub_file, hub_file
from embedcache.backbones.transforms import scale_to
from embedcache.backbones.weights import read_weights, weights_digest
from embedcache.errors import BackboneError, MissingExtraError

__all__ = ["beside_weights", "build", "is_local", "known_names", "sketch"]

_CONFIG, _PROCESSOR = "config.json", "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_POOLINGS = ("cls", "avg", "pooler")

# What a configuration says of names, files and classifiers, and nothing of features.
_IRRELEVANT = {
    "_name_or_path", "architectures", "dtype", "id2label", "label2id", "problem_type",
    "torch_dtype", "transformers_version",
}  # fmt: skip


def known_names() -> list[str]:
    """A few that are used most; the hub has thousands more."""
    return [
        "hf/facebook/dinov2-small",
        "hf/facebook/dinov2-base",
        "hf/google/vit-base-patch16-224-in21k",
        "hf/facebook/convnext-tiny-224",
    ]


def is_local(name: BackboneName) -> bool:
    """Whether the published weights are on this machine."""
    folder = Path(name.model)
    if folder.is_dir():
        return any((folder / file).is_file() for file in _WEIGHTS)
    return find_hub_file(name.model, _WEIGHTS) is not None


def build(name: BackboneName, request: BackboneRequest) -> Architecture:
    """The model, its weights and its preprocessing.

    Raises:
        BackboneError: Not a vision model, preprocessing that is not reproduced, weights
            that do not fit, or an option that it does not have.
        MissingExtraError: transformers is not installed.
        WeightsUnavailableError: A file is not here and cannot be fetched.
        CacheInvalidError: The weight file is damaged.
    """
    config = _config(name, request.weights)
    preprocessing = read_processor(_file(name, request.weights, (_PROCESSOR,)).parent)
    if request.image_size is not None:
        preprocessing = scale_to(preprocessing, request.image_size)
    state, file = read_weights(request.weights or _file(name, None, _WEIGHTS))
    module, has_pooler = _tower(config, state, file.path)
    digest = weights_digest(module)
    pooled = _Pooled(module, config, request.pooling, has_pooler=has_pooler)
    size = preprocessing.image_size
    pooled.settle(size, str(name))
    return Architecture(
        name=str(name),
        source="hf",
        architecture=f"{config.model_type}-{_digest(config)}",
        module=pooled,
        weights=digest,
        preprocessing=preprocessing,
        layer="last-hidden-state",
        pooling=pooled.pooling,
        weight_files=(file,),
        license="",
        library=f"transformers {importlib.metadata.version('transformers')}",
    )


def sketch(name: BackboneName) -> Sketch:
    """The model without its weights.

    Raises:
        BackboneError: Its configuration is not on this machine: listing asks no server.
        MissingExtraError: transformers is not installed.
    """
    folder = Path(name.model)
    if not folder.is_dir() and not all(
        find_hub_file(name.model, (file,)) for file in (_CONFIG, _PROCESSOR)
    ):
        raise BackboneError("this model's configuration is not on this machine", where=str(name))
    config = _config(name, None)
    preprocessing = read_processor(_file(name, None, (_PROCESSOR,)).parent)
    with torch.device("meta"):
        module = _Pooled(_transformers().AutoModel.from_config(config), config, None)
    module.eval().settle(preprocessing.image_size, str(name))
    return Sketch(module, preprocessing, "")


def beside_weights(name: BackboneName, weights: Path | None) -> tuple[Path, ...]:
    """What `build` reads besides the weights, and looks for next to them first.

    Raises:
        WeightsUnavailableError: A file is not here and cannot be fetched.
    """
    return tuple(_file(name, weights, (file,)) for file in (_CONFIG, _PROCESSOR))


class _Pooled(nn.Module):
    """A model of transformers whose output is one vector."""

    def __init__(
        self, module: nn.Module, config: Any, pooling: str | None, *, has_pooler: bool = True
    ) -> None:
        super().__init__()
        self.module = module
        self.pooling = pooling or ""
        self._config = config
        self._has_pooler = has_pooler
        self._prefix = 0

    def settle(self, size: tuple[int, int], where: str) -> None:
        """Find out what can be pooled, and choose if nobody has.

        The default is the class token, else the model's own pooler, else the mean.
        """
        device = next(self.module.parameters()).device
        try:
            with torch.no_grad():
                output = self.module.eval()(torch.zeros(1, 3, *size, device=device))
        except (RuntimeError, ValueError) as error:
            raise BackboneError(
                "this architecture cannot take images of this size",
                where=where,
                got=f"{size[0]} x {size[1]} pixels: {str(error).splitlines()[0]}",
                hint="leave --image-size away for the model's own",
            ) from error
        choices = ["avg"]
        if getattr(output, "pooler_output", None) is not None and self._has_pooler:
            choices.insert(0, "pooler")
        if output.last_hidden_state.ndim == 3:
            patch = getattr(self._config, "patch_size", None)
            if isinstance(patch, int):
                patches = (size[0] // patch) * (size[1] // patch)
                self._prefix = max(0, output.last_hidden_state.shape[1] - patches)
            if self._prefix:
                choices.insert(0, "cls")
        if self.pooling and self.pooling not in choices:
            raise BackboneError(
                "this model does not have this pooling",
                where=where,
                got=f"--pooling {self.pooling}",
                expected=", ".join(choices),
            )
        self.pooling = self.pooling or choices[0]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, D)."""
        output = self.module(images)
        if self.pooling == "pooler":
            pooled: Tensor = output.pooler_output
            return pooled.flatten(1)
        hidden: Tensor = output.last_hidden_state  # (B, T, D), or (B, D, h, w)
        if self.pooling == "cls":
            return hidden[:, 0]
        return hidden.mean(dim=(2, 3)) if hidden.ndim == 4 else hidden[:, self._prefix :].mean(1)


def _tower(config: Any, state: dict[str, Tensor], where: Path) -> tuple[nn.Module, bool]:
    """The model filled from a state dict, and whether that had the pooler's weights."""
    auto = _transformers().AutoModel
    with torch.device("meta"):
        kind: Any = type(auto.from_config(config))
    module, info = kind.from_pretrained(
        None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True
    )
    missing = sorted(info["missing_keys"])
    pooler = [key for key in missing if key.startswith("pooler.")]
    wrong = [key for key in missing if key not in pooler]
    wrong += [str(key) for key in info["mismatched_keys"]]
    if wrong:
        raise BackboneError(
            "these weights do not fit the architecture",
            where=where,
            got=f"{len(wrong)} missing or of another shape: {', '.join(wrong[:3])}",
        )
    if pooler:  # without weights it would be random
        module.pooler = None
    return module.eval(), not pooler


def _config(name: BackboneName, weights: Path | None) -> Any:
    path = _file(name, weights, (_CONFIG,))
    try:
        config = _transformers().AutoConfig.from_pretrained(path.parent, local_files_only=True)
    except (ValueError, OSError) as error:
        raise BackboneError(
            "transformers does not know this kind of model",
            where=path,
            got=str(error).splitlines()[0][:200],
        ) from error
    if hasattr(config, "text_config") or hasattr(config, "vocab_size"):
        raise BackboneError(
            "this is no vision model with one tower",
            where=str(name),
            got=config.model_type,
            hint="open_clip/ has models of images and text: embedcache backbones --search clip",
        )
    return config


def _file(name: BackboneName, weights: Path | None, names: tuple[str, ...]) -> Path:
    """A file of the model: beside given weights, in a folder, or of the hub, in this order."""
    folders = [weights.parent] if weights is not None else []
    if Path(name.model).is_dir():
        folders.append(Path(name.model))
    for folder in folders:
        for file in names:
            if (folder / file).is_file():
                return folder / file
    if Path(name.model).is_dir() or name.model.count("/") != 1:
        raise BackboneError(
            "not a model of the hub, nor a folder with one",
            got=str(name),
            expected=f"hf/OWNER/MODEL, or hf/FOLDER with {', '.join(names)}",
            hint="save_pretrained(FOLDER) of model and image processor makes one",
        )
    return hub_file(name.model, names)


def _digest(config: Any) -> str:
    """Of all that the configuration sets, because tensors do not tell an activation."""
    given = {k: v for k, v in config.to_diff_dict().items() if k not in _IRRELEVANT}
    text = json.dumps(given, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _transformers() -> Any:
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtraError("hf backbones need transformers", extra="hf") from error
    library.utils.logging.disable_progress_bar()  # bars over tensors, in between our own
    return library
