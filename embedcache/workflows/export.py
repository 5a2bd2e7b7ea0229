"""Export a run as one ONNX model, checked against the run's own predictions.

B is the number of images, H and W the input's height and width, K the number of classes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.errors import (
    DriftError,
    EmbedcacheError,
    InputRejectedError,
    UsageError,
)
from embedcache.heads.artefact import Head
from embedcache.inputs.files import read_regular
from embedcache.inputs.golden import golden_bytes
from embedcache.inputs.preprocess import Preprocessing
from embedcache.records.imported import is_imported
from embedcache.records.json_text import parse_json
from embedcache.runs.folder import CONFIG, find_run, runs_root
from embedcache.storage.digests import sha256
from embedcache.storage.publish import write_atomic
from embedcache.store.cache import FeatureCache
from embedcache.store.catalog import cache_root
from embedcache.workflows.run_backbones import run_backbones

__all__ = ["METADATA", "TOLERANCE", "ExportResult", "export_onnx"]

METADATA = "embedcache"
"""Key of the model's metadata that holds all of ours, as JSON."""

TOLERANCE = 1e-3
"""Largest allowed difference of a probability. onnxruntime rounds otherwise than PyTorch, and
a feature next to a step of float16 falls to its other side."""

_IMAGES = 8
_SEED = 0


@dataclass(frozen=True)
class ExportResult:
    """What was written, and how it was checked.

    Attributes:
        output: The model.
        bytes: Its size.
        images: Images that it was checked on: of the cache's source, and the packaged one.
        largest_difference: Between a probability of the model and one of the run.
    """

    output: Path
    bytes: int
    images: int
    largest_difference: float

    def to_json(self) -> dict[str, Any]:
        """One flat object, as `--json` prints it."""
        return {**asdict(self), "output": str(self.output)}


