"""Why an input has no row: the reasons, and the record of one reject."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Reject", "RejectReason"]


class RejectReason(IntEnum):
    """Reason codes, as stored. Numbers are never reused.

    Codes from 64 on blame the environment, not the bytes: such inputs are
    tried again at every run.
    """

    EMPTY = 1
    NOT_AN_IMAGE = 2
    UNSUPPORTED_FORMAT = 3
    TRUNCATED = 4
    CORRUPT = 5
    TOO_LARGE = 6
    POINTER = 7
    NOT_FINITE = 8
    MISSING = 64
    NOT_A_REGULAR_FILE = 65
    PERMISSION = 66
    READ_ERROR = 67
    CHANGED_WHILE_READ = 68
    LINK_LOOP = 69

    @property
    def is_environment(self) -> bool:
        """Whether the same bytes might be accepted another time."""
        return self >= 64

    @property
    def label(self) -> str:
        """The reason in words, as people read it."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Reject:
    """One input without a row.

    Attributes:
        id: The input's id, as in the manifest.
        digest: SHA-256 of its bytes; 32 zero bytes where they could not be read.
        reason: Why.
        detail: The decoder's or the system's own words.
        decoder: Version of the decoder that refused it.
    """

    id: bytes
    digest: bytes
    reason: RejectReason
    detail: str
    decoder: str
