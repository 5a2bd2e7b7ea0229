"""Looks at the validation rows from what the tail takes say the same as looks at the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from small_models import randomise

from embedcache.errors import CacheInvalidError
from embedcache.finetuning.classifier import Classifier
from embedcache.finetuning.images import Images, InOrder
from embedcache.finetuning.looks import ImageLooks, TailLooks
from embedcache.heads.forms.linear import Linear
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.strings import Strings
from embedcache.storage.digests import sha256_hex

ROWS, CLASSES, SIDE = 11, 3, 32
SQUARE = Preprocessing(
    "squash", (SIDE, SIDE), (SIDE, SIDE), "bilinear", None, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
)
TOWERS = {
    "test_efficientnet": ("blocks.1.0", "blocks.2.0"),
    "test_resnet": ("layer2.0", "layer4.0"),
    "test_convnext": ("stages.1.blocks.0",),
    "test_vit": ("blocks.3",),
}


def _images(folder: Path) -> Images:
    rng, paths, digests = np.random.default_rng(0), [], []
    for number in range(ROWS):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 36, 3), np.uint8)).save(path)
        paths.append(str(path))
        digests.append(bytes.fromhex(sha256_hex(path.read_bytes())))
    return Images(
        Strings.of(paths),
        np.frombuffer(b"".join(digests), np.uint8).reshape(ROWS, 32),
        np.zeros(ROWS, np.int64),
        np.ones(ROWS, np.float32),
        SQUARE,
    )


def _looks(name: str, folder: Path, precision: str = "float32") -> ImageLooks:
    tower = timm.create_model(name, num_classes=0)
    randomise(tower)
    head = Linear(np.random.default_rng(1).normal(size=(CLASSES, tower.num_features)), np.zeros(3))
    classifier = Classifier(tower, SQUARE, head).eval()
    return ImageLooks(classifier, InOrder(_images(folder), 4), precision, 0)


def _train(classifier: Classifier, boundary: str) -> None:
    """Move whatever comes from the boundary on."""
    names = [name for name, _ in classifier.tower.named_parameters()]
    first = next(at for at, name in enumerate(names) if name.startswith(f"{boundary}."))
    with torch.no_grad():
        for name, each in classifier.tower.named_parameters():
            if name in names[first:]:
                each.mul_(1.25)
        classifier.head.weight.add_(0.1)


@pytest.mark.parametrize("memory", [1 << 30, 0], ids=["memory", "disk"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "boundary"), [(name, each) for name, at in TOWERS.items() for each in at]
)
def test_they_are_bit_equal(
    tmp_path: Path, name: str, boundary: str, precision: str, memory: int
) -> None:
    """Before and after a training of the tail, which the images are not read for."""
    images = _looks(name, tmp_path, precision)
    tail = TailLooks(images, boundary, tmp_path, memory=memory)
    before = images()
    assert before.shape == (ROWS, CLASSES)
    assert (tail() == before).all()
    _train(images.classifier, boundary)
    after = images()
    assert not (after == before).any()
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert (tail() == after).all()
    assert (tail() == after).all()
    assert not list(tmp_path.iterdir())


def test_an_image_that_has_changed_is_refused(tmp_path: Path) -> None:
    """When it is read, which is once."""
    images = _looks("test_efficientnet", tmp_path)
    (tmp_path / "5.png").write_bytes((tmp_path / "4.png").read_bytes())
    with pytest.raises(CacheInvalidError, match="not what was embedded"):
        TailLooks(images, "blocks.2.0", tmp_path)
