"""A small stand-in for the package of the demo's pictures."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from builders import png

_GRADES = ("0.0", "0.3333333333333333", "0.6666666666666666", "1.0")


def install(site: Path, counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in before the real package, with so many pictures of the four grades.

    Returns:
        Its data folder, laid out as the real one.
    """
    data = site / "elpv_dataset" / "data"
    (data / "images").mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    grades = [grade for grade, count in zip(_GRADES, counts, strict=True) for _ in range(count)]
    lines = []
    for index, grade in enumerate(grades):
        (data / "images" / f"cell{index:04d}.png").write_bytes(png(index))
        lines.append(f"images/cell{index:04d}.png  {grade}        mono\n")
    (data / "labels.csv").write_text("".join(lines))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "elpv_dataset", raising=False)
    importlib.invalidate_caches()
    return data
