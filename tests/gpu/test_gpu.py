"""A GPU gives what a CPU gives, repeats itself, and gets over running out of memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from sklearn.datasets import make_classification
from small_training import RECIPE
from torch import nn

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import load_backbone
from embedcache.finetuning.batches import Batch
from embedcache.finetuning.checkpoint import Checkpoint
from embedcache.finetuning.curve import Progress
from embedcache.finetuning.freezing import Freezing
from embedcache.finetuning.sampling import rows_of_step
from embedcache.finetuning.training import Trained, train
from embedcache.heads.features import Features
from embedcache.heads.model import Training
from embedcache.heads.models.logreg import Logreg
from embedcache.heads.selection import select
from embedcache.heads.solver.estimator import SoftmaxRegression
from embedcache.inputs.golden import texture

BUNDLED = BackboneRequest("bundled/efficientnet_lite0")
MODELS = ("efficientnet_lite0", "resnet18", "convnext_atto", "vit_tiny_patch16_224")


def pictures(count: int) -> NDArray[np.uint8]:
    """Crops of the golden picture's texture, (count, 224, 224, 3)."""
    big = texture(224 + count, 224)
    return np.stack([big[start : start + 224] for start in range(count)])


def test_features_are_those_of_a_cpu() -> None:
    """float32 features differ by less than what storing them as float16 rounds away."""
    batch = pictures(24)
    on_cpu = load_backbone(BUNDLED, device="cpu").submit(batch).result()
    backbone = load_backbone(BUNDLED, device="cuda", batch_size=16)
    found = backbone.submit(batch).result()
    assert np.abs(found - on_cpu).max() < np.abs(on_cpu).max() * 2.0**-11


def test_features_do_not_depend_on_what_else_is_in_flight() -> None:
    """Queued behind one another, batches give the bits that they give alone."""
    backbone = load_backbone(BUNDLED, device="cuda", batch_size=16)
    batches = [pictures(40)[start : start + 16] for start in range(24)]
    alone = [backbone.submit(batch).result() for batch in batches]
    pending = [backbone.submit(batch) for batch in batches]
    for expected, found in zip(alone, pending, strict=True):
        assert np.array_equal(found.result(), expected)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A gigabyte and a half of the device's memory, for real."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1.5e9 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("little_memory")
def test_out_of_memory_embeds_the_same_rows_in_smaller_batches() -> None:
    """Every row is there, within the tolerance of another batch size."""
    batch = pictures(512)
    backbone = load_backbone(BUNDLED, device="cuda", batch_size=512)
    found = backbone.submit(batch).result()
    assert backbone.numerics.batch_size < 512
    expected = load_backbone(BUNDLED, device="cuda", batch_size=32).submit(batch).result()
    assert np.abs(found - expected).max() < np.abs(expected).max() * 2.0**-11


@dataclass(frozen=True)
class Noise:
    """Rows of noise, (8, 3, 224, 224), in three classes."""

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        rows = rows_of_step(0, step, 8, 40)
        labels = torch.from_numpy(np.asarray(rows)) % 3
        inputs = torch.randn(8, 3, 224, 224, generator=generator)
        return Batch(inputs, labels, torch.ones(8))


class _Killed(BaseException):
    pass


def tuned(name: str, precision: str, path: Path | None, dies_at: int = -1) -> Trained:
    """A model after twelve steps of all its blocks."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=3).cuda().eval()
    names = tuple(name for name, _ in model.named_parameters())

    def on_step(progress: Progress) -> None:
        if progress.step == dies_at:
            raise _Killed

    return train(
        model,
        Noise(),
        replace(RECIPE, learning_rate=1e-3, precision=precision),
        Freezing((names,), 1),
        checkpoint=None if path is None else Checkpoint(path, "one", 0.0),
        on_step=on_step,
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", MODELS)
def test_a_training_that_was_killed_ends_bit_equal(
    tmp_path: Path, name: str, precision: str
) -> None:
    """Resumed or not, with cuDNN and attention at work, the weights are the same."""
    with pytest.raises(_Killed):
        tuned(name, precision, tmp_path / "state", dies_at=7)
    resumed = tuned(name, precision, tmp_path / "state")
    whole = tuned(name, precision, None)
    differing = [key for key, value in whole.final.items() if not value.equal(resumed.final[key])]
    assert not differing
    assert any(not value.equal(whole.initial[key]) for key, value in whole.final.items())


@pytest.mark.usefixtures("little_memory")
def test_out_of_memory_trains_the_same_rows_in_parts() -> None:
    """A batch that does not fit is computed in parts, and the training ends."""
    model: nn.Module = timm.create_model("efficientnet_lite0", num_classes=3).cuda().eval()
    names = tuple(name for name, _ in model.named_parameters())

    class Large(Noise):
        def batch(self, step: int) -> Batch:
            parts = [super(Large, self).batch(8 * step + part) for part in range(8)]
            return Batch(
                torch.cat([part.inputs for part in parts]),
                torch.cat([part.labels for part in parts]),
                torch.cat([part.weights for part in parts]),
            )

    recipe = replace(RECIPE, batch_size=64, steps=3, precision="float32")
    trained = train(model, Large(), recipe, Freezing((names,), 1))
    assert trained.progress.micro_batch < 64


@pytest.mark.parametrize("classes", [2, 10, 200])
def test_the_solver_finds_the_optimum_of_a_cpu(classes: int) -> None:
    """The same objective, the same predictions."""
    features, labels = make_classification(
        4000, 96, n_informative=40, n_classes=classes, n_clusters_per_class=1, random_state=0
    )
    features = features.astype(np.float32)
    found = SoftmaxRegression(C=0.01, device="cuda").fit(features, labels)
    expected = SoftmaxRegression(C=0.01).fit(features, labels)
    assert found.objective_ == pytest.approx(expected.objective_, rel=1e-6)
    assert (found.predict(features) == expected.predict(features)).mean() >= 0.999


def test_a_head_is_chosen_and_fitted_as_on_a_cpu() -> None:
    """`fit-head --device cuda`: the same choice, the same answers, and the same bits again."""
    labels = np.arange(3000) % 30
    noise = np.random.default_rng(0).normal(size=(3000, 64))
    table = (noise + 1.5 * np.eye(64)[labels]).astype(np.float16)
    training = [
        Training(Features(table, np.arange(3000), device), labels, 0)
        for device in ("cpu", "cuda", "cuda")
    ]
    folds, alone = np.arange(3000) % 5, np.full(3000, -1, np.int32)
    chosen = [select(Logreg(), each, alone, folds) for each in training]
    heads = [one.fit(Logreg(), each) for one, each in zip(chosen, training, strict=True)]
    assert len({one.record.setting["C"] for one in chosen}) == 1
    answers = [head.form.logits(table.astype(np.float64)) for head in heads]
    assert (answers[0].argmax(1) == answers[1].argmax(1)).mean() >= 0.999
    assert np.array_equal(answers[1], answers[2])
