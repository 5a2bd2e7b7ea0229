"""A head that was fitted before is found again, and no other one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lab import RED, Lab, paint

from embedcache.runs.folder import CONFIG, REPORT, list_runs


def test_the_same_wishes_give_the_same_run(lab: Lab) -> None:
    """As it was, with its report; without `reuse` another one is fitted."""
    lab.extract()
    first = lab.fit(reuse=True)
    assert not first.reused
    again = lab.fit(reuse=True)
    assert again.reused
    assert (again.path, again.report) == (first.path, first.report)
    assert again.head.classes == first.head.classes
    newer = lab.fit()
    assert newer.path != first.path
    assert lab.fit(reuse=True).path == newer.path


def test_other_wishes_give_another_run(lab: Lab) -> None:
    """Another seed, model, or value; other rows; labels from a file, which may have changed."""
    lab.extract()
    runs = [lab.fit().path]
    labels = lab.photos.parent / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"red/{i}.png,ab{i % 2}\n" for i in range(10)))
    changes: tuple[dict[str, Any], ...] = ({"seed": 1}, {"model": "ncm"}, {"values": (0.1,)})
    for options in (*changes, {"labels": labels}, {"labels": labels}):
        run = lab.fit(reuse=True, **options)
        assert not run.reused
        runs.append(run.path)
    paint(lab.photos / "red" / "another.png", RED, 99)
    lab.extract()
    runs.append(lab.fit(reuse=True).path)
    assert runs == list(dict.fromkeys(runs))
    assert sorted(runs) == list_runs(lab.runs_dir)


@pytest.mark.parametrize("name", [CONFIG, REPORT])
@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_run_is_no_answer(name: str, content: str, lab: Lab) -> None:
    """The head is fitted again."""
    lab.extract()
    run = lab.fit(model="ncm")
    (run.path / name).write_text(content)
    assert not lab.fit(model="ncm", reuse=True).reused


def test_a_run_of_another_version_is_no_answer(lab: Lab) -> None:
    """What it computes may have changed."""
    lab.extract()
    run = lab.fit(model="ncm")
    config = json.loads((run.path / CONFIG).read_bytes())
    (run.path / CONFIG).write_text(json.dumps({**config, "version": "0.0"}))
    assert not lab.fit(model="ncm", reuse=True).reused
