"""Tests of `embedcache.backbones.names`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.backbones.names import SOURCES, TUNED, BackboneName, parse_name, resolve
from embedcache.errors import BackboneError

WORD = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="_-."))


@given(st.sampled_from(sorted(SOURCES)), WORD.filter(bool), st.none() | WORD.filter(bool))
def test_round_trip(source: str, model: str, tag: str | None) -> None:
    """A name made of its parts is parsed into the same parts."""
    name = BackboneName(source, model, tag)
    assert parse_name(str(name)) == name


@pytest.mark.parametrize("run", ["mine", "runs/mine", "/a folder/with:colons/mine"])
def test_a_tuned_backbone(run: str) -> None:
    """Whatever follows the colon is the run, by its name or folder."""
    assert parse_name(f"tuned:{run}") == BackboneName(TUNED, run)
    assert str(BackboneName(TUNED, run)) == f"tuned:{run}"


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is a name or a clear error, never another exception."""
    try:
        assert parse_name(text).source in {*SOURCES, TUNED}
    except BackboneError as error:
        assert error.exit_code == 2  # noqa: PT017  # some texts are names, others are not


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resnet50", "begins with its source"),
        ("", "begins with its source"),
        ("tim/resnet50", "did you mean timm/resnet50"),
        ("xyz/resnet50", "bundled, torchvision, timm, open_clip"),
        ("timm/", "incomplete"),
        ("torchvision/resnet50:", "incomplete"),
        ("tuned:", "incomplete"),
        ("tuned/mine", "tuned:mine"),
    ],
)
def test_wrong_names(text: str, words: str) -> None:
    """What is wrong with a name is said, with the next step."""
    with pytest.raises(BackboneError, match=words):
        parse_name(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("timm/resnet19", "timm/resnet18"),
        ("timm/ResNet-50", "timm/resnet50"),
        ("timm/resnet18.a9_in1k", "timm/resnet18.a1_in1k"),
        ("torchvision/vit_b16", "torchvision/vit_b_16"),
        ("torchvision/resnet50:IMAGENET_V2", "torchvision/resnet50:IMAGENET1K_V2"),
        ("open_clip/ViTB32:openai", "open_clip/ViT-B-32"),
        ("open_clip/ViT-B-32:laion", "open_clip/ViT-B-32:laion2b_e16"),
        ("open_clip/ViT-B-32", "open_clip/ViT-B-32:openai"),
    ],
)
def test_nearest_names(text: str, near: str) -> None:
    """An unknown model or tag lists the nearest known ones of its source."""
    from embedcache.backbones.base import BackboneRequest

    name = parse_name(text)
    with pytest.raises(BackboneError) as caught:
        resolve(name.source, "build")(name, BackboneRequest(text))
    assert near in (caught.value.expected or "").split(", ")
    assert "--search" in (caught.value.hint or "")


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_answers(source: str) -> None:
    """Each source's module has what is asked of it, and knows names that parse."""
    for attribute in ("build", "sketch", "is_local", "known_names"):
        assert callable(resolve(source, attribute))
    names = resolve(source, "known_names")()
    assert len(names) >= 3
    assert {parse_name(name).source for name in names} == {source}


def test_no_library_is_imported_to_parse() -> None:
    """Parsing a name imports no model library."""
    code = (
        "import sys; from embedcache.backbones.names import parse_name; parse_name('timm/x');"
        "print([m for m in ('torch', 'timm', 'torchvision', 'open_clip') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
