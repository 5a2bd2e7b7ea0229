"""Check what an installation needs, before it starts: Python, venv, disk space.

Runs on any Python 3, so that an old one is told what is missing instead of
failing on syntax. Usage: python3 tools/preflight.py FOLDER_OF_THE_ENVIRONMENT
"""

import os
import shutil
import sys

LEAST_PYTHON = (3, 11)
LEAST_BYTES = 8 * 10**9


def problems(environment):
    """What is missing, each with its remedy."""
    found = []
    if sys.version_info < LEAST_PYTHON:
        found.append(
            "Python %d.%d or newer is needed, this is %s.\n"
            "  Install one and name it: make demo PYTHON=python3.12"
            % (LEAST_PYTHON + (sys.version.split()[0],))
        )
    try:
        import ensurepip  # noqa: F401  # only its presence matters
        import venv  # noqa: F401  # likewise
    except ImportError:
        found.append(
            "Python's venv module is not there.\n  On Debian and Ubuntu: apt install python3-venv"
        )
    folder = os.path.dirname(os.path.abspath(environment))
    free = shutil.disk_usage(folder).free
    if free < LEAST_BYTES:
        found.append(
            "about 8 GB of free disk space are needed for PyTorch, %.1f GB are free at %s.\n"
            "  Make room, or put the environment elsewhere: make demo VENV=/other/disk/venv"
            % (free / 1e9, folder)
        )
    return found


if __name__ == "__main__":
    missing = problems(sys.argv[1])
    for text in missing:
        sys.stderr.write("missing: %s\n" % text)
    sys.exit(1 if missing else 0)
