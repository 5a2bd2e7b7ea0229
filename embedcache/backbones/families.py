"""How the architectures that can be split run their sections, one after the other.

Each library writes the same four families in its own way; what a model's `forward` does
between its blocks is repeated here, and tests hold the two equal, bit by bit. Classes are
matched exactly, since a subclass may run its blocks differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from embedcache.errors import BackboneError

__all__ = ["Section", "family", "is_known", "sections", "shared_out"]

Run = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Section:
    """One step of a tower's forward pass.

    Attributes:
        name: Of the block's module in the tower; `stem` for the first section.
        owns: Dotted names of the modules and parameters that it runs; empty for the stem,
            which owns what nobody else does.
        run: The tower and this section's input, (B, …), to its output, (B, …).
    """

    name: str
    owns: tuple[str, ...]
    run: Run


def is_known(tower: nn.Module) -> bool:
    """Whether `sections` knows where this architecture's blocks begin."""
    if _class(tower) == _TIMM_IN_CLIP:
        return is_known(tower.trunk)  # type: ignore[arg-type]  # its trunk is a module
    return _class(tower) in _FAMILIES


def family(tower: nn.Module) -> str:
    """`efficientnet`, `resnet`, `convnext` or `vit`.

    Raises:
        BackboneError: None of them.
    """
    return family(tower.trunk) if _class(tower) == _TIMM_IN_CLIP else _known(tower)[0]  # type: ignore[arg-type]  # its trunk is a module


def sections(tower: nn.Module) -> tuple[Section, ...]:
    """The stem and the blocks in order; the last block's section runs to the end.

    Raises:
        BackboneError: No architecture that can be split.
    """
    if _class(tower) == _TIMM_IN_CLIP:
        return _within_clip(sections(tower.trunk))  # type: ignore[arg-type]  # as above
    _, stem, blocks, end, ends_with = _known(tower)
    steps = [Section("stem", (), stem), *blocks(tower)]
    last = steps[-1]
    steps[-1] = replace(last, owns=(*last.owns, *ends_with), run=_then(last.run, end))
    return tuple(steps)


def shared_out(known: tuple[Section, ...], names: Iterable[str]) -> list[list[str]]:
    """The names of each section; what no section claims, as an embedding of positions, is stem."""
    shares: list[list[str]] = [[] for _ in known]
    for name in names:
        owner = next(
            (
                number
                for number, section in enumerate(known)
                if any(name == prefix or name.startswith(f"{prefix}.") for prefix in section.owns)
            ),
            0,
        )
        shares[owner].append(name)
    return shares


def _class(tower: nn.Module) -> str:
    return f"{type(tower).__module__}.{type(tower).__qualname__}"


def _known(tower: nn.Module) -> tuple[str, Run, Callable[[Any], list[Section]], Run, Any]:
    known = _FAMILIES.get(_class(tower))
    if known is None:
        raise BackboneError(
            "it is not known where this architecture's blocks begin",
            got=_class(tower),
            expected=", ".join([*_FAMILIES, _TIMM_IN_CLIP]),
            hint="choose an EfficientNet, ResNet, ConvNeXt or ViT: embedcache backbones",
        )
    return known


def _then(first: Run, second: Run) -> Run:
    return lambda tower, x: second(tower, first(tower, x))


def _call(name: str) -> Run:
    """Run a module by its dotted name: folding may have put another one in its place."""
    return lambda tower, x: tower.get_submodule(name)(x)


def _block(name: str) -> Section:
    return Section(name, (name,), _call(name))


# -- where the blocks are -----------------------------------------------------------------


def _children(*parents: str) -> Callable[[Any], list[Section]]:
    """The children of some modules."""

    def found(tower: Any) -> list[Section]:
        return [
            _block(f"{parent}.{name}")
            for parent in parents
            for name, _ in tower.get_submodule(parent).named_children()
        ]

    return found


def _stages(tower: Any) -> list[Section]:
    """Timm's EfficientNet: stages of blocks."""
    return _children(*(f"blocks.{name}" for name, _ in tower.blocks.named_children()))(tower)


def _features(tower: Any) -> list[Section]:
    """The stages of torchvision: stem, stages, and a last convolution for the last block."""
    end = len(tower.features) - 1
    *found, last = _children(*(f"features.{stage}" for stage in range(1, end)))(tower)
    convolution = f"features.{end}"
    run = _then(last.run, _call(convolution))
    return [*found, Section(last.name, (*last.owns, convolution), run)]


def _downsampled(stages: Iterable[tuple[str | None, str]], tower: Any) -> list[Section]:
    """Stages of blocks, the first block of each with the downsampling before it."""
    found = []
    for downsample, stage in stages:
        first, *rest = _children(stage)(tower)
        if downsample is not None:
            owns = (downsample, *first.owns)
            first = Section(first.name, owns, _then(_call(downsample), first.run))
        found += [first, *rest]
    return found


def _timm_convnext(tower: Any) -> list[Section]:
    names = [f"stages.{name}" for name, _ in tower.stages.named_children()]
    return _downsampled(((f"{name}.downsample", f"{name}.blocks") for name in names), tower)


def _torchvision_convnext(tower: Any) -> list[Section]:
    places = range(1, len(tower.features), 2)  # stem, stage, downsampling, stage, …
    pairs = ((f"features.{at - 1}" if at > 1 else None, f"features.{at}") for at in places)
    return _downsampled(pairs, tower)


