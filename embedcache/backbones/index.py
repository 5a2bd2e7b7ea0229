"""Know a backbone's identity without loading it, as long as its weight files are unchanged.

The index is disposable: one small file per request and set of library versions. Anything
off, a version, a file's state, the index itself, and the backbone is loaded and asked.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.weight_file import WeightFile, file_state
from embedcache.inputs.images import DECODE_CONTRACT
from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import IDENTITY_VERSION
from embedcache.records.json_text import parse_json
from embedcache.storage.publish import make_dir, write_atomic

__all__ = ["remember_spec", "resolve_spec"]

_PACKAGES = (
    "embedcache",
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "transformers",
    "pillow",
)


def resolve_spec(request: BackboneRequest, index_dir: Path) -> BackboneSpec | None:
    """What is known of a request, without importing torch; `None` if nothing certain is."""
    try:
        content = parse_json(_path(request, index_dir).read_bytes())
        entry = content["entry"]
        if content["sum"] != _sum(entry) or entry["request"] != _key(request):
            return None
        if any(list(file_state(Path(path))) != state for path, state in entry["files"].items()):
            return None
        return BackboneSpec.from_json(entry["spec"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def remember_spec(
    request: BackboneRequest,
    spec: BackboneSpec,
    weight_files: Sequence[WeightFile],
    index_dir: Path,
) -> None:
    """Record what a loaded backbone is, unless a weight file was quite new when it was read.

    Raises:
        StorageError: The index cannot be written.
    """
    if not all(file.is_settled for file in weight_files):
        return
    files = {str(file.path): list(file.state) for file in weight_files}
    entry = {"request": _key(request), "spec": spec.to_json(), "files": files}
    make_dir(index_dir)
    content = {"sum": _sum(entry), "entry": entry}
    write_atomic(_path(request, index_dir), json.dumps(content).encode())


def _key(request: BackboneRequest) -> dict[str, Any]:
    """The request, and everything else that its identity depends on but the weight files."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "absent"
    return {
        **request.to_json(),
        "versions": versions,
        "decode": DECODE_CONTRACT,
        "identity": IDENTITY_VERSION,
    }


def _path(request: BackboneRequest, index_dir: Path) -> Path:
    return index_dir / f"backbone-{_sum(_key(request))[:16]}.json"


def _sum(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
