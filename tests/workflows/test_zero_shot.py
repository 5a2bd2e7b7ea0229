"""Zero-shot from a cache of an open_clip backbone, with and without labels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from builders import image_folder, make_cache
from command import Command
from safetensors.torch import load_file, save_file
from small_models import SmallModel, talking_clip_model

from embedcache.errors import BackboneError, IdentityMismatchError, UsageError
from embedcache.store.cache import FeatureCache
from embedcache.store.writer import write_cache
from embedcache.workflows.compare import compare
from embedcache.workflows.extract import extract_source
from embedcache.workflows.fit import fit_head
from embedcache.workflows.predict import predict
from embedcache.workflows.zero_shot import PROMPTS, class_features, read_classes


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    """A small model that open_clip's tokenizer can speak to."""
    return talking_clip_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def place(clip: SmallModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures and their caches, one with labels, one without."""
    folder = tmp_path_factory.mktemp("zero-shot")
    image_folder(folder / "photos")
    for root, labels in (("cache", "auto"), ("bare", "none")):
        extract_source(
            folder / "photos",
            clip.request.name,
            weights=clip.request.weights,
            cache_dir=folder / root,
            labels=labels,
        )
    return folder


@pytest.fixture
def cache(place: Path) -> FeatureCache:
    """Of labelled pictures."""
    return FeatureCache(next((place / "cache").glob("*/*.h5")))


@pytest.fixture
def bare(place: Path) -> FeatureCache:
    """Of the same pictures without labels."""
    return FeatureCache(next((place / "bare").glob("*/*.h5")))


def test_the_weights_are_open_clips_own(
    clip: SmallModel, cache: FeatureCache, tmp_path: Path
) -> None:
    """Class names with the standard prompts give the classifier that open_clip builds."""
    run = fit_head(cache, model="zero-shot", runs_dir=tmp_path)
    tokenizer = open_clip.get_tokenizer("talking-clip")
    expected = open_clip.build_zero_shot_classifier(
        clip.model, tokenizer, ["class0", "class1", "class2"], PROMPTS
    )
    scale = float(clip.model.logit_scale.detach().exp())
    weights = run.head.form.linear.weights
    assert weights / scale == pytest.approx(expected.T.numpy(), abs=1e-6)
    features = torch.from_numpy(cache.X.astype(np.float32))
    logits = scale * torch.nn.functional.normalize(features, dim=1) @ expected
    answers = run.head.predict_proba(cache.X)
    assert answers == pytest.approx(logits.softmax(dim=1).numpy(), abs=1e-5)


def test_a_labelled_cache_gives_a_report(cache: FeatureCache, place: Path, tmp_path: Path) -> None:
    """With intervals, a page that says how to repeat it, and rows to compare with other heads."""
    run = fit_head(cache, model="zero-shot", runs_dir=tmp_path)
    assert run.report is not None
    assert run.report.rows.judged == 12
    assert any("itap of a {}." in note for note in run.report.notes)
    page = (run.path / "report.html").read_text()
    assert "--model zero-shot" in page
    assert "Nothing is fitted" in page
    other = fit_head(cache, model="ncm", runs_dir=tmp_path)
    assert compare([run.path, other.path], runs_dir=tmp_path).rows == 12
    found = predict(run.path, [place / "photos"], cache_dir=place / "cache")
    assert np.array_equal([each.probabilities for each in found], run.head.predict_proba(cache.X))


def test_names_and_prompts_of_ones_own(cache: FeatureCache, tmp_path: Path) -> None:
    """They change the head, and the page repeats them."""
    plain = fit_head(cache, model="zero-shot", runs_dir=tmp_path)
    run = fit_head(
        cache,
        model="zero-shot",
        classes=["class2", "class0", "class1", "other"],
        prompts=["a {}", "the {}"],
        runs_dir=tmp_path,
    )
    assert run.head.classes == ("class2", "class0", "class1", "other")
    assert not np.allclose(run.head.form.linear.weights[1], plain.head.form.linear.weights[0])
    page = (run.path / "report.html").read_text()
    assert "--classes class2,class0,class1,other" in page
    assert page.count("--prompt") == 2


def test_without_labels_there_is_a_head_and_no_score(
    bare: FeatureCache, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says so, and predict works."""
    cli = Command(capsys)
    command = ("fit-head", bare.path, "--model", "zero-shot", "--runs-dir", tmp_path)
    done = cli.well(*command, "--classes", "cat,dog")
    assert "no labelled rows: no score" in done.out
    (run,) = tmp_path.glob("*-1")
    assert not (run / "report.json").exists()
    assert not (run / "report.html").exists()
    assert len(predict(run, [place / "photos"], cache_dir=place / "bare")) == 12
    names = tmp_path / "names.txt"
    names.write_text("solar cell\n\nlarge, red dog\n")
    done = cli.well(*command, "--classes", names, "--json")
    assert done.json["report"] is None
    head = json.loads((Path(done.json["run"]) / "head.json").read_text())
    assert head["classes"] == ["solar cell", "large, red dog"]
    done = cli("compare", run, done.json["run"])
    assert done.code == 2
    assert "nothing to compare" in done.err
    done = cli(*command)
    assert done.code == 2
    assert "--classes cat,dog" in done.err


def test_the_prompts_are_open_clips_simple_ones() -> None:
    """Word by word."""
    theirs = [template("cat") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES]
    assert [prompt.replace("{}", "cat") for prompt in PROMPTS] == theirs


def test_underscores_and_hyphens_are_spaces() -> None:
    """A name is what a person would say, and braces in it are only text."""
    seen: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.tile(np.eye(4)[:2], (len(texts) // 2, 1))

    features = class_features(encode, ["solar_cell", "X-ray--tube", "{0}"], ["a {}.", "the {}"])
    assert seen == [
        "a solar cell.",
        "the solar cell",
        "a X ray tube.",
        "the X ray tube",
        "a {0}.",
        "the {0}",
    ]
    assert features == pytest.approx(np.tile([0.5**0.5, 0.5**0.5, 0, 0], (3, 1)))


def test_names_are_read_from_a_text_a_file_or_a_list(tmp_path: Path) -> None:
    """A file that is not UTF-8 is a usage error."""
    assert read_classes(" cat, dog ,") == ("cat", "dog")
    assert read_classes(["a", "b,c"]) == ("a", "b,c")
    path = tmp_path / "names"
    path.write_bytes("café\nthé\n".encode())
    assert read_classes(str(path)) == ("café", "thé")
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_classes(str(path))


def test_the_text_tower_must_be_the_features_own(
    clip: SmallModel, cache: FeatureCache, tmp_path: Path
) -> None:
    """A file with another image tower is refused; the same weights elsewhere are welcome."""
    assert clip.request.weights is not None
    state = load_file(clip.request.weights)
    save_file(state, tmp_path / "copy.safetensors")
    options = {"model": "zero-shot", "runs_dir": tmp_path / "runs"}
    run = fit_head(cache, weights=tmp_path / "copy.safetensors", **options)
    assert "--weights" in (run.path / "report.html").read_text()
    state["visual.proj"] += 1
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(IdentityMismatchError, match="not of the model"):
        fit_head(cache, weights=tmp_path / "other.safetensors", **options)


def test_what_zero_shot_cannot_do_is_said(cache: FeatureCache, tmp_path: Path) -> None:
    """Each with a way on."""
    wrong = [
        ({"classes": "cat"}, "two classes"),
        ({"classes": "cat,dog,cat"}, "named twice"),
        ({"prompts": ["a photo"]}, "no place for the name"),
        ({"values": (1.0,)}, "no parameter"),
    ]
    for options, message in wrong:
        with pytest.raises(UsageError, match=message):
            fit_head(cache, model="zero-shot", runs_dir=tmp_path, **options)
    with pytest.raises(UsageError, match="--classes is for zero-shot"):
        fit_head(cache, model="ncm", classes="a,b", runs_dir=tmp_path)
    memory = make_cache(tmp_path / "memory.h5")
    with pytest.raises(BackboneError, match="does not say how to load"):
        fit_head(memory, model="zero-shot", runs_dir=tmp_path)
    elsewhere = replace(cache.meta, request={"features_sha256": "0" * 64})
    write_cache(tmp_path / "imported.h5", cache.tables, elsewhere, [cache.X])
    with pytest.raises(BackboneError, match="does not say how to load"):
        fit_head(tmp_path / "imported.h5", model="zero-shot", runs_dir=tmp_path)
    with pytest.raises(UsageError, match="one backbone"):
        _ = fit_head([cache, _other_layer(tmp_path, cache)], model="zero-shot", runs_dir=tmp_path)


def _other_layer(folder: Path, cache: FeatureCache) -> FeatureCache:
    """The same rows, as if they were of an earlier layer."""
    spec = replace(cache.meta.backbone, identity=replace(cache.identity, layer="early"))
    path = folder / "early.h5"
    write_cache(path, cache.tables, replace(cache.meta, backbone=spec), [cache.X])
    return FeatureCache(path)


def test_logreg_shrinks_towards_it(cache: FeatureCache, tmp_path: Path) -> None:
    """At a strong penalty they are one head but for the temperature; the page repeats it."""
    zero = fit_head(cache, model="zero-shot", runs_dir=tmp_path)
    run = fit_head(cache, init="zero-shot", values=(1e-9,), runs_dir=tmp_path)
    assert run.head.form.name == "cosine"
    own = run.head.form.linear.weights * run.head.chosen.temperature
    assert own == pytest.approx(zero.head.form.linear.weights, abs=1e-3)
    assert run.path.name.endswith("-logreg-from-zero-shot-1")
    assert "--init zero-shot" in (run.path / "report.html").read_text()
    for wrong in ({"model": "ridge"}, {"init": "random"}, {"classes": "a,b"}):
        with pytest.raises(UsageError):
            fit_head(cache, **{"init": "zero-shot", "runs_dir": tmp_path, **wrong})
