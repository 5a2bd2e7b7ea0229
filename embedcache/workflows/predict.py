"""Classify new images with a run's head, on features of its own backbones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.backbones.base import Backbone
from embedcache.datasets.options import SourceOptions
from embedcache.datasets.source import open_source
from embedcache.heads.artefact import Head
from embedcache.records.manifest import NO_CODE, Manifest, SourceRecord
from embedcache.records.strings import Strings
from embedcache.runs.folder import find_run, runs_root
from embedcache.store.catalog import cache_root
from embedcache.workflows.predict_features import FeaturePredictor, takes_features
from embedcache.workflows.prediction import Prediction
from embedcache.workflows.run_backbones import embed_images, run_backbones

__all__ = ["Predictor", "open_predictor", "predict"]


class Predictor:
    """A run, ready to classify; its backbones are loaded only if an image is not cached.

    Args:
        run: Name or folder of the run.
        cache_dir: The cache root whose features may be reused.
        runs_dir: Folder of runs.
        device: Where to embed.
        batch_size: Images per forward pass.
        workers: Threads that read and decode.
        backbone: A backbone in memory, for runs that were made with one; of several the
            list, one for each source of the head.

    Raises:
        UsageError: There is no such run.
        CacheInvalidError: It is damaged.
        IdentityMismatchError: A backbone of it is not on this machine any more.
        DriftError: This environment does not reproduce its features.
    """

    def __init__(
        self,
        run: str | os.PathLike[str],
        *,
        cache_dir: Path | None = None,
        runs_dir: Path | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        workers: int | None = None,
        backbone: Backbone | Sequence[Backbone] | None = None,
    ) -> None:
        self.path = find_run(os.fspath(run), runs_root(runs_dir))
        self.head = Head.load(self.path)
        self._workers = workers
        self._backbones = run_backbones(
            self.path,
            self.head,
            cache_root(cache_dir),
            device=device,
            batch_size=batch_size,
            backbones=_listed(backbone),
        )

    def predict(self, images: Sequence[str | os.PathLike[str]]) -> Iterator[Prediction]:
        """Classify images, folders of images, or the images of a CSV or Parquet manifest."""
        for name in images:
            manifest = _manifest(Path(name))
            for chunk in embed_images(manifest, self._backbones, self._workers):
                probabilities = self.head.predict_proba(chunk.features)
                abstained = self.head.abstains(probabilities)
                for position, row in enumerate(chunk.rows):
                    id_ = manifest.ids[row]
                    shown = os.path.join(os.fsencode(name), id_) if Path(name).is_dir() else id_
                    reject = chunk.rejects.get(position)
                    if reject is None:
                        yield Prediction(
                            shown, probabilities[position], "", bool(abstained[position])
                        )
                    else:
                        yield Prediction(shown, None, f"{reject.reason.label}: {reject.detail}")


def predict(
    run: str | os.PathLike[str], images: Sequence[str | os.PathLike[str]], **options: object
) -> list[Prediction]:
    """Classify images, or files of imported features, with a run; options as for `Predictor`."""
    return list(open_predictor(run, **options).predict(images))  # type: ignore[arg-type]  # passed through by name


def open_predictor(
    run: str | os.PathLike[str], *, runs_dir: Path | None = None, **options: Any
) -> Predictor | FeaturePredictor:
    """A run, ready to classify what it was fitted on: images, or features made elsewhere.

    Args:
        run: Name or folder of the run.
        runs_dir: Folder of runs.
        options: The others of `Predictor`.

    Raises:
        EmbedcacheError: As `Predictor` says.
    """
    path = find_run(os.fspath(run), runs_root(runs_dir))
    head = Head.load(path)
    return FeaturePredictor(head) if takes_features(head) else Predictor(path, **options)


def _listed(backbone: Backbone | Sequence[Backbone] | None) -> Sequence[Backbone]:
    if backbone is None:
        return ()
    return backbone if isinstance(backbone, Sequence) else (backbone,)


def _manifest(path: Path) -> Manifest:
    if path.is_dir():
        return open_source(path, SourceOptions(labels="none"))
    if path.suffix.lower() in {".csv", ".tsv", ".parquet"}:
        return open_source(path)
    return Manifest(
        SourceRecord("file", str(path)),
        os.getcwd(),
        Strings.of([os.fsencode(path)]),
        np.full(1, NO_CODE, np.int32),
        Strings.of([]),
        np.zeros(1, np.uint8),
        np.full(1, NO_CODE, np.int32),
        Strings.of([]),
    )
