"""One thread for linear algebra, whatever has been loaded since."""

import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info

from embedcache.heads.threads import one_thread


def _most() -> int:
    assert np.isfinite(np.eye(2) @ np.eye(2)).all()  # BLAS is there
    return max(each["num_threads"] for each in threadpool_info())


def test_within_it_every_library_has_one_thread() -> None:
    """Inside there is one thread, outside as many as before, time and again."""
    before = _most()
    for _ in range(2):
        with one_thread():
            assert _most() == 1
        assert _most() == before


def test_a_library_loaded_later_is_found() -> None:
    """What is imported after the first use has one thread in the next."""
    code = (
        "import numpy\n"
        "from embedcache.heads.threads import one_thread\n"
        "from threadpoolctl import threadpool_info\n"
        "with one_thread(): pass\n"
        "known = len(threadpool_info())\n"
        "import sklearn.cluster\n"
        "with one_thread():\n"
        "    found = [each['num_threads'] for each in threadpool_info()]\n"
        "assert len(found) > known and set(found) == {1}, found\n"
    )
    env = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
