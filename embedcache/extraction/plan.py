"""`Plan`: the jobs of an extraction, written down first and obeyed by every resume.

Batches never cross jobs, and a resumed run keeps the jobs and the batch size
of the first one, so that its features are bit-equal to an uninterrupted run's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from embedcache.extraction.jobs import JobFiles
from embedcache.records.json_text import parse_json
from embedcache.records.strings import Strings
from embedcache.storage.digests import sha256_hex
from embedcache.storage.publish import write_atomic

__all__ = ["Plan", "job_rows_for"]

_VERSION = 1
_JOB_SECONDS = 30.0
"""A kill loses at most one job; a shorter one costs more in files than it saves."""

_LEAST_ROWS, _MOST_ROWS = 64, 8192
_MOST_BYTES = 256 << 20


def job_rows_for(images_per_second: float, batch_size: int, row_bytes: int = 1) -> int:
    """Images per job: about 30 s of work, 64 to 8,192, a power of two times the batch size.

    Fewer where their features would not fit into 256 MB: activations are large.
    """
    most = min(_MOST_ROWS, _MOST_BYTES // row_bytes)
    wanted = min(max(images_per_second * _JOB_SECONDS, _LEAST_ROWS), most)
    rows = batch_size
    while rows * 2 <= wanted or rows < _LEAST_ROWS:
        rows *= 2
    return rows


@dataclass(frozen=True)
class Plan:
    """What is to be read, cut into jobs.

    Attributes:
        identity: Digest of the identity that it is for.
        batch_size: Images per forward pass.
        job_rows: Images per job; the last job may have fewer.
        ids: The samples, in order.
    """

    identity: str
    batch_size: int
    job_rows: int
    ids: Strings

    @property
    def jobs(self) -> range:
        """Numbers of the jobs."""
        return range(-(-len(self.ids) // self.job_rows))

    def job(self, number: int) -> slice:
        """Positions of one job's samples in `ids`."""
        return slice(number * self.job_rows, (number + 1) * self.job_rows)

    @cached_property
    def _header(self) -> dict[str, str | int]:
        return {
            "version": _VERSION,
            "identity": self.identity,
            "batch_size": self.batch_size,
            "job_rows": self.job_rows,
            "samples": len(self.ids),
            "samples_sha256": sha256_hex(_join(self.ids)),
        }

    @property
    def _key(self) -> str:
        return sha256_hex(json.dumps(self._header, sort_keys=True).encode())[:8]

    def files(self, work: Path, number: int) -> JobFiles:
        """Paths for a job's files, new ones at every call: what a job left before is kept."""
        name, attempt = f"{self._key}-{number:06d}", 0
        while True:
            files = JobFiles(work / f"shard-{name}.h5", work / f"files-{name}.index")
            if not files.shard.exists() and not files.fragment.exists():
                return files
            attempt += 1
            name = f"{self._key}-{number:06d}-{attempt}"

    def save(self, work: Path) -> None:
        """Write the plan; the list of samples first, because the header vouches for it.

        Raises:
            StorageError: The disk is full or the folder not writable.
        """
        write_atomic(work / "plan.samples", _join(self.ids))
        header = {**self._header, "key": self._key}
        write_atomic(work / "plan.json", json.dumps(header, indent=1).encode())

    @classmethod
    def load(cls, work: Path) -> Plan | None:
        """The plan in a work folder, or `None` if there is none that can be obeyed."""
        try:
            header = parse_json((work / "plan.json").read_bytes())
            samples = (work / "plan.samples").read_bytes()
        except (OSError, ValueError):
            return None
        match header:
            case {
                "version": 1,
                "identity": str(identity),
                "batch_size": int(batch_size),
                "job_rows": int(job_rows),
            } if batch_size > 0 and job_rows > 0:
                ids = Strings.of(samples.split(b"\0")[:-1])
                plan = cls(identity, batch_size, job_rows, ids)
                return plan if {**plan._header, "key": plan._key} == header else None
        return None


def _join(ids: Strings) -> bytes:
    # File names hold every byte but NUL, so NUL ends each. Joining them one by one would cost
    # five times their own memory.
    joined = np.zeros(len(ids.data) + len(ids), np.uint8)
    is_name = np.ones(len(joined), bool)
    is_name[ids.offsets[1:] + np.arange(len(ids))] = False
    joined[is_name] = ids.data
    return joined.tobytes()
