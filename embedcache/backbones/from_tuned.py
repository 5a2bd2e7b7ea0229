"""Build the backbones that fine-tuning shipped: `tuned:RUN`; and write their folder.

The base's library builds the architecture, as for `--weights FILE`; tensors and preprocessing
are the folder's own, so neither the base's weights nor the network is needed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from embedcache.backbones.architecture import Architecture, Sketch
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.names import TUNED, BackboneName, parse_name, resolve
from embedcache.backbones.tuned_folder import (
    DESCRIPTION,
    SEEN,
    TOWER,
    Description,
    locate,
    read_description,
    read_file,
    seen_bytes,
    tuned_names,
)
from embedcache.backbones.weight_file import WeightFile
from embedcache.backbones.weights import load_tower, weights_digest
from embedcache.errors import BackboneError, CacheInvalidError
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.identity import Identity
from embedcache.records.seen import SeenRows
from embedcache.runs.folder import BACKBONE
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import make_dir, write_atomic

__all__ = ["build", "is_local", "known_names", "sketch", "write_tuned"]


def known_names() -> list[str]:
    """The tuned backbones in the runs folder."""
    return tuned_names()


def is_local(name: BackboneName) -> bool:
    """Whether its folder is here."""
    return (locate(name.model) / BACKBONE / DESCRIPTION).is_file()


def build(name: BackboneName, request: BackboneRequest) -> Architecture:
    """The model, its weights and its preprocessing.

    Raises:
        BackboneError: There is no such run, or an option that would change the tuned model.
        CacheInvalidError: A file of the folder is missing, damaged or another one.
    """
    for flag, value in (
        ("--weights", request.weights),
        ("--image-size", request.image_size),
        ("--pooling", request.pooling),
    ):
        if value is not None:
            raise BackboneError(
                "a tuned backbone is used as it was tuned",
                where=str(name),
                got=f"{flag} {value}",
                hint=f"leave {flag} away",
            )
    run = locate(name.model)
    folder = run / BACKBONE
    looked = [WeightFile.look(path) for path in sorted(folder.iterdir())]  # before any is read
    described = read_description(folder)
    data = {each: read_file(folder, described, each) for each in described.files}
    base = BackboneRequest(described.base, folder / TOWER, described.image_size, described.pooling)
    parsed = parse_name(base.name)
    architecture: Architecture = resolve(parsed.source, "build")(parsed, base)
    _fill(architecture.module, data[TOWER], folder)
    digest = weights_digest(architecture.module)
    if digest != described.identity.weights:
        raise CacheInvalidError(
            "the tensors of this tuned backbone are not those of its identity",
            where=folder / TOWER,
            got=f"{digest[:12]}…",
            expected=f"{described.identity.weights[:12]}…",
        )
    return replace(
        architecture,
        name=f"{TUNED}:{run.name}",
        weights=digest,
        preprocessing=Preprocessing.from_identity(described.identity),
        weight_files=tuple(looked),
        license=described.license,
    )


def sketch(name: BackboneName) -> Sketch:
    """The model on torch's `meta` device.

    Raises:
        BackboneError: There is no such run.
    """
    built = build(name, BackboneRequest(str(name)))
    return Sketch(built.module.to("meta"), built.preprocessing, built.license)


def write_tuned(
    run: Path,
    tower: nn.Module,
    base: BackboneRequest,
    frozen: Identity,
    seen: SeenRows,
    license_name: str,
) -> Identity:
    """Write `backbone/` into the folder of a run.

    Args:
        run: The folder.
        tower: The tuned model.
        base: What it was tuned from; of a tuned backbone the base of that one is kept.
        frozen: Identity of the features before.
        seen: All images that trained it.
        license_name: Of the base's weights.

    Returns:
        The identity of the tuned features.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    from safetensors.torch import save

    name = parse_name(base.name)
    if name.source == TUNED:
        before = locate(name.model) / BACKBONE
        described = read_description(before)
        beside = {
            each: read_file(before, described, each)
            for each in described.files
            if each not in {TOWER, SEEN}
        }
        base = BackboneRequest(
            described.base, image_size=described.image_size, pooling=described.pooling
        )
    else:
        beside = _beside_weights(name, base.weights)
    identity = replace(frozen, weights=weights_digest(tower))
    state = {key: value.cpu().contiguous() for key, value in tower.state_dict().items()}
    files = {TOWER: save(state), SEEN: seen_bytes(seen), **beside}
    folder = run / BACKBONE
    make_dir(folder)
    for file, data in files.items():
        write_atomic(folder / file, data)
    sums = {file: sha256_hex(data) for file, data in files.items()}
    described = Description(base.name, base.image_size, base.pooling, identity, license_name, sums)
    write_atomic(folder / DESCRIPTION, described.to_bytes())
    return identity


def _beside_weights(name: BackboneName, weights: Path | None) -> dict[str, bytes]:
    """The files that the base's library reads beside the weights, by name."""
    if name.source != "hf":
        return {}
    from embedcache.backbones.from_hf import beside_weights

    return {path.name: path.read_bytes() for path in beside_weights(name, weights)}


def _fill(module: nn.Module, data: bytes, folder: Path) -> None:
    """Give the model exactly the tensors of the file, bit by bit."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(data)
    except (SafetensorError, ValueError) as error:
        raise CacheInvalidError(
            "not the tensors of a tuned backbone", where=folder / TOWER, got=error
        ) from error
    load_tower(module, state, where=folder / TOWER)
