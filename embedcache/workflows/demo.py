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
from embedcache.storage.publish import make_dir, write_atomic

__all__ = ["PUBLISHED", "DemoData", "prepare_demo"]

PUBLISHED = (("SVM on hand-crafted features", 82.44), ("fine-tuned CNN", 88.42))
"""Accuracies in percent that the paper reports, on a quarter of the cells held out."""

_TEST_SHARE = 0.25
_DEFECTIVE_FROM = 0.5
"""A cell is called defective when the experts gave it at least an even chance."""


_LICENSE = b"CC BY-NC-SA 4.0: elpv-dataset, Deitsch et al. 2019\n"


class DemoData:
    """Where the demo's data lies.

    Attributes:
        manifest: CSV with path, label and split.
        root: Folder that its paths are relative to.
    """

    def __init__(self, manifest: Path, root: Path) -> None:
        self.manifest = manifest
        self.root = root


def prepare_demo(cache_root: Path) -> DemoData:
    """Write the manifest of the solar cells; the pictures stay where pip put them.

    A quarter of the cells is for the test, drawn within each of the experts' four
    grades, as the published figures were.

    Args:
        cache_root: The manifest goes to `demo/elpv.csv` under it.

    Raises:
        MissingExtraError: The package with the pictures is not installed.
    """
    package = find_spec("elpv_dataset")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("the demo's pictures are not installed", extra="demo")
    root = Path(package.submodule_search_locations[0]) / "data"
    rows = [line.split() for line in (root / "labels.csv").read_text().splitlines() if line.strip()]
    grades = np.array([float(row[1]) for row in rows])
    is_test = np.zeros(len(rows), bool)
    generator = np.random.default_rng(0)
    for grade in np.unique(grades):
        members = generator.permutation(np.flatnonzero(grades == grade))
        is_test[members[: round(_TEST_SHARE * len(members))]] = True
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "split"])
    for (path, *_), grade, test in zip(rows, grades, is_test, strict=True):
        label = "defective" if grade >= _DEFECTIVE_FROM else "functional"
        writer.writerow([path, label, "test" if test else "train"])
    manifest = cache_root / "demo" / "elpv.csv"
    make_dir(manifest.parent)
    data = text.getvalue().encode()
    if not manifest.exists() or manifest.read_bytes() != data:
        write_atomic(manifest, data)
        write_atomic(manifest.with_name("LICENSE"), _LICENSE)
    return DemoData(manifest, root)
