"""A disk that loses power: everything a crash may leave of what a piece of code wrote.

`Recording` watches the calls that change files below a folder. `Recording.after_crash`
makes the folder that a power loss at some moment leaves behind, by the rules that POSIX
gives and no better ones:

- what `fsync` of a file returned for is on the disk; later writes to the file are there or
  not, each by itself, in any order, and the last ones perhaps in part;
- names are the folder's content: what `fsync` of a folder returned for is there; later
  creations, renames and deletions in it are there or not, each by itself;
- a rename is whole or not at all; what depends on a lost step is lost with it.

The same idea as SQLite's crash tests (https://www.sqlite.org/atomiccommit.html) and ALICE
(Pillai et al., OSDI 2014).
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass(eq=False)
class _File:
    """A file, whatever its names are."""


@dataclass(eq=False)
class _Folder:
    """A folder, whatever its name is."""

    entries: dict[str, _File | _Folder] = field(default_factory=dict)


_Node = _File | _Folder


@dataclass(frozen=True, eq=False)
class _Write:
    """Bytes at an offset; with `data` None the file is at least as long as `offset`."""

    file: _Node
    offset: int
    data: bytes | None


@dataclass(frozen=True, eq=False)
class _Link:
    """A name appears in a folder."""

    folder: _Folder
    name: str
    node: _Node


@dataclass(frozen=True, eq=False)
class _Unlink:
    """A name goes."""

    folder: _Folder
    name: str
    node: _Node


@dataclass(frozen=True, eq=False)
class _Rename:
    """A name goes and another one, in place of whatever had it, appears."""

    folder: _Folder
    old: str
    new: str
    node: _Node


@dataclass(frozen=True, eq=False)
class _Sync:
    """All that was done to a file or folder so far is on the disk."""

    node: _Node


_Step = _Write | _Link | _Unlink | _Rename | _Sync


class Recording:
    """The steps that code took below a folder, from what lay there on.

    Attributes:
        steps: In order; the first `begun` make what was there before.
        begun: Where the recorded code's own steps begin.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = _Folder()
        self._descriptors: dict[int, _Node] = {}
        self._lock = threading.RLock()
        self.steps: list[_Step] = []
        for path in sorted(root.rglob("*")):
            folder, name = self._place(path)
            node: _Node = _Folder() if path.is_dir() else _File()
            self._take(_Link(folder, name, node))
            if isinstance(node, _File):
                self._take(_Write(node, 0, path.read_bytes()))
            self._take(_Sync(node))
            self._take(_Sync(folder))
        self.begun = len(self.steps)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record what the block does, in all its threads."""
        notes = {
            os.open: self._opened,
            os.close: self._closed,
            os.pwrite: self._written,
            os.posix_fallocate: self._allocated,
            os.ftruncate: self._truncated,
            os.fsync: self._synced,
            os.replace: self._renamed,
            os.rename: self._renamed,
            os.unlink: self._unlinked,
            os.rmdir: self._unlinked,
            os.mkdir: self._made,
        }
        with pytest.MonkeyPatch.context() as patch:
            for call, note in notes.items():
                patch.setattr(os, call.__name__, self._with_note(call, note))
            yield

    def _with_note(self, call: Callable[..., Any], note: Callable[..., None]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                result = call(*arguments, **options)
                note(result, *arguments)
                return result

        return watched

    # -- what the calls did --------------------------------------------------------

    def _opened(self, descriptor: int, path: Any, flags: int, *_: Any) -> None:
        place = self._below(path)
        if place is None:
            return
        folder, name = place
        node = self._top if name == "" else folder.entries.get(name)
        if node is None:
            node = _File()
            self._take(_Link(folder, name, node))
        elif flags & os.O_TRUNC:
            self._take(_Write(node, 0, None))
        self._descriptors[descriptor] = node

    def _closed(self, _: None, descriptor: int) -> None:
        self._descriptors.pop(descriptor, None)

    def _written(self, count: int, descriptor: int, data: Any, offset: int) -> None:
        if descriptor in self._descriptors:
            written = bytes(memoryview(data)[:count])
            self._take(_Write(self._descriptors[descriptor], offset, written))

    def _allocated(self, _: None, descriptor: int, offset: int, size: int) -> None:
        if descriptor in self._descriptors:
            self._take(_Write(self._descriptors[descriptor], offset + size, None))

    def _truncated(self, _: None, descriptor: int, size: int) -> None:
        if descriptor in self._descriptors:
            self._take(_Write(self._descriptors[descriptor], size, None))

    def _synced(self, _: None, descriptor: int) -> None:
        if descriptor in self._descriptors:
            self._take(_Sync(self._descriptors[descriptor]))

    def _renamed(self, _: None, old: Any, new: Any) -> None:
        source, target = self._below(old), self._below(new)
        if source is not None and target is not None:
            assert source[0] is target[0], "a rename between folders is not atomic everywhere"
            self._take(_Rename(source[0], source[1], target[1], source[0].entries[source[1]]))

    def _unlinked(self, _: None, path: Any) -> None:
        place = self._below(path)
        if place is not None:
            folder, name = place
            self._take(_Unlink(folder, name, folder.entries[name]))

    def _made(self, _: None, path: Any, *__: Any) -> None:
        place = self._below(path)
        if place is not None:
            self._take(_Link(*place, _Folder()))

    def _take(self, step: _Step) -> None:
        _rename(step, lambda folder: folder.entries)
        self.steps.append(step)

    def _below(self, path: Any) -> tuple[_Folder, str] | None:
        """The folder and the name of a path below the root; the root itself has none."""
        absolute = Path(os.path.abspath(os.fsdecode(path)))
        if absolute == self._root:
            return self._top, ""
        return self._place(absolute) if absolute.is_relative_to(self._root) else None

    def _place(self, path: Path) -> tuple[_Folder, str]:
        *above, name = path.relative_to(self._root).parts
        folder = self._top
        for part in above:
            child = folder.entries[part]
            assert isinstance(child, _Folder)
            folder = child
        return folder, name

    def forget_syncs(self) -> None:
        """Make it a disk that says that it has synced, and has not."""
        self.steps = [step for step in self.steps if not isinstance(step, _Sync)]

    # -- what a crash leaves -------------------------------------------------------

    def whole(self, folder: Path) -> None:
        """Make in `folder` what is there when nothing was lost."""
        _build(self._top, self.steps, folder)

    def after_crash(self, moment: int, rng: np.random.Generator, folder: Path) -> None:
        """Make in `folder` one of the states that a power loss before step `moment` may leave."""
        steps = self.steps[:moment]
        synced: set[int] = set()
        chance = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        kept: list[_Step] = []
        loose: list[_Write] = []
        for step in reversed(steps):
            if isinstance(step, _Sync):
                synced.add(id(step.node))
            elif id(step.file if isinstance(step, _Write) else step.folder) in synced:
                kept.append(step)
            elif rng.random() < chance:
                if isinstance(step, _Write):
                    loose.append(_cut(step, rng))
                else:
                    kept.append(step)
        kept.reverse()
        rng.shuffle(loose)
        _build(self._top, [*kept, *loose], folder)


def _cut(step: _Write, rng: np.random.Generator) -> _Write:
    """The write, or a beginning of it: the disk was at work on it."""
    if step.data is None or rng.random() < 0.5:
        return step
    return _Write(step.file, step.offset, step.data[: rng.integers(len(step.data) + 1)])


def _rename(step: _Step, entries: Callable[[_Folder], dict[str, _Node]]) -> None:
    """Do what a step does to names, if what it needs is there."""
    match step:
        case _Link(folder, name, node):
            entries(folder).setdefault(name, node)
        case _Unlink(folder, name, node) if entries(folder).get(name) is node:
            del entries(folder)[name]
        case _Rename(folder, old, new, node) if entries(folder).get(old) is node:
            entries(folder)[new] = entries(folder).pop(old)


def _build(top: _Folder, steps: Sequence[_Step], path: Path) -> None:
    names: defaultdict[_Folder, dict[str, _Node]] = defaultdict(dict)
    contents: defaultdict[_Node, bytearray] = defaultdict(bytearray)
    for step in steps:
        _rename(step, names.__getitem__)
        if isinstance(step, _Write):
            content, data = contents[step.file], step.data or b""
            end = step.offset + len(data)
            content.extend(bytes(max(0, end - len(content))))
            content[step.offset : end] = data

    def fill(folder: _Folder, path: Path) -> None:
        path.mkdir()
        for name, node in names[folder].items():
            if isinstance(node, _Folder):
                fill(node, path / name)
            else:
                (path / name).write_bytes(contents[node])

    fill(top, path)
