"""Open a folder of images as a manifest: labels and splits from the names of its sub-folders.

N is the number of samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from embedcache.datasets.codes import Coder, lookalikes, split_code
from embedcache.datasets.options import SourceOptions
from embedcache.datasets.walk import list_images
from embedcache.errors import SourceError
from embedcache.records.manifest import NO_CODE, Manifest, SourceRecord
from embedcache.records.strings import Strings

__all__ = ["open_folder"]


def open_folder(location: Path, options: SourceOptions) -> Manifest:
    """The images below a folder, sorted by the bytes of their paths.

    The class of an image is the first folder level: `cat/1.jpg` and
    `cat/kittens/2.jpg` are both cats. Where every first-level folder that holds
    images has the name of a split (`train`, `val`, `valid`, `validation`,
    `test`, …, in any case), they are splits, and the class is the level below.
    Images outside of class folders (directly in the root or in a split's
    folder) are samples without a label, whether or not others have one.

    Args:
        location: Absolute path of the folder.
        options: `labels` is the only one that applies to folders.

    Raises:
        SourceError: No image, a class written in two Unicode forms, folders of
            which some but not all look like splits, or `labels="folder"` and an
            image outside of the class folders.
        StorageError: A sub-folder cannot be listed.
    """
    listing = list_images(location)
    ids, notes = listing.ids, listing.notes()
    if not ids:
        raise SourceError(
            "no image in this folder",
            where=location,
            got="; ".join(notes) or "no file",
            expected="files named .jpg, .png, … in it or in its sub-folders",
        )
    tops = {top for top, slash, _ in (item.partition(b"/") for item in ids) if slash}
    splits = _split_folders(tops, location, notes)
    split = np.zeros(len(ids), np.uint8)
    coder = Coder("class folder", lambda row: os.path.join(location, os.fsdecode(ids[row])))
    for row, item in enumerate(ids):
        first, slash, rest = item.partition(b"/")
        if slash and first in splits:
            split[row] = splits[first]
            first, slash, _ = rest.partition(b"/")
        coder.add(os.fsdecode(first) if slash and options.labels != "none" else None, row)
    labels, classes = coder.finish()

    outside = np.flatnonzero(labels == NO_CODE)
    if options.labels == "folder" and len(outside):
        raise SourceError(
            "an image outside of the class folders",
            where=os.path.join(location, os.fsdecode(ids[outside[0]])),
            got=f"{len(outside):,} of {len(ids):,} images without a class",
            expected="every image in a class folder",
            hint="move them into class folders, or leave out --labels folder",
        )
    if options.labels == "auto":
        notes += _label_notes(len(outside), len(ids), classes)
    return Manifest(
        SourceRecord("folder", str(location), options.to_record()),
        str(location),
        Strings.of(ids),
        labels,
        classes,
        split,
        np.full(len(ids), NO_CODE, np.int32),
        Strings.of([]),
        tuple(notes),
    )


def _split_folders(tops: Iterable[bytes], location: Path, notes: list[str]) -> dict[bytes, int]:
    """Split codes of first-level folders, empty where they are classes."""
    codes = {top: split_code(os.fsdecode(top)) or 0 for top in sorted(tops)}
    named = [top for top, code in codes.items() if code]
    others = [top for top, code in codes.items() if not code]
    if named and not others:
        notes.append(f"splits from folders: {_names(named)}")
        return codes
    if len(named) > 1:
        raise SourceError(
            "some folders are named like splits and others are not",
            where=location,
            got=f"{_names(named)} beside {_names(others)}",
            expected="only splits, or only classes, at the first level",
            hint="move the others away, or list the images in a .csv file with a split column",
        )
    if named:
        notes.append(f"{_names(named)} is read as a class, as other classes stand beside it")
    return {}


def _label_notes(outside: int, count: int, classes: Strings) -> list[str]:
    if not len(classes):
        return ["no class folders: the images are unlabelled"]
    notes = lookalikes(classes)
    if outside:
        notes.append(f"{outside:,} of {count:,} images lie outside of class folders: unlabelled")
    if len(classes) == 1:
        notes.append(
            f"one class folder only, {classes.text(0)!r}; if the classes are inside it, open it"
        )
    return notes


def _names(folders: Sequence[bytes]) -> str:
    shown = [repr(os.fsdecode(folder)) for folder in folders[:5]]
    return ", ".join([*shown, "…"] if len(folders) > len(shown) else shown)