def export_onnx(
    run: str | os.PathLike[str],
    output: Path | None = None,
    *,
    runs_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> ExportResult:
    """Write backbone, normalisation and head of a run as one ONNX model.

    It takes `pixels`, (B, H, W, 3) uint8, and gives `probabilities`, (B, K) float32.

    Args:
        run: Name or folder of the run.
        output: The file; by default the run's name and `.onnx` in the working folder.
        runs_dir: Folder of runs.
        cache_dir: The cache root.

    Raises:
        UsageError: There is no such run, or one whose model cannot be one graph.
        MissingExtraError: The ONNX libraries are not installed.
        BackboneError: PyTorch cannot export the backbone.
        DriftError: The exported model does not give the run's predictions; nothing is written.
        StorageError: The file cannot be written.
    """
    from embedcache.backbones.load import build_architecture
    from embedcache.backbones.onnx_graph import check_onnx_is_here, onnx_bytes, run_onnx
    from embedcache.heads.torch_forms import torch_form

    check_onnx_is_here()
    path = find_run(os.fspath(run), runs_root(runs_dir))
    head = Head.load(path)
    _check_exportable(head, path)
    (entry,) = run_backbones(path, head, cache_root(cache_dir), device="cpu")
    backbone = entry.source.load()
    pixels = np.stack([_golden(backbone), *_source_images(path, backbone)])
    expected = _run_predictions(head, backbone, pixels)
    identity = head.sources[0].identity
    data = onnx_bytes(
        build_architecture(BackboneRequest.from_json(entry.source.request)).module,
        Preprocessing.from_identity(identity),
        identity.stored_dtype,
        torch_form(head.form),
        {METADATA: json.dumps(_metadata(path, head), ensure_ascii=False)},
        several=head.output == "sigmoid",
    )
    difference = _check(lambda batch: run_onnx(data, batch), pixels, expected, path)
    target = output or Path(f"{path.name}.onnx")
    write_atomic(target.absolute(), data)
    return ExportResult(target.absolute(), len(data), len(pixels), difference)


def _check_exportable(head: Head, run: Path) -> None:
    if len(head.sources) != 1:
        raise UsageError(
            "a head of several backbones cannot be exported as one model",
            where=run,
            got=head.backbone,
            hint="fit a head on one of the caches: embedcache fit-head CACHE",
        )
    identity = head.sources[0].identity
    if is_imported(identity):
        raise UsageError(
            "this run was fitted on imported features: there is no backbone to export",
            where=run,
            got=head.backbone,
        )
    if identity.precision != "float32":
        raise UsageError(
            "the exported model would compute in float32, unlike this run",
            where=run,
            got=f"precision {identity.precision}",
            hint="extract with --precision float32, fit, and export that run",
        )


def _golden(backbone: Backbone) -> NDArray[np.uint8]:
    return backbone.prepare(golden_bytes())


def _source_images(run: Path, backbone: Backbone) -> list[NDArray[np.uint8]]:
    """Prepared images of the cache that the run was fitted on, as far as both are still here."""
    try:
        config = parse_json((run / CONFIG).read_bytes())
        cache = FeatureCache(config["caches"][0])
    except (EmbedcacheError, OSError, ValueError, LookupError, TypeError):
        return []
    rows = np.random.default_rng(_SEED).permutation(len(cache))[:_IMAGES]
    images = []
    for row in map(int, rows):
        name = os.path.join(os.fsencode(cache.meta.root), cache.ids[row])
        try:
            content = read_regular(name)
            if sha256(content) == cache.sha256[row].tobytes():
                images.append(backbone.prepare(content))
        except InputRejectedError:
            continue
    return images


def _run_predictions(
    head: Head, backbone: Backbone, pixels: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """What `predict` says of prepared images, (B, K)."""
    size = backbone.numerics.batch_size
    batches = [pixels[at : at + size] for at in range(0, len(pixels), size)]
    features = np.concatenate([backbone.submit(batch).result() for batch in batches])
    return head.predict_proba(features.astype(head.sources[0].identity.stored_dtype))


def _check(
    model: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    pixels: NDArray[np.uint8],
    expected: NDArray[np.float64],
    run: Path,
) -> float:
    """The largest difference between model and run, together and one by one.

    Raises:
        DriftError: It is larger than `TOLERANCE`.
    """
    found = [model(pixels), np.concatenate([model(image[None]) for image in pixels[:2]])]
    differences = [np.abs(each - expected[: len(each)]).max() for each in found]
    largest = float(np.max(differences))
    if not largest <= TOLERANCE:  # NaN is not
        raise DriftError(
            "the exported model does not give the run's predictions; nothing was written",
            where=run,
            got=f"a probability that differs by {largest:.2g}",
            expected=f"at most {TOLERANCE:g}, on {len(pixels)} images",
            hint="use `embedcache predict`",
        )
    return largest


def _metadata(run: Path, head: Head) -> dict[str, Any]:
    """What whoever uses the model must know: above all, how an image becomes its input."""
    (source,) = head.sources
    preprocessing = Preprocessing.from_identity(source.identity)
    height, width = preprocessing.image_size
    return {
        "format": 1,
        "embedcache": version("embedcache"),
        "run": run.name,
        "model": head.model,
        "classes": list(head.classes),
        "output": head.output,
        "abstain_below": head.abstain and head.abstain.threshold,
        "input": {
            "name": "pixels",
            "shape": ["batch", height, width, 3],
            "dtype": "uint8",
            "meaning": "RGB, upright by EXIF, resized and cropped as below; the graph normalises",
        },
        "preprocessing": {
            "resize": preprocessing.resize,
            "resize_to": list(preprocessing.resize_to),
            "crop": list(preprocessing.image_size),
            "interpolation": preprocessing.interpolation,
            "antialias": True,
            "fill": preprocessing.fill and list(preprocessing.fill),
            "mean": list(preprocessing.mean),
            "std": list(preprocessing.std),
            "normalised_in_graph": True,
        },
        "backbone": source.backbone,
        "identity": source.identity.to_json(),
        "identity_digest": source.identity.digest,
        "content_digest": source.content_digest,
    }
