"""Extract with a backbone that takes its time, in jobs small enough to be killed between them.

    python slow_extract.py PHOTOS CACHE_DIR SECONDS_PER_BATCH

Prints a line when it starts to embed, so that whoever kills it can tell how far it was.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from fakes import FakeBackbone

from embedcache.extraction import plan
from embedcache.workflows.extract import extract_source


def main(photos: str, cache_dir: str, seconds: str) -> None:
    plan._LEAST_ROWS = 8
    backbone = FakeBackbone(before_batch=lambda _: time.sleep(float(seconds)))
    print("started", flush=True)  # noqa: T201  # read by the test
    extract_source(Path(photos), backbone, cache_dir=Path(cache_dir), num_workers=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
