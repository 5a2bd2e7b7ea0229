"""A head is fitted on a cache, its run written, and loaded again."""

import json
from pathlib import Path

import numpy as np
import pytest
from lab import Lab

from embedcache.errors import CacheInvalidError, UsageError
from embedcache.records.manifest import SPLITS
from embedcache.runs.folder import (
    CONFIG,
    HEAD,
    HEAD_TENSORS,
    LABEL_DOUBTS,
    PAGE,
    PREDICTIONS,
    REPORT,
    ROWS,
    list_runs,
)
from embedcache.store.cache import FeatureCache
from embedcache.workflows.fit import fit_head, load_head
from embedcache.workflows.problem import problem_of


def test_a_run_folder_holds_the_head_its_rows_the_report_and_the_configuration(lab: Lab) -> None:
    """Eight files, named for what they hold, and nothing else."""
    lab.extract()
    run = lab.fit()
    assert {path.name for path in run.path.iterdir()} == {
        HEAD,
        HEAD_TENSORS,
        ROWS,
        PREDICTIONS,
        REPORT,
        PAGE,
        LABEL_DOUBTS,
        CONFIG,
    }
    report = json.loads((run.path / REPORT).read_text())
    assert report["rows"]["total"] == 20
    assert run.report.evaluation.score("accuracy").value == 1.0


def test_the_configuration_says_how_to_fit_it_again(lab: Lab) -> None:
    """Cache, every choice, and the golden record that predictions have to meet."""
    result = lab.extract()
    run = lab.fit(values=(0.1, 1.0), metric="accuracy", seed=3)
    config = json.loads((run.path / CONFIG).read_text())
    assert config["caches"] == [str(result.cache)]
    assert config["fit"] == {
        "model": "logreg",
        "metric": "accuracy",
        "seed": 3,
        "on_conflict": "error",
        "values": [0.1, 1.0],
        "abstain_precision": None,
        "shots": None,
        "seeds": None,
        "class_weight": "none",
        "keep_duplicates_together": False,
        "labels": None,
        "label_column": None,
        "label_separator": None,
        "classes": None,
        "init": None,
        "prompt": None,
        "weights": None,
        "device": "cpu",
    }
    golden = FeatureCache(result.cache).meta.golden
    assert config["backbones"][0]["golden"]["record"] == golden


def test_runs_are_named_by_data_set_backbone_model_and_number(lab: Lab) -> None:
    """The second run counts on; both stay."""
    dataset = lab.extract().cache.parent.name
    names = [lab.fit(values=(1.0,)).path.name for _ in range(2)]
    assert names == [f"{dataset}-fake-mean-logreg-1", f"{dataset}-fake-mean-logreg-2"]
    assert [path.name for path in list_runs(lab.runs_dir)] == names


def test_a_cache_may_be_given_as_an_object_a_path_or_not_at_all(lab: Lab) -> None:
    """All three name the same rows, hence the same head."""
    path = lab.extract().cache
    heads = [
        fit_head(FeatureCache(path), values=(1.0,), runs_dir=lab.runs_dir).head,
        fit_head(str(path), values=(1.0,), runs_dir=lab.runs_dir).head,
        lab.fit(values=(1.0,)).head,
    ]
    for head in heads[1:]:
        np.testing.assert_array_equal(head.form.weights, heads[0].form.weights)


def test_a_head_is_loaded_by_folder_or_by_name(lab: Lab) -> None:
    """It predicts, bit by bit, what the fitted one predicts."""
    cache = FeatureCache(lab.extract().cache)
    run = lab.fit(values=(1.0,))
    expected = run.head.predict_proba(cache.X)
    for name in (run.path, str(run.path), run.path.name):
        head = load_head(name, lab.runs_dir)
        np.testing.assert_array_equal(head.predict_proba(cache.X), expected)
        assert head.classes == ("green", "red")
        assert head.sources[0].identity == cache.identity


def test_a_run_that_is_not_there_is_a_usage_error(lab: Lab) -> None:
    """The message says where it was looked for."""
    with pytest.raises(UsageError, match="no run called 'nothing'") as caught:
        load_head("nothing", lab.runs_dir)
    assert caught.value.where == str(lab.runs_dir)


def test_an_altered_head_is_refused(lab: Lab) -> None:
    """One changed byte of the arrays is one too many."""
    lab.extract()
    run = lab.fit(values=(1.0,))
    path = run.path / HEAD_TENSORS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CacheInvalidError):
        load_head(run.path)


def test_heads_see_the_caches_rows(lab: Lab) -> None:
    """Features, labels, digests and names of a problem are the cache's own, row by row."""
    cache = FeatureCache(lab.extract().cache)
    problem = problem_of(cache)
    np.testing.assert_array_equal(problem.features, cache.X)
    np.testing.assert_array_equal(problem.labels, cache.y)
    np.testing.assert_array_equal(problem.digests, cache.sha256)
    assert list(problem.ids) == list(cache.ids)
    assert problem.classes == cache.classes
    assert problem.dataset == cache.path.parent.name
    assert problem.sources[0].content_digest == cache.content_digest


def test_the_sources_split_is_obeyed(lab: Lab, tmp_path: Path) -> None:
    """Test rows of the manifest are those that are judged."""
    lines = ["path,label,split"]
    for label in ("red", "green"):
        lines += [f"{label}/{i}.png,{label},{'test' if i < 4 else 'train'}" for i in range(10)]
    manifest = lab.photos / "list.csv"
    manifest.write_text("\n".join(lines))
    lab.photos = manifest
    cache = FeatureCache(lab.extract().cache)
    run = lab.fit(values=(1.0,))
    assert run.report.split.source == "given"
    assert run.report.rows.judged == sum(SPLITS[code] == "test" for code in cache.split) == 8
