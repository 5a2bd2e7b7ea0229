"""Every error that embedcache raises on purpose, and the exit code of each.

EmbedcacheError
├── UsageError                   2  the request cannot be carried out as written
│   ├── SourceError                 a folder or manifest that cannot be read as a data set
│   ├── BackboneError               an unknown backbone, or an option that it does not have
│   │   └── WeightsUnavailableError its weights are not on this machine
│   ├── ConfigError                 a configuration file with unknown keys or wrong values
│   ├── MissingExtraError           an optional dependency is not installed
│   ├── BudgetError                 a budget of time or disk that does not suffice
│   └── UnfittableError             data to which no head can be fitted
├── RejectedInputsError          3  inputs were rejected and the caller asked to stop
│   └── InputRejectedError          one input has no row, and why
├── CacheError                   4  a cache, run or weight file that must not be used
│   ├── CacheInvalidError           damaged, truncated, or not made by embedcache
│   ├── FormatVersionError          written by a newer embedcache
│   ├── DriftError                  this environment no longer reproduces the golden record
│   ├── ShrinkError                 publishing would lose many rows
│   ├── FeatureOverflowError        a feature that the stored dtype cannot hold
│   └── IdentityMismatchError       features of one backbone offered to the head of another
├── StorageError                 5  disk full, no permission, a file that cannot be written
├── LockedError                  6  another process is writing the same cache
├── OutOfMemoryError             1  the device cannot hold a batch of one, or the features
└── DivergedError                1  a training whose loss is no number any more

One message form serves all: what happened, where, got and expected, next step.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BackboneError",
    "BudgetError",
    "CacheError",
    "CacheInvalidError",
    "ConfigError",
    "DivergedError",
    "DriftError",
    "EmbedcacheError",
    "FeatureOverflowError",
    "FormatVersionError",
    "IdentityMismatchError",
    "InputRejectedError",
    "LockedError",
    "MissingExtraError",
    "OutOfMemoryError",
    "RejectedInputsError",
    "ShrinkError",
    "SourceError",
    "StorageError",
    "UnfittableError",
    "UsageError",
    "WeightsUnavailableError",
]


class EmbedcacheError(Exception):
    """Base of all errors of embedcache.

    Args:
        what: One sentence without a full stop: what happened.
        where: The file, row or line that it happened at.
        got: What was found.
        expected: What would have been right.
        hint: The next step, preferably a command.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.got = None if got is None else str(got)
        self.expected = None if expected is None else str(expected)
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.what]
        if self.where is not None:
            lines.append(f"  at:       {self.where}")
        if self.got is not None:
            lines.append(f"  got:      {self.got}")
        if self.expected is not None:
            lines.append(f"  expected: {self.expected}")
        if self.hint is not None:
            lines.append(f"  next:     {self.hint}")
        return "\n".join(lines)


class UsageError(EmbedcacheError):
    """The request cannot be carried out as written."""

    exit_code = 2


class SourceError(UsageError):
    """A folder or manifest that cannot be read as a data set."""


class BackboneError(UsageError):
    """An unknown backbone, or an option that it does not have."""


class WeightsUnavailableError(BackboneError):
    """The backbone is known, but its weights are not on this machine."""


class ConfigError(UsageError):
    """A configuration file with unknown keys or values of the wrong type."""


class MissingExtraError(UsageError):
    """An optional dependency is needed and not installed."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(what, hint=f"pip install 'embedcache[{extra}]'")
        self.extra = extra


class BudgetError(UsageError):
    """A budget of time or disk that does not suffice for what was asked."""


class UnfittableError(UsageError):
    """Data to which no head can be fitted, whatever the model."""


class RejectedInputsError(EmbedcacheError):
    """Inputs were rejected and the caller asked to stop, or none was left."""

    exit_code = 3


class InputRejectedError(RejectedInputsError):
    """One input has no row.

    Args:
        reason: Name of a `RejectReason`.
        detail: The decoder's or the system's own words.
    """

    def __init__(self, reason: str, detail: str, *, where: object = None) -> None:
        super().__init__(
            f"input rejected: {reason.lower().replace('_', ' ')}", where=where, got=detail
        )
        self.reason = reason
        self.detail = detail


class CacheError(EmbedcacheError):
    """A cache, run or weight file that must not be used."""

    exit_code = 4


class CacheInvalidError(CacheError):
    """A file that is damaged, truncated, hostile, or not made by embedcache."""


class FormatVersionError(CacheError):
    """A file written by a newer embedcache."""


class DriftError(CacheError):
    """This environment does not reproduce the golden record of the cache."""


class ShrinkError(CacheError):
    """Publishing would lose more rows than a change of the data set explains."""


class FeatureOverflowError(CacheError):
    """A feature is not finite, or too large for the stored dtype."""


class IdentityMismatchError(CacheError):
    """Features of one identity were offered to something fitted on another."""


class StorageError(EmbedcacheError):
    """The disk is full, a path is not writable, or a write failed."""

    exit_code = 5


class LockedError(EmbedcacheError):
    """Another process is writing the same cache."""

    exit_code = 6


class OutOfMemoryError(EmbedcacheError):
    """The device cannot hold even a batch of one."""


class DivergedError(EmbedcacheError):
    """A training whose loss is not finite any more."""
