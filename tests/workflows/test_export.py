"""A run becomes one ONNX model, if that gives the run's own predictions."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from builders import image_folder
from lab import Lab
from pages import ROOT, blocks
from shop import BACKBONE, Shop

from embedcache.backbones import onnx_graph
from embedcache.errors import DriftError, MissingExtraError, UsageError
from embedcache.heads.artefact import Head
from embedcache.inputs.golden import golden_bytes
from embedcache.workflows import export
from embedcache.workflows.export import TOLERANCE, export_onnx
from embedcache.workflows.extract import extract_source
from embedcache.workflows.fit import fit_head
from embedcache.workflows.import_features import import_features
from embedcache.workflows.predict import predict


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Twelve pictures in three classes, cached and fitted."""
    shop = Shop(tmp_path_factory.mktemp("export"))
    image_folder(shop.photos)
    extract_source(shop.photos, **BACKBONE, cache_dir=shop.cache_dir)
    fit_head(cache_dir=shop.cache_dir, runs_dir=shop.runs_dir, values=(0.1,))
    return shop


@pytest.fixture(scope="module")
def model(shop: Shop) -> Path:
    """The run as a model."""
    result = export_onnx(shop.run, shop.folder / "model.onnx", cache_dir=shop.cache_dir)
    assert result.images == 9
    assert result.largest_difference <= TOLERANCE
    assert result.bytes == result.output.stat().st_size
    return result.output


def test_the_documented_lines_give_the_runs_prediction(
    shop: Shop,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a picture that EXIF turns, without a line of ours."""
    (tmp_path / "model.onnx").write_bytes(model.read_bytes())
    (tmp_path / "photo.jpg").write_bytes(golden_bytes())
    monkeypatch.chdir(tmp_path)
    (code,) = [b.text for b in blocks(ROOT / "docs" / "onnx.md") if b.language == "python"]
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # noqa: S102  # the page's own lines
    (expected,) = predict(shop.run, ["photo.jpg"], cache_dir=shop.cache_dir, device="cpu")
    assert expected.probabilities is not None
    np.testing.assert_allclose(namespace["probabilities"], expected.probabilities, atol=TOLERANCE)
    answer = Head.load(shop.run).classes[int(expected.probabilities.argmax())]
    assert capsys.readouterr().out.startswith(answer)


def test_the_metadata_say_what_the_model_is(shop: Shop, model: Path) -> None:
    """Readable by any runtime."""
    session = onnxruntime.InferenceSession(model)
    about = json.loads(session.get_modelmeta().custom_metadata_map[export.METADATA])
    head = Head.load(shop.run)
    assert about["classes"] == list(head.classes)
    assert about["abstain_below"] is None
    assert about["identity"] == head.sources[0].identity.to_json()
    assert about["content_digest"] == head.sources[0].content_digest
    assert about["preprocessing"]["crop"] == [32, 32]
    assert about["input"]["shape"] == [
        "batch" if isinstance(side, str) else side for side in session.get_inputs()[0].shape
    ]


def _fake_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that is quick, and whose model is no use."""
    monkeypatch.setattr(onnx_graph, "onnx_bytes", lambda *_, **__: b"model")


def test_a_model_that_differs_is_not_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest difference is named; NaN is a difference."""
    _fake_export(monkeypatch)
    target = shop.folder / "wrong.onnx"
    for value, words in ((0.0, "differs by 0"), (np.nan, "differs by nan")):
        monkeypatch.setattr(
            onnx_graph, "run_onnx", lambda _, pixels, value=value: np.full((len(pixels), 3), value)
        )
        with pytest.raises(DriftError) as error:
            export_onnx(shop.run, target, cache_dir=shop.cache_dir)
        assert words in str(error.value)
    assert not target.exists()


def test_without_the_cache_the_golden_picture_is_checked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run may have moved to another machine."""
    _fake_export(monkeypatch)
    seen = []
    monkeypatch.setattr(
        onnx_graph, "run_onnx", lambda _, pixels: seen.append(len(pixels)) or np.zeros((1, 3))
    )
    monkeypatch.setattr(export, "FeatureCache", lambda _: (_ for _ in ()).throw(OSError))
    with pytest.raises(DriftError, match="on 1 images"):
        export_onnx(shop.run, tmp_path / "m.onnx", cache_dir=tmp_path)
    assert seen == [1, 1]


def test_a_missing_library_is_named(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is loaded."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"embedcache\[onnx\]"):
        export_onnx(shop.run)


def test_runs_that_cannot_be_one_model_are_refused(
    lab: Lab, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backbone in memory, imported features, several sources, another precision."""
    lab.extract()
    with pytest.raises(UsageError, match="given from Python"):
        export_onnx(lab.fit(values=(1.0,)).path, cache_dir=lab.cache_dir)
    np.save(tmp_path / "f.npy", np.random.default_rng(0).normal(size=(20, 3)))
    lines = [f"{row},{'ab'[row % 2]}" for row in range(20)]
    (tmp_path / "f.csv").write_text("\n".join(["id,label", *lines]))
    imported = import_features(
        tmp_path / "f.npy", "dino", labels=tmp_path / "f.csv", cache_dir=tmp_path / "imported"
    )
    run = fit_head(imported.cache, runs_dir=tmp_path / "runs", values=(1.0,))
    with pytest.raises(UsageError, match="no backbone to export"):
        export_onnx(run.path)
    head = Head.load(shop.run)
    (source,) = head.sources
    half = replace(source, identity=replace(source.identity, precision="bfloat16"))
    for sources, words in (((source, half), "several backbones"), ((half,), "float32")):
        other = replace(head, sources=sources)
        monkeypatch.setattr(export.Head, "load", lambda _, other=other: other)
        with pytest.raises(UsageError, match=words):
            export_onnx(shop.run)
