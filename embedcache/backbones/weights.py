"""Read weight files safely, load them strictly, and digest what was loaded."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError  # the exception only: torch.load raises it
from typing import Any

import torch
from torch import Tensor, nn

from embedcache.backbones.weight_file import WeightFile
from embedcache.errors import BackboneError, CacheInvalidError

__all__ = ["load_tower", "read_weights", "tensors_digest", "tower_mismatch", "weights_digest"]

_PICKLED = {".pth", ".pt", ".bin", ".ckpt", ".tar"}
_CONTAINERS = ("state_dict", "model", "model_state", "model_state_dict")
"""Keys under which training scripts keep the state dict."""

_WRAPPERS = ("module.", "_orig_mod.", "model.")
"""Prefixes that DataParallel, torch.compile and Lightning put before every key."""

_SHOWN = 3


def read_weights(path: Path) -> tuple[dict[str, Tensor], WeightFile]:
    """The tensors of a `.safetensors` or PyTorch file by name, on the CPU, and the file's state.

    PyTorch files are read with `weights_only=True`, mapped where their format allows.

    Raises:
        BackboneError: No such file, or not a kind that is read.
        CacheInvalidError: It is damaged, or cannot be read without running its code.
    """
    if not path.is_file():
        raise BackboneError("no such weight file", where=path)
    file = WeightFile.look(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            content: Any = load_file(path)
        except (SafetensorError, ValueError, OSError) as error:
            raise _unsafe(path, error) from error
    elif path.suffix in _PICKLED:
        content = _read_pickled(path)
    else:
        raise BackboneError(
            "unknown kind of weight file",
            where=path,
            expected=f".safetensors or {', '.join(sorted(_PICKLED))}",
        )
    return _unwrap(content, path), file


def _read_pickled(path: Path) -> Any:
    try:
        mapped = zipfile.is_zipfile(path)
        with warnings.catch_warnings(action="ignore"):  # on protocols that it may not know
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except (
        UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        raise _unsafe(path, error) from error


def _unsafe(path: Path, error: BaseException) -> CacheInvalidError:
    words = str(error).strip().splitlines()
    return CacheInvalidError(
        "this weight file is damaged, or cannot be loaded without running its code",
        where=path,
        got=words[0][:200] if words else type(error).__name__,
        expected="a state dict of tensors",
        hint="save it again with safetensors.torch.save_file(model.state_dict(), FILE)",
    )


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    while isinstance(content, Mapping) and not _tensors(content):
        inner = next((content[key] for key in _CONTAINERS if key in content), None)
        if inner is None:
            break
        content = inner
    state = _tensors(content) if isinstance(content, Mapping) else {}
    if not state:
        raise CacheInvalidError(
            "this weight file holds no state dict",
            where=path,
            got=type(content).__name__,
            expected=f"tensors by name, or these under one of {', '.join(_CONTAINERS)}",
        )
    for prefix in _WRAPPERS:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def tower_mismatch(
    module: nn.Module, state: Mapping[str, Tensor], classifier: Iterable[str] = ()
) -> str | None:
    """How a state dict fails to fit a tower, in words; `None` where it fits.

    Args:
        module: The tower, without classifier.
        state: The tensors that are to fill it.
        classifier: Names of submodules whose tensors in `state` are of no interest.
    """
    expected = module.state_dict()
    given = _without(state, classifier)
    missing = [key for key in expected if key not in given and not _is_counter(key)]
    unexpected = [key for key in given if key not in expected]
    misshapen = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    parts = [
        f"{len(keys)} {kind}: {', '.join(keys[:_SHOWN])}{', …' if len(keys) > _SHOWN else ''}"
        for kind, keys in kinds.items()
        if keys
    ]
    return "; ".join(parts) or None


def load_tower(
    module: nn.Module,
    state: Mapping[str, Tensor],
    *,
    where: object,
    classifier: Iterable[str] = (),
) -> None:
    """Fill every tensor of a tower from a state dict.

    Args:
        module: The tower, without classifier.
        state: The tensors that are to fill it.
        where: File or name for the message.
        classifier: Names of submodules whose tensors in `state` are dropped.

    Raises:
        BackboneError: A tensor is missing, unexpected, or of another shape.
    """
    if mismatch := tower_mismatch(module, state, classifier):
        raise BackboneError("these weights do not fit the architecture", where=where, got=mismatch)
    # Files of before PyTorch 0.4.1 have no batch counters, which evaluation does not use:
    # the module's own stay. Its own dict also carries the version numbers of its layers.
    complete = module.state_dict()
    complete.update(_without(state, classifier))
    module.load_state_dict(complete)


def _without(state: Mapping[str, Tensor], classifier: Iterable[str]) -> dict[str, Tensor]:
    prefixes = tuple(f"{name}." for name in classifier)
    return {key: value for key, value in state.items() if not key.startswith(prefixes)}


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def weights_digest(module: nn.Module) -> str:
    """SHA-256, hexadecimal, of all parameters and persistent buffers."""
    return tensors_digest(module.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, hexadecimal, of named tensors.

    Over each in the order of their names: the name, dtype and shape as text, then the
    elements in C order, little-endian. Nothing is skipped, batch counters included.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
