"""The data sets of `escalation.py` as manifests, with training rows drawn and test rows fixed.

Digits come with scikit-learn, solar cells with the extra `demo`; Fashion-MNIST and Tux Paint's
stamps are Debian's packages `dataset-fashion-mnist` and `tuxpaint-stamps-default`.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedcache.evaluation.folds import stratified_folds
from embedcache.workflows.demo import prepare_demo

__all__ = ["DATA", "write_manifest"]

Rows = list[tuple[str, str]]
"""Absolute path and label of each image."""

_FASHION = Path("/usr/share/datasets/fashion-mnist")
_STAMPS = Path("/usr/share/tuxpaint/stamps")
_FEWEST = 30
"""Stamps of a class; smaller ones say nothing about a tenth of themselves."""

_TEST = 1000
"""Test rows where there are as many to spare; at most a third of all."""


def _digits(folder: Path) -> Rows:
    from sklearn.datasets import load_digits

    data = load_digits()
    return _pictures(folder, np.rint(data.images * 255 / 16).astype(np.uint8), data.target)


def _fashion(folder: Path) -> Rows:
    if not _FASHION.exists():
        sys.exit("the pictures are missing: apt-get install dataset-fashion-mnist")
    arrays = []
    for name, header in (("images-idx3", 16), ("labels-idx1", 8)):
        data = gzip.decompress((_FASHION / f"t10k-{name}-ubyte.gz").read_bytes())
        arrays.append(np.frombuffer(data, np.uint8, offset=header))
    return _pictures(folder, arrays[0].reshape(-1, 28, 28), arrays[1])


def _stamps(_: Path) -> Rows:
    if not _STAMPS.exists():
        sys.exit("the pictures are missing: apt-get install tuxpaint-stamps-default")
    paths = sorted(_STAMPS.rglob("*.png"))
    kinds = [path.relative_to(_STAMPS).parts[0] for path in paths]
    count = Counter(kinds)
    return [
        (str(path), kind) for path, kind in zip(paths, kinds, strict=True) if count[kind] >= _FEWEST
    ]


def _solar(folder: Path) -> Rows:
    manifest = prepare_demo(folder)
    with manifest.open(newline="") as file:
        return [(str(manifest.parent / row["path"]), row["label"]) for row in csv.DictReader(file)]


def _pictures(folder: Path, pictures: NDArray[np.uint8], labels: NDArray[np.integer]) -> Rows:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        path = folder / f"{number}.png"
        if not path.exists():
            Image.fromarray(picture).save(path)
        rows.append((str(path), f"class {label}"))
    return rows


DATA: dict[str, Callable[[Path], Rows]] = {
    "digits": _digits,
    "fashion": _fashion,
    "solar": _solar,
    "stamps": _stamps,
}


def write_manifest(data: str, train: int, folder: Path) -> Path:
    """A manifest of `train` training rows and the data set's test rows, both stratified.

    Args:
        data: A key of `DATA`.
        train: Number of training rows; as many as there are, if fewer.
        folder: Where manifest and pictures go.

    Returns:
        The manifest, its paths relative to `/`; its test rows do not depend on `train`.
    """
    rows = DATA[data](folder / data)
    labels = np.unique([label for _, label in rows], return_inverse=True)[1]
    test = min(_TEST, len(rows) // 3)
    # A row's place within its class, shuffled, decides: shares of all classes stay alike.
    order = np.argsort(stratified_folds(labels, np.full(len(rows), -1), len(rows) // 20, 0))
    side = {int(row): "test" for row in order[:test]}
    side |= {int(row): "train" for row in order[test : test + train]}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{data}-{train}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        for row in sorted(side):
            place, label = rows[row]
            writer.writerow([place.lstrip("/"), label, side[row]])
    return path
