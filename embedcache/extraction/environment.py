"""What this process runs on, as recorded in every cache, without importing any of it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

__all__ = ["environment", "fingerprint", "utc_now"]

_PACKAGES = ("embedcache", "torch", "torchvision", "timm", "open_clip_torch", "pillow", "numpy")


def environment() -> dict[str, str]:
    """Versions of everything that a feature's rounding may depend on, and the platform."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return {**versions, "system": platform.system(), "machine": platform.machine()}


def fingerprint(value: dict[str, str]) -> str:
    """12 hexadecimal digits of an environment's digest."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def utc_now() -> str:
    """The time in UTC, ISO 8601; `SOURCE_DATE_EPOCH` overrides it for reproducible files.

    Source: https://reproducible-builds.org/specs/source-date-epoch/
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
    return now.isoformat(timespec="seconds")
