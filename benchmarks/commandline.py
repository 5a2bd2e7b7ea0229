"""Runs embedcache's commands as a user does, and says what each of them cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

__all__ = ["embedcache", "minutes"]


def embedcache(root: Path, *arguments: str) -> dict[str, Any]:
    """What a command says with `--json`, and its cost.

    Args:
        root: Caches go to `cache/` under it, runs to `runs/`.
        arguments: The command, and what it is given.

    Returns:
        The command's result with the `machine`, and with `wall_minutes` and `cpu_minutes` of the
        command and of the processes that it started: other commands may run beside it.
    """
    command = [sys.executable, "-m", "embedcache", *arguments, "--json", "--quiet"]
    command += ["--cache-dir", str(root / "cache")]
    if arguments[0] != "extract":
        command += ["--runs-dir", str(root / "runs")]
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return {
        **json.loads(said),
        "machine": _machine(),
        "wall_minutes": (time.perf_counter() - started) / 60,
        "cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60,
    }


def _machine() -> str:
    """What the backbones run on by default."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {os.cpu_count()} cores"


def minutes(result: dict[str, Any]) -> float:
    """What a command took: on a CPU processor minutes / 2, which other work does not lengthen.

    Args:
        result: Of `embedcache`, with the `machine` that it ran on.
    """
    is_cpu = str(result["machine"]).startswith("CPU")
    return float(result["cpu_minutes"] / 2 if is_cpu else result["wall_minutes"])
