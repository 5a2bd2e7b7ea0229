"""Feed a reader with damaged and with forged files, in a process that has little to spend.

Damage is what disks and networks do: the reader refuses the file, or gives what it gave
before. A forger also makes every sum right again: then anything that a sound file could hold
may come out, but never a signal, a hang, a foreign exception, or memory beyond the bound.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import children
import numpy as np

__all__ = ["Outcome", "Target", "fuzz", "fuzz_in_a_child"]

_MEMORY = 768 << 20
"""Bytes that a reader may take on top of its libraries."""

_SECONDS = 5.0
"""CPU seconds that one file may take: a thousand times what a sound one does."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Target:
    """A reader, and a sound input for it.

    Attributes:
        make: Writes the sound files into an empty folder.
        read: Reads the folder and gives something comparable, made of all that was read.
        refusals: What it raises for files that it refuses.
        empty: What it gives for a file that it passes over.
        damaged: The files that are damaged; all where it is empty.
        sign: Makes the sums of damaged files right again, as a forger would, as far as it can.
        stays: Whether what `sign` leaves spoilt must not change the answer.
        words: That mean something in this format.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], object]
    refusals: tuple[type[Exception], ...]
    empty: object = ...
    damaged: tuple[str, ...] = ()
    sign: Callable[[Files], Files] | None = None
    stays: bool = False
    words: tuple[bytes, ...] = ()


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        executions: Files that were read.
        refused: Of them, refused or passed over.
        slowest: CPU seconds of the slowest.
        seconds: In all.
        peak: Bytes of memory at the peak that the reader took.
    """

    executions: int = 0
    refused: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    peak: int = 0
    kinds: dict[str, int] = field(default_factory=dict)


