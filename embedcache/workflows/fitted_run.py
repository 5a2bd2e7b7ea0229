"""`Run`: a fitted head on disk, its `config.json`, and how one of the same wishes is found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from embedcache.errors import EmbedcacheError
from embedcache.extraction.golden import GoldenClaim
from embedcache.heads.artefact import Head
from embedcache.heads.json_records import load_record
from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.heads.report import FitReport
from embedcache.runs.files import read_regular
from embedcache.runs.folder import CONFIG, HEAD, REPORT, list_runs
from embedcache.store.cache import FeatureCache

__all__ = ["Run", "config_bytes", "fitted_before"]

_FILES = ("labels", "classes", "weights")
"""Options that may name a file: what it held then is not known any more."""

_LARGEST = 256 << 20


@dataclass(frozen=True, eq=False)
class Run:
    """A fitted head on disk.

    Attributes:
        path: The run's folder.
        head: The head.
        report: How it was chosen and how good it is; None where no row has a label.
        reused: Whether it was fitted before.
    """

    path: Path
    head: Head
    report: FitReport | MultilabelReport | None
    reused: bool = False


def config_bytes(caches: Sequence[FeatureCache], options: Mapping[str, Any]) -> bytes:
    """The file, as JSON.

    Args:
        caches: What the head is fitted on.
        options: Of the fit, by name: as `fit_head` takes them.
    """
    config = {
        "version": version("embedcache"),
        "caches": [str(each.path) for each in caches],
        "fit": dict(options),
        "backbones": [
            {"request": each.meta.request, "golden": GoldenClaim.of(each).to_json()}
            for each in caches
        ],
    }
    return json.dumps(config, indent=1).encode()


def fitted_before(
    caches: Sequence[FeatureCache], options: Mapping[str, Any], root: Path
) -> Run | None:
    """The newest sound run on the same content, with the same options, by the same version.

    Args:
        caches: What a head is to be fitted on.
        options: Of the fit.
        root: Folder of runs.
    """
    if any(options[name] is not None for name in _FILES):
        return None
    wanted = json.loads(config_bytes(caches, options))
    contents = [cache.content_digest for cache in caches]
    dataset = caches[0].path.parent.name
    runs = sorted(list_runs(root), key=lambda run: (run / HEAD).stat().st_mtime_ns, reverse=True)
    for path in runs:
        try:
            config = json.loads(read_regular(path / CONFIG, _LARGEST))
            if any(config[name] != wanted[name] for name in ("version", "fit")):
                continue
            head = Head.load(path)
            data = read_regular(path / REPORT, _LARGEST)
            report: FitReport | MultilabelReport
            if head.output == "sigmoid":
                report = load_record(MultilabelReport, data)
            else:
                report = load_record(FitReport, data)
        except (EmbedcacheError, ValueError, LookupError, TypeError):
            continue
        digests = [source.content_digest for source in head.sources]
        if digests == contents and head.dataset == dataset:
            return Run(path, head, report, reused=True)
    return None
