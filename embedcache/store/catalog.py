"""Where caches lie: the cache root, the names of files in it, and finding them again.

```
ROOT/<data set>/<backbone>-<identity12>.h5      a cache
ROOT/<data set>/.<backbone>-<identity12>.work/  its unfinished extraction
ROOT/<data set>/files.index                     digests by path and stat, disposable
ROOT/.index/                                    identities by weight file, disposable
```
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from embedcache.errors import UsageError
from embedcache.records.backbone import READING_MARK
from embedcache.records.identity import Identity
from embedcache.storage.roots import root_folder

__all__ = [
    "CachePlace",
    "cache_root",
    "caches_of_identity",
    "choose_cache",
    "find_caches",
    "slug",
]

ROOT_VARIABLE = "EMBEDCACHE_DIR"

_TUNED = "tuned-"
"""How the slug of a tuned backbone begins."""


def cache_root(option: Path | str | None = None) -> Path:
    """The cache root, absolute: `option`, else `EMBEDCACHE_DIR`, else `./cache`.

    Raises:
        UsageError: A file stands there.
    """
    chosen = Path(option or os.environ.get(ROOT_VARIABLE) or "cache").absolute()
    return root_folder(chosen, f"caches ({ROOT_VARIABLE}, --cache-dir)")


def slug(name: str) -> str:
    """A name as part of a file name: letters, digits, `.`, `_`, `#` and `-` only."""
    return re.sub(r"[^A-Za-z0-9._#-]+", "-", name).strip("-.") or "unnamed"


@dataclass(frozen=True)
class CachePlace:
    """All the paths of one cache.

    Attributes:
        root: The cache root.
        dataset: Name of the data set's folder.
        backbone: Name of the backbone.
        identity: Identity of the features.
    """

    root: Path
    dataset: str
    backbone: str
    identity: Identity

    @property
    def folder(self) -> Path:
        """The data set's folder."""
        return self.root / self.dataset

    @property
    def _stem(self) -> str:
        return f"{slug(self.backbone)[:120]}-{self.identity.short}"

    @property
    def file(self) -> Path:
        """The cache itself."""
        return self.folder / f"{self._stem}.h5"

    @property
    def work(self) -> Path:
        """The plan and shards of an unfinished extraction."""
        return self.folder / f".{self._stem}.work"

    @property
    def lock(self) -> Path:
        """Held by whoever writes."""
        return self.folder / f".{self._stem}.lock"

    @property
    def files_index(self) -> Path:
        """Digests by path and stat, shared by all backbones."""
        return self.folder / "files.index"


def find_caches(root: Path) -> list[Path]:
    """All cache files under the root, sorted by path."""
    paths = (path for path in root.glob("*/*.h5") if not path.name.startswith("."))
    return sorted(path for path in paths if path.is_file())


def caches_of_identity(root: Path, identity: Identity) -> list[Path]:
    """All caches under the root whose name claims this identity, newest first."""
    paths = [path for path in find_caches(root) if path.stem.endswith(f"-{identity.short}")]
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def choose_cache(root: Path, command: str, *, frozen: bool = False) -> Path:
    """The newest cache, if all caches under the root are of one data set.

    Caches of activations are for training, and only taken by name.

    Args:
        root: The cache root.
        command: For which command, as the error's next step names it.
        frozen: Rather one of a backbone that nobody has tuned here.

    Raises:
        UsageError: There is none, or there are several data sets.
    """
    paths = [path for path in find_caches(root) if READING_MARK not in path.name]
    if not paths:
        raise UsageError(
            "there is no cache yet",
            where=root,
            hint="embedcache extract SOURCE makes one; --cache-dir points to another root",
        )
    datasets = sorted({path.parent.name for path in paths})
    if len(datasets) > 1:
        listing = "".join(f"\n              {path}" for path in paths)
        raise UsageError(
            f"{len(datasets)} data sets have caches here; say which cache",
            where=root,
            got=listing,
            hint=f"name one of them, as in: embedcache {command} {paths[0]}",
        )
    untuned = [path for path in paths if not path.name.startswith(_TUNED)]
    chosen = (untuned if frozen else []) or paths
    return max(chosen, key=lambda path: path.stat().st_mtime_ns)