def _clip_vit(tower: Any) -> list[Section]:
    def run(name: str) -> Run:
        def block(tower: Any, x: Tensor) -> Tensor:
            if tower.transformer.batch_first:
                return _call(name)(tower, x)
            return _call(name)(tower, x.transpose(0, 1).contiguous()).transpose(0, 1)

        return block

    found = _children("transformer.resblocks")(tower)
    return [replace(section, run=run(section.name)) for section in found]


# -- before and after them ----------------------------------------------------------------


def _torchvision_vit_stem(tower: Any, x: Tensor) -> Tensor:
    tokens = tower._process_input(x)  # noqa: SLF001  # the one way to the patches
    tokens = torch.cat([tower.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
    return tower.encoder.dropout(tokens + tower.encoder.pos_embedding)  # type: ignore[no-any-return]


def _timm_vit_stem(tower: Any, x: Tensor) -> Tensor:
    tokens = tower._pos_embed(tower.patch_embed(x))  # noqa: SLF001  # knows all kinds of embedding
    return tower.norm_pre(tower.patch_drop(tokens))  # type: ignore[no-any-return]


def _clip_vit_stem(tower: Any, x: Tensor) -> Tensor:
    return tower._embeds(x)  # type: ignore[no-any-return]  # noqa: SLF001  # as above


def _clip_vit_end(tower: Any, x: Tensor) -> Tensor:
    pooled = tower._pool(x)[0]  # noqa: SLF001  # as above
    return pooled if tower.proj is None else pooled @ tower.proj  # type: ignore[no-any-return]


def _within_clip(inner: tuple[Section, ...]) -> tuple[Section, ...]:
    """The sections of a model of timm inside one of open_clip, which adds a projection."""

    def run(section: Section) -> Run:
        return lambda tower, x: section.run(tower.trunk, x)

    outer = [
        Section(
            section.name if number == 0 else f"trunk.{section.name}",
            tuple(f"trunk.{name}" for name in section.owns),
            run(section),
        )
        for number, section in enumerate(inner)
    ]
    last = outer[-1]
    outer[-1] = replace(last, owns=(*last.owns, "head"), run=_then(last.run, _call("head")))
    return tuple(outer)


_TIMM_IN_CLIP = "open_clip.timm_model.TimmModel"

_RESNET_BLOCKS = _children("layer1", "layer2", "layer3", "layer4")

_FAMILIES: dict[str, tuple[str, Run, Callable[[Any], list[Section]], Run, tuple[str, ...]]] = {
    "timm.models.efficientnet.EfficientNet": (
        "efficientnet",
        lambda tower, x: tower.bn1(tower.conv_stem(x)),
        _stages,
        lambda tower, x: tower.forward_head(tower.bn2(tower.conv_head(x))),
        ("conv_head", "bn2", "classifier"),
    ),
    "torchvision.models.efficientnet.EfficientNet": (
        "efficientnet",
        lambda tower, x: tower.features[0](x),
        _features,
        lambda tower, x: tower.classifier(tower.avgpool(x).flatten(1)),
        ("classifier",),
    ),
    "timm.models.resnet.ResNet": (
        "resnet",
        lambda tower, x: tower.maxpool(tower.act1(tower.bn1(tower.conv1(x)))),
        _RESNET_BLOCKS,
        lambda tower, x: tower.forward_head(x),
        ("global_pool", "fc"),
    ),
    "torchvision.models.resnet.ResNet": (
        "resnet",
        lambda tower, x: tower.maxpool(tower.relu(tower.bn1(tower.conv1(x)))),
        _RESNET_BLOCKS,
        lambda tower, x: tower.fc(tower.avgpool(x).flatten(1)),
        ("fc",),
    ),
    "open_clip.modified_resnet.ModifiedResNet": (
        "resnet",
        lambda tower, x: tower.stem(x),
        _RESNET_BLOCKS,
        lambda tower, x: tower.attnpool(x),
        ("attnpool",),
    ),
    "timm.models.convnext.ConvNeXt": (
        "convnext",
        lambda tower, x: tower.stem(x),
        _timm_convnext,
        lambda tower, x: tower.forward_head(tower.norm_pre(x)),
        ("norm_pre", "head"),
    ),
    "torchvision.models.convnext.ConvNeXt": (
        "convnext",
        lambda tower, x: tower.features[0](x),
        _torchvision_convnext,
        lambda tower, x: tower.classifier(tower.avgpool(x)),
        ("classifier",),
    ),
    "timm.models.vision_transformer.VisionTransformer": (
        "vit",
        _timm_vit_stem,
        _children("blocks"),
        lambda tower, x: tower.forward_head(tower.norm(x)),
        ("norm", "attn_pool", "fc_norm", "head"),
    ),
    "torchvision.models.vision_transformer.VisionTransformer": (
        "vit",
        _torchvision_vit_stem,
        _children("encoder.layers"),
        lambda tower, x: tower.heads(tower.encoder.ln(x)[:, 0]),
        ("encoder.ln", "heads"),
    ),
    "open_clip.transformer.VisionTransformer": (
        "vit",
        _clip_vit_stem,
        _clip_vit,
        _clip_vit_end,
        ("ln_post", "proj", "attn_pool", "attn_pool_contrastive"),
    ),
}
"""By class: the family, what comes before the blocks, the blocks, what comes after them, and
the names of what comes after."""
