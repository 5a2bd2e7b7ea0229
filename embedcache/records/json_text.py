"""Parse JSON that may come from anybody."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON document.

    Raises:
        ValueError: It is none, or brackets lie within brackets by the thousand.
    """
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
