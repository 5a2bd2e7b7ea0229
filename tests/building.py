"""Build a bundled backbone once for many tests: reading and folding it takes a second."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from embedcache.backbones import from_bundled, load


@contextmanager
def built_once() -> Iterator[None]:
    """Within it a bundled backbone is built once, and every caller gets a copy."""
    architectures: dict[Any, Any] = {}
    backbones: dict[Any, Any] = {}
    build, load_backbone = from_bundled.build, load.load_backbone

    def build_once(name: Any, request: Any) -> Any:
        if (name, request) not in architectures:
            architectures[name, request] = build(name, request)
        found = architectures[name, request]
        return replace(found, module=copy.deepcopy(found.module))

    def load_once(request: Any, **options: Any) -> Any:
        if not request.name.startswith("bundled/"):
            return load_backbone(request, **options)
        key = request, *sorted(options.items())
        if key not in backbones:
            backbones[key] = load_backbone(request, **options)
        return copy.copy(backbones[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(from_bundled, "build", build_once)
        patch.setattr(load, "load_backbone", load_once)
        yield
