"""The demo: the main job, twice, on 2,624 pictures of solar cells.

Data: Deitsch et al. 2019, "Automatic classification of defective photovoltaic
module cells in electroluminescence images", Solar Energy 185, 455–468,
https://doi.org/10.1016/j.solener.2019.02.067; licence CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from embedcache.errors import MissingExtraError
from embedcache.storage.publish import (
    make_dir,
    publish,
    storage_errors,
    temporary_path,
    write_atomic,
)

__all__ = ["PUBLISHED", "draw_manifest", "prepare_demo"]

PUBLISHED = (("SVM on hand-crafted features", 82.44), ("fine-tuned CNN", 88.42))
"""Accuracies in percent that the paper reports, on a quarter of the cells held out."""

_TEST_SHARE = 0.25
_DEFECTIVE_FROM = 0.5
"""A cell is called defective when the experts gave it at least an even chance."""

_LICENSE = b"CC BY-NC-SA 4.0: elpv-dataset, Deitsch et al. 2019\n"


def prepare_demo(cache_root: Path) -> Path:
    """Write the manifest of the solar cells; the pictures stay where pip put them.

    A quarter of the cells is for the test, drawn within each of the experts' four
    grades, the same cells every time.

    Args:
        cache_root: The manifest goes to `demo/elpv.csv` under it, beside a link to the
            pictures: its paths then need no root, wherever the environment is.

    Returns:
        The manifest: path, label and split.

    Raises:
        MissingExtraError: The package with the pictures is not installed.
        StorageError: The cache root is not writable.
    """
    package = find_spec("elpv_dataset")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("the demo's pictures are not installed", extra="demo")
    data = Path(package.submodule_search_locations[0]) / "data"
    manifest = cache_root / "demo" / "elpv.csv"
    make_dir(manifest.parent)
    _link(manifest.with_name("elpv"), data)
    content = draw_manifest((data / "labels.csv").read_text())
    if not manifest.exists() or manifest.read_bytes() != content:
        write_atomic(manifest, content)
        write_atomic(manifest.with_name("LICENSE"), _LICENSE)
    return manifest


def draw_manifest(grades_text: str, draw: int = 0) -> bytes:
    """The manifest as CSV, a quarter of each grade's rows for the test.

    Args:
        grades_text: Lines `path grade type`; a grade is 0, ⅓, ⅔ or 1.
        draw: Which quarter, a seed; the demo's is 0.
    """
    rows = [line.split() for line in grades_text.splitlines() if line.strip()]
    grades = np.array([float(row[1]) for row in rows])
    is_test = np.zeros(len(rows), bool)
    generator = np.random.default_rng(draw)
    for grade in np.unique(grades):
        members = generator.permutation(np.flatnonzero(grades == grade))
        is_test[members[: round(_TEST_SHARE * len(members))]] = True
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split"])
    for (path, *_), grade, test in zip(rows, grades, is_test, strict=True):
        label = "defective" if grade >= _DEFECTIVE_FROM else "functional"
        writer.writerow([f"elpv/{path}", label, "test" if test else "train"])
    return text.getvalue().encode()


def _link(link: Path, target: Path) -> None:
    """Make `link` lead to `target`, also where it led elsewhere."""
    if link.is_symlink() and link.readlink() == target:
        return
    temporary = temporary_path(link)
    with storage_errors(link):
        temporary.symlink_to(target, target_is_directory=True)
        publish(temporary, link)
