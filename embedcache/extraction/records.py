"""The values that go into and come out of an extraction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = [
    "Estimate",
    "ExtractOptions",
    "ExtractResult",
    "NotesOnly",
    "Observer",
    "SilentObserver",
    "Timings",
]


@dataclass(frozen=True)
class ExtractOptions:
    """How to extract.

    Attributes:
        cache_dir: The cache root; `EMBEDCACHE_DIR` or `./cache` if not given.
        name: Name of the data set's folder, instead of one made from the source's place.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        batch_size: Images per forward pass; by default what suits the device.
        workers: Threads that read and decode; by default one per core.
        limit: Only that many images, spread evenly over the source.
        overwrite: Embed everything again, whatever is cached.
        prune: Allow the cache to lose more than a tenth of its rows.
        checksum: Read every file, even those whose stat has not changed.
        on_error: `reject` records an unreadable image and goes on, `fail` stops.
        compile: Compile the model with torch.compile first.
        minutes: After which no other job is begun, once one had to embed.
    """

    cache_dir: Path | None = None
    name: str | None = None
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    limit: int | None = None
    overwrite: bool = False
    prune: bool = False
    checksum: bool = False
    on_error: str = "reject"
    compile: bool = False
    minutes: float = math.inf


class Observer(Protocol):
    """Hears how an extraction goes."""

    def note(self, text: str) -> None:
        """A sentence that a person should read."""
        ...

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` images have been dealt with."""
        ...


class SilentObserver:
    """An observer for callers that want no messages."""

    def note(self, text: str) -> None:
        """Nobody listens."""

    def progress(self, done: int, total: int) -> None:
        """Nobody watches."""


class NotesOnly(SilentObserver):
    """Passes on the sentences, and no progress.

    Args:
        notify: Told each sentence.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify

    def note(self, text: str) -> None:
        """Pass it on."""
        self._notify(text)


@dataclass
class Timings:
    """Seconds spent in each stage.

    Attributes:
        read: Reading and hashing, summed over threads.
        decode: Decoding and preprocessing, summed over threads.
        forward: The backbone, on the thread that drives it.
        wait: That thread waiting for images.
        write: Shards and the final file.
        total: Wall time of the whole extraction.
    """

    read: float = 0.0
    decode: float = 0.0
    forward: float = 0.0
    wait: float = 0.0
    write: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction did.

    Attributes:
        cache: Absolute path of the cache file.
        rows: Rows in it.
        embedded: Images that went through the backbone.
        reused: Rows whose features were already cached.
        duplicates: Rows whose bytes another row of this run has.
        rejected: Inputs without a row.
        reasons: How many, by reason.
        bytes: Size of the cache file.
        published: Whether the file changed.
        seconds: Wall time.
        timings: By stage.
        advice: What bounded the speed, and what would help.
    """

    cache: Path
    rows: int
    embedded: int
    reused: int
    duplicates: int
    rejected: int
    reasons: Counter[str]
    bytes: int
    published: bool
    seconds: float
    timings: Timings = field(default_factory=Timings)
    advice: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One flat object, as `--json` prints it."""
        return {
            "cache": str(self.cache),
            "rows": self.rows,
            "embedded": self.embedded,
            "reused": self.reused,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "reasons": dict(self.reasons),
            "bytes": self.bytes,
            "published": self.published,
            "seconds": round(self.seconds, 3),
            "timings": {name: round(value, 3) for name, value in vars(self.timings).items()},
            "advice": list(self.advice),
        }


@dataclass(frozen=True)
class Estimate:
    """What an extraction would do.

    Attributes:
        cache: Where the cache would be.
        rows: Images in the source.
        cached: Of them, known to be cached.
        to_embed: At most that many forward passes; fewer if unread files are cached elsewhere.
        bytes: Expected size of the cache file.
        images_per_second: Measured in a short warm-up; 0 where nothing is to be embedded.
        seconds: Expected duration.
        advice: What would make it faster, measured.
    """

    cache: Path
    rows: int
    cached: int
    to_embed: int
    bytes: int
    images_per_second: float
    seconds: float
    advice: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """One flat object, as `--json` prints it."""
        return {**vars(self), "cache": str(self.cache), "advice": list(self.advice)}
