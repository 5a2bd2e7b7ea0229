"""Name a data set: the folder of its caches below the cache root."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from embedcache.datasets.ids import absolute_path
from embedcache.errors import UsageError
from embedcache.storage.digests import sha256_hex

__all__ = ["dataset_name"]

_LONGEST = 48
"""Characters; of four bytes each they still fit into a file name."""


def dataset_name(location: Path | str, name_override: str | None = None) -> str:
    """The name of the data set at `location`, fit for a folder.

    It is the source's base name, without a table's ending, and 8 hexadecimal
    digits of the SHA-256 of its resolved location: two folders called `train`
    never meet.

    Args:
        location: The folder or table.
        name_override: A name to take instead, as it is.

    Raises:
        UsageError: The given name is not fit for a folder.
    """
    if name_override is None:
        digest = sha256_hex(os.fsencode(os.path.realpath(location)))
        path = Path(absolute_path(location))
        base = path.name if path.is_dir() else path.stem
        return f"{_slug(base) or 'data'}-{digest[:8]}"
    slug = _slug(name_override)
    if not slug or name_override != slug:
        raise UsageError(
            "this name does not fit for a folder",
            where="--name",
            got=repr(name_override),
            expected=f"letters, digits, '.', '-' and '_', at most {_LONGEST} of them",
            hint=f"--name {slug or 'my-images'}",
        )
    return name_override


def _slug(name: str) -> str:
    name = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name))
    return name.lstrip(".-")[:_LONGEST].rstrip(".-")