def fuzz(target: Target, count: int, seed: int, *, forge: bool) -> Outcome:
    """Read `count` spoilt files.

    Raises:
        AssertionError: Another answer than the sound file's came out, or it took too long.
        Exception: What the reader raised and should not have.
    """
    outcome, started = Outcome(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target.make(folder)
        sound = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        expected = target.read(folder)
        before = _peak()
        names = target.damaged or tuple(sound)
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            files = dict(sound)
            victim = names[int(rng.integers(len(names)))]
            files[victim] = _spoil(files[victim], rng, target.words)
            if forge:
                assert target.sign is not None
                files = target.sign(files)
            for each, data in files.items():
                (folder / each).write_bytes(data)
            begun = time.process_time()
            try:
                found = target.read(folder)
            except target.refusals as error:
                outcome.kinds[type(error).__name__] = outcome.kinds.get(type(error).__name__, 0) + 1
                outcome.refused += 1
            except BaseException as error:
                error.add_note(f"file {number} of seed {seed}")
                raise
            else:
                if found == target.empty:
                    outcome.refused += 1
                elif target.stays or not forge:
                    assert found == expected, f"file {number} of seed {seed}: another answer"
            spent = time.process_time() - begun
            assert spent < _SECONDS, f"file {number} of seed {seed}: {spent:.1f} s"
            outcome.slowest = max(outcome.slowest, spent)
            outcome.executions += 1
        outcome.peak = _peak() - before
    outcome.seconds = time.monotonic() - started
    return outcome


_CHILD = """
    import json, sys
    from fuzz_targets import TARGETS
    from fuzzing import fuzz, limit
    name, count, seed, forge = sys.argv[1:]
    target = TARGETS[name]()
    limit(int(count))
    print(json.dumps(vars(fuzz(target, int(count), int(seed), forge=forge == "forge"))))
"""


def fuzz_in_a_child(name: str, count: int, seed: int, *, forge: bool) -> Outcome:
    """The same for a target of `fuzz_targets`, in a process with limits on CPU and memory.

    Raises:
        AssertionError: It died, by a signal too, or raised; the message has its last words.
    """
    done = children.run(
        _CHILD, name, count, seed, "forge" if forge else "damage", timeout=60 + count
    )
    assert done.returncode == 0, f"{name}: exit {done.returncode}\n{done.stderr[-3000:]}"
    return Outcome(**json.loads(done.stdout))


def limit(count: int) -> None:
    """Bound the memory and the CPU time of this process, its libraries imported."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    room = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    seconds = int(time.process_time()) + 30 + count
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# -- how a file is spoilt ----------------------------------------------------------

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)
_ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**30,
    0.5,
    -1e308,
    "",
    "x" * 300,
    "\udcff",
    "../../etc/passwd",
    "/",
    "\0",
    [],
    {},
    [None],
    {"": 0},
)
_ODD_TEXTS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'"\\ud800"',
    b"\xff\xfe",
    b"\0",
    b'"',
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
)


def _spoil(data: bytes, rng: np.random.Generator, words: tuple[bytes, ...]) -> bytes:
    """The bytes with one to four things wrong; JSON is mostly taken apart as JSON."""
    if rng.random() < 0.5:
        odd = _spoil_json(data, rng) or _spoil_safetensors(data, rng)
        if odd is not None:
            return odd
    spoilt = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        _WAYS[int(rng.integers(len(_WAYS)))](spoilt, rng, words)
    return bytes(spoilt)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Somewhere in the data, mostly where it is not zero: zeros are padding."""
    if not data:
        return 0
    for _ in range(8):
        place = int(rng.integers(len(data)))
        if data[place]:
            return place
    return place


def _flip(data: bytearray, rng: np.random.Generator, _: tuple[bytes, ...]) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def _set_byte(data: bytearray, rng: np.random.Generator, _: tuple[bytes, ...]) -> None:
    if data:
        data[_place(data, rng)] = int(rng.integers(256))


def _set_number(data: bytearray, rng: np.random.Generator, _: tuple[bytes, ...]) -> None:
    width = int(rng.choice([1, 2, 4, 8]))
    at = _place(data, rng) // width * width
    number = _NUMBERS[int(rng.integers(len(_NUMBERS)))] % 256**width
    order = "little" if rng.random() < 0.8 else "big"
    data[at : at + width] = number.to_bytes(width, order)[: max(0, len(data) - at)]


def _cut_out(data: bytearray, rng: np.random.Generator, _: tuple[bytes, ...]) -> None:
    at = _place(data, rng)
    del data[at : at + int(2 ** rng.uniform(0, 10))]


def _cut_off(data: bytearray, rng: np.random.Generator, _: tuple[bytes, ...]) -> None:
    del data[_place(data, rng) :]


def _copy(data: bytearray, rng: np.random.Generator, _: tuple[bytes, ...]) -> None:
    start, size = _place(data, rng), int(2 ** rng.uniform(0, 8))
    piece, at = data[start : start + size], _place(data, rng)
    data[at : at + (len(piece) if rng.random() < 0.5 else 0)] = piece


def _insert(data: bytearray, rng: np.random.Generator, words: tuple[bytes, ...]) -> None:
    texts = (*_ODD_TEXTS, *words, rng.bytes(int(rng.integers(1, 40))))
    at = _place(data, rng)
    data[at:at] = texts[int(rng.integers(len(texts)))]


_WAYS = (_flip, _set_byte, _set_number, _set_number, _cut_out, _cut_off, _copy, _insert)


def _spoil_json(data: bytes, rng: np.random.Generator) -> bytes | None:
    """A JSON document with one value replaced, added, doubled or taken away, if it is one."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    places = _places(value)
    if not places:
        return None
    holder, key = places[int(rng.integers(len(places)))]
    what = rng.random()
    odd = _ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))]
    within = _spoil_json(holder[key].encode(), rng) if isinstance(holder[key], str) else None
    if within is not None:
        holder[key] = within.decode()
    elif what < 0.6:
        holder[key] = odd
    elif what < 0.75:
        del holder[key]
    elif what < 0.85 and isinstance(holder, list):
        holder.insert(key, odd)
    elif what < 0.95:
        other, at = places[int(rng.integers(len(places)))]
        holder[key] = json.loads(json.dumps(other[at]))
    else:
        holder[key] = {"more": holder[key]}
    return json.dumps(value).encode()


def _spoil_safetensors(data: bytes, rng: np.random.Generator) -> bytes | None:
    """A safetensors file with its header, or one byte of its tensors, spoilt, if it is one."""
    length = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + length], bytearray(data[8 + length :])
    if body and rng.random() < 0.3:
        _set_byte(body, rng, ())
        return data[: 8 + length] + bytes(body)
    odd = _spoil_json(header, rng) if len(header) == length else None
    return None if odd is None else len(odd).to_bytes(8, "little") + odd + bytes(body)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) within a JSON value."""
    items: list[tuple[Any, Any]] = []
    waiting = [value] if isinstance(value, dict | list) else []
    while waiting:
        each = waiting.pop()
        pairs = each.items() if isinstance(each, dict) else enumerate(each)
        for key, inner in list(pairs):
            items.append((each, key))
            if isinstance(inner, dict | list):
                waiting.append(inner)
    return items
