from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedcache.extraction.plan import Plan, job_rows_for
from embedcache.records.strings import Strings

_NAMES = st.lists(st.binary(max_size=20).filter(lambda name: 0 not in name), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_NAMES, st.integers(1, 9), st.integers(1, 9))
def test_a_plan_comes_back_whole(
    tmp_path: Path, names: list[bytes], batch_size: int, job_rows: int
) -> None:
    """What is written is obeyed, for names of any bytes."""
    plan = Plan("identity", batch_size, job_rows, Strings.of(names))
    plan.save(tmp_path)
    read = Plan.load(tmp_path)
    assert read is not None
    assert (read.identity, read.batch_size, read.job_rows) == ("identity", batch_size, job_rows)
    assert list(read.ids) == names


@given(st.integers(0, 100), st.integers(1, 20))
def test_jobs_cover_every_sample_once(count: int, job_rows: int) -> None:
    """Jobs are ranges one after another, all full but the last."""
    plan = Plan("identity", 1, job_rows, Strings.of(str(index) for index in range(count)))
    covered = [range(count)[plan.job(number)] for number in plan.jobs]
    assert [index for job in covered for index in job] == list(range(count))
    assert all(len(job) == job_rows for job in covered[:-1])
    assert all(covered)


@given(st.floats(0, 1e6), st.integers(1, 4096))
def test_jobs_are_whole_batches_of_about_half_a_minute(rate: float, batch_size: int) -> None:
    """A job is a power of two times the batch size, between 64 rows and 8,192."""
    rows = job_rows_for(rate, batch_size)
    factor = rows // batch_size
    assert rows == factor * batch_size
    assert factor & (factor - 1) == 0
    assert 64 <= rows <= max(8192, batch_size)
    if 64 <= rate * 30 <= 8192 and batch_size <= 32:
        assert rate * 30 / 2 < rows <= rate * 30


@pytest.mark.parametrize(
    ("change", "names"),
    [({"batch_size": 5}, "ab"), ({"job_rows": 9}, "ab"), ({"identity": "other"}, "ab"), ({}, "ac")],
)
def test_files_of_another_plan_have_other_names(
    tmp_path: Path, change: dict[str, object], names: str
) -> None:
    """Shards of two plans never meet under one name."""
    fields = {"identity": "identity", "batch_size": 4, "job_rows": 8}
    plan = Plan(**fields, ids=Strings.of("ab"))  # type: ignore[arg-type]  # by name
    other = Plan(**(fields | change), ids=Strings.of(names))  # type: ignore[arg-type]  # by name
    assert plan.files(tmp_path, 0) != other.files(tmp_path, 0)
    assert plan.files(tmp_path, 0) != plan.files(tmp_path, 1)
    assert plan.files(tmp_path, 0) == plan.files(tmp_path, 0)


@pytest.mark.parametrize("left", ["shard", "fragment"])
def test_what_a_job_left_is_never_written_over(tmp_path: Path, left: str) -> None:
    """A job that is visited again gets new names."""
    plan = Plan("identity", 4, 8, Strings.of("ab"))
    first = plan.files(tmp_path, 0)
    getattr(first, left).touch()
    second = plan.files(tmp_path, 0)
    getattr(second, left).touch()
    third = plan.files(tmp_path, 0)
    assert len({first, second, third}) == 3
    assert len({files.shard for files in (first, second, third)}) == 3


@pytest.mark.parametrize(
    "header",
    [
        "",
        "[]",
        "{}",
        "1",
        "[" * 100_000,
        '{"version": 2, "identity": "x", "batch_size": 4, "job_rows": 8}',
        '{"version": 1, "identity": "x", "batch_size": 0, "job_rows": 8}',
        '{"version": 1, "identity": "x", "batch_size": 4, "job_rows": -8}',
        '{"version": 1, "identity": 5, "batch_size": 4, "job_rows": 8}',
        '{"version": 1, "identity": "x", "batch_size": 4, "job_rows": 8}',
    ],
)
def test_what_is_no_plan_is_not_obeyed(tmp_path: Path, header: str) -> None:
    """Then a new one is made; nothing is raised."""
    assert Plan.load(tmp_path) is None
    Plan("x", 4, 8, Strings.of("ab")).save(tmp_path)
    assert Plan.load(tmp_path) is not None
    (tmp_path / "plan.json").write_text(header)
    assert Plan.load(tmp_path) is None
