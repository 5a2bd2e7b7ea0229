"""Run pieces of Python in processes of their own: to kill them, limit them or take their rights."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

_TESTS = Path(__file__).parent
_PATH = os.pathsep.join(
    [str(_TESTS), str(_TESTS.parent)]
)  # of this checkout, whatever is installed


def give_up_rights() -> None:
    """Become nobody, where root runs the tests: permissions do not bind root.

    Everything must have been imported before: Python may lie where only root can read it.
    """
    if os.getuid() == 0:
        os.setuid(65534)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach: pytest's own are closed to them."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    try:
        yield path
    finally:
        for folder in [path, *(item for item in path.rglob("*") if item.is_dir())]:
            folder.chmod(0o755)
        shutil.rmtree(path)


def start(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start Python on `code`, with the test helpers importable and `arguments` in `sys.argv`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": _PATH, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    code: str, *arguments: object, timeout: float = 120, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` to its end, which may be a violent one."""
    with start(code, *arguments, **environment) as process:
        out, err = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def output(code: str, *arguments: object, timeout: float = 120, **environment: str) -> str:
    """What `code` prints; it has to end well."""
    done = run(code, *arguments, timeout=timeout, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
