from itertools import pairwise

import numpy as np
import pytest

from embedcache.store.layout import ALIGNMENT, GROUPS, TABLES, build_skeleton, rows_per_block


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(0, 4 << 20), (1, 4 << 20), (2560, 1638), (4 << 20, 1), (1 << 40, 1)]
)
def test_a_block_is_about_four_megabytes(row_bytes: int, rows: int) -> None:
    """Blocks hold whole rows, at least one."""
    assert rows_per_block(row_bytes) == rows


def test_groups_are_those_of_the_tables() -> None:
    """Every parent of a table or group is a group."""
    parents = {path.rpartition("/")[0] for path in [*TABLES, *GROUPS]} - {""}
    assert parents == set(GROUPS)


def test_a_huge_file_is_laid_out_without_touching_its_data() -> None:
    """Tables of terabytes cost kilobytes to lay out, and none of them overlap."""
    shapes = {
        path: (tuple(7 if isinstance(side, str) or side < 0 else side for side in spec.shape), spec)
        for path, spec in TABLES.items()
    }
    shapes["features"] = ((10**9, 2048), TABLES["features"])
    tables = {path: (shape, np.dtype(spec.dtypes[0])) for path, (shape, spec) in shapes.items()}
    skeleton = build_skeleton(tables, 1)
    assert sum(len(data) for _, data in skeleton.extents) < 100_000
    spans = [(offset, offset + len(data)) for offset, data in skeleton.extents]
    for path, (shape, dtype) in tables.items():
        offset = skeleton.offsets[path]
        assert offset % ALIGNMENT == 0
        spans.append((offset, offset + int(np.prod(shape)) * dtype.itemsize))
    spans.sort()
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert spans[-1][1] <= skeleton.size
