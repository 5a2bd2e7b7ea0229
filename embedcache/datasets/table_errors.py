"""What the system says about a table that cannot be opened, as an error with a next step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from embedcache.errors import SourceError, StorageError

__all__ = ["table_errors"]


@contextlib.contextmanager
def table_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the system into an error that names the table.

    Raises:
        SourceError: There is no such table, or it is a folder.
        StorageError: The system refuses to read it.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise SourceError(
            "there is no such table",
            where=path,
            got=error.strerror,
            hint="check the path; names are relative to the working folder",
        ) from error
    except OSError as error:
        raise StorageError(
            "this table cannot be read", where=path, got=error.strerror or error
        ) from error
