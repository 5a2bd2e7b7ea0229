"""Open a source of images, a folder or a table, as a manifest."""

from __future__ import annotations

import os
import stat
from dataclasses import fields
from pathlib import Path

from embedcache.datasets.folder import open_folder
from embedcache.datasets.ids import absolute_path
from embedcache.datasets.options import DEFAULTS, SourceOptions
from embedcache.datasets.table import TABLE_SUFFIXES, open_table
from embedcache.errors import SourceError, StorageError
from embedcache.records.manifest import Manifest, SourceRecord

__all__ = ["SourceOptions", "open_source", "reopen"]


def open_source(location: Path | str, options: SourceOptions = DEFAULTS) -> Manifest:
    """The samples of a folder of images, or of a table that lists them.

    Args:
        location: The folder, or a .csv, .tsv, .txt, .parquet or .pq file.
        options: How to read it.

    Raises:
        SourceError: It does not exist, is neither, cannot be read as a data
            set, or an option does not apply to it.
        StorageError: The system refuses to read it.
        MissingExtraError: It is a Parquet file and pyarrow is not installed.
    """
    location = absolute_path(location)
    mode = _mode(location)
    if stat.S_ISDIR(mode):
        _check_fits_folder(options, location)
        return open_folder(location, options)
    if not stat.S_ISREG(mode) or location.suffix.lower() not in TABLE_SUFFIXES:
        raise SourceError(
            "this is neither a folder nor a table",
            where=location,
            got=f"a file {location.suffix!r}" if stat.S_ISREG(mode) else "a special file",
            expected=f"a folder of images, or a file {' '.join(TABLE_SUFFIXES)}",
            hint="unpack archives first; name the folder that a single image is in",
        )
    if options.labels == "folder":
        raise SourceError(
            "labels from folders need a folder as the source",
            where=location,
            hint="--label-column NAME, or --labels none",
        )
    return open_table(location, options)


def reopen(record: SourceRecord) -> Manifest:
    """The samples of a source as they are today, from the record that a cache keeps of it.

    Raises:
        SourceError: As for `open_source`; or a folder has become a file or the reverse.
        StorageError: The system refuses to read it.
        MissingExtraError: It is a Parquet file and pyarrow is not installed.
    """
    manifest = open_source(record.location, SourceOptions.from_record(record.options))
    if manifest.source.kind != record.kind:
        raise SourceError(
            "this source has changed its kind",
            where=record.location,
            got=manifest.source.kind,
            expected=record.kind,
            hint="name the source again",
        )
    return manifest


def _mode(location: Path) -> int:
    try:
        return os.stat(location).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise SourceError(
            "there is no such folder or table",
            where=location,
            got=error,
            hint="check the path; names are relative to the working folder",
        ) from error
    except OSError as error:
        raise StorageError(
            "this source cannot be read", where=location, got=error.strerror
        ) from error


def _check_fits_folder(options: SourceOptions, location: Path) -> None:
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name != "labels" and value != field.default:
            flag = "--" + field.name.replace("_", "-")
            value = " ".join(value) if isinstance(value, tuple) else value
            raise SourceError(
                f"{flag} does not apply to a folder",
                where=location,
                got=f"{flag} {value}",
                hint=f"leave out {flag}, or name a table (.csv) as the source",
            )
