"""The folder of a run: the names of its files, how it gets its own name, how it is found."""

from __future__ import annotations

import difflib
import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from embedcache.errors import UsageError
from embedcache.storage.publish import (
    fsync_dir,
    is_temporary,
    make_dir,
    storage_errors,
    temporary_path,
)
from embedcache.storage.roots import root_folder

__all__ = [
    "BACKBONE",
    "CONFIG",
    "DECISION",
    "DECISION_PAGE",
    "DOUBTS",
    "FINETUNE",
    "FINETUNE_PAGE",
    "GATE_ROWS",
    "HEAD",
    "HEAD_TENSORS",
    "LABEL_DOUBTS",
    "PAGE",
    "PREDICTIONS",
    "REPORT",
    "ROWS",
    "RUNS_ENVIRONMENT",
    "TUNED",
    "TUNED_ROWS",
    "find_run",
    "list_runs",
    "new_run_name",
    "publish_run",
    "runs_root",
]

HEAD = "head.json"
HEAD_TENSORS = "head.safetensors"
ROWS = "rows.safetensors"
PREDICTIONS = "predictions.safetensors"
REPORT = "report.json"
PAGE = "report.html"
LABEL_DOUBTS = "label-doubts.csv"
CONFIG = "config.json"
DECISION = "decision.json"
DECISION_PAGE = "decision.html"
DOUBTS = "doubts.csv"
FINETUNE = "finetune.json"
FINETUNE_PAGE = "finetune.html"
GATE_ROWS = "gate-rows.safetensors"
BACKBONE = "backbone"
TUNED = "tuned.safetensors"
TUNED_ROWS = "tuned-rows.safetensors"

RUNS_ENVIRONMENT = "EMBEDCACHE_RUNS_DIR"

_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_LONGEST = 80  # of each part: a file system allows 255 bytes, temporary names add some


def runs_root(option: Path | None) -> Path:
    """The folder that holds runs, absolute: the option, else the environment, else `./runs`.

    Raises:
        UsageError: A file stands there.
    """
    chosen = option or Path(os.environ.get(RUNS_ENVIRONMENT) or "runs")
    return root_folder(Path(os.path.abspath(chosen)), f"runs ({RUNS_ENVIRONMENT}, --runs-dir)")


def new_run_name(root: Path, dataset: str, backbone_slug: str, model: str) -> str:
    """`DATASET-BACKBONE-MODEL-N`, N one above the highest number in use."""
    stem = "-".join(_slug(part) for part in (dataset, backbone_slug, model))
    pattern = re.compile(re.escape(stem) + r"-([0-9]{1,9})")
    matches = (pattern.fullmatch(name) for name in _names(root))
    return f"{stem}-{max((int(match[1]) for match in matches if match), default=0) + 1}"


def publish_run(
    root: Path,
    dataset: str,
    backbone_slug: str,
    model: str,
    write: Callable[[Path], None],
    write_named: Callable[[Path, str], None] | None = None,
) -> Path:
    """Create a run that appears whole, or not at all.

    `write` fills a temporary folder, which is synced and renamed. Who loses a
    race for a name takes the next number.

    Args:
        root: The runs folder.
        dataset: Of the run's name, like the next two.
        backbone_slug: Likewise.
        model: Likewise.
        write: Fills the folder.
        write_named: Then adds to it what holds the name that the run is about to get; it is called
            again where that name was lost.

    Returns:
        The run's folder.

    Raises:
        StorageError: The disk is full or the root is not writable.
    """
    make_dir(root)
    temporary = temporary_path(root / "run")
    try:
        with storage_errors(temporary):
            temporary.mkdir()
            write(temporary)
        while True:
            target = root / new_run_name(root, dataset, backbone_slug, model)
            if write_named is not None:
                write_named(temporary, target.name)
            _fsync_tree(temporary)
            if _claimed(temporary, target):
                break
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_dir(root)
    return target


def _claimed(temporary: Path, target: Path) -> bool:
    """Rename a folder, unless the name is taken."""
    with storage_errors(target):
        try:
            # Renaming a folder onto another one fails unless that is empty: no run is.
            os.rename(temporary, target)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            return False
    return True


def _fsync_tree(folder: Path) -> None:
    """Make the files in a folder, and in the folders in it, survive a power loss."""
    for path in folder.iterdir():
        if path.is_dir():
            _fsync_tree(path)
        else:
            with storage_errors(path):
                _fsync_file(path)
    fsync_dir(folder)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_runs(root: Path) -> list[Path]:
    """The runs under the root, sorted by name."""
    return [root / name for name in sorted(_names(root)) if (root / name / HEAD).is_file()]


def find_run(name_or_path: str, root: Path) -> Path:
    """The folder of a run, by its path or by its name under the root.

    Raises:
        UsageError: There is none; the error lists the nearest names.
    """
    for candidate in (Path(name_or_path), root / name_or_path):
        if (candidate / HEAD).is_file():
            return Path(os.path.abspath(candidate))
    if Path(name_or_path).is_file():
        raise UsageError(
            "a file where a run is expected",
            where=os.path.abspath(name_or_path),
            expected="the name or the folder of a run",
            hint="embedcache ls lists the runs; embedcache fit-head CACHE makes one",
        )
    known = [path.name for path in list_runs(root)]
    near = difflib.get_close_matches(Path(name_or_path).name, known, n=5, cutoff=0.3)
    raise UsageError(
        f"no run called {name_or_path!r}",
        where=root,
        got=_count_others(len(known)),
        expected=", ".join(near) if near else None,
        hint="embedcache ls" if known else "embedcache fit-head",
    )


def _count_others(number: int) -> str:
    if not number:
        return "no runs at all"
    return f"{number} other run{'' if number == 1 else 's'}"


def _names(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    with storage_errors(root):
        return [name for name in os.listdir(root) if not is_temporary(Path(name))]


def _slug(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", part)[:_LONGEST].strip("-.") or "unnamed"
