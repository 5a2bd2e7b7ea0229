"""`finetune` from Python: every option has its keyword, and none is lost on the way."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeBackbone
from lab import Lab

from embedcache.errors import UsageError
from embedcache.store.cache import FeatureCache
from embedcache.workflows import finetune as workflow
from embedcache.workflows.finetune_keywords import finetune
from embedcache.workflows.finetune_options import FinetuneOptions


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, FinetuneOptions, dict[str, Any]]]:
    """What the workflow was called with."""
    calls: list[tuple[Any, FinetuneOptions, dict[str, Any]]] = []

    def called(given: Any, options: FinetuneOptions, **places: Any) -> None:
        calls.append((given, options, places))

    monkeypatch.setattr(workflow, "finetune", called)
    return calls


def test_without_keywords_it_is_the_default(asked: list[Any]) -> None:
    """As on the command line."""
    finetune()
    ((given, options, places),) = asked
    assert given is None
    assert options == FinetuneOptions()
    assert not places["force"]


def test_every_option_has_its_keyword(asked: list[Any], tmp_path: Path) -> None:
    """With its own default; a rate may be a number or `auto`."""
    parameters = inspect.signature(finetune).parameters
    for each in fields(FinetuneOptions):
        if each.name != "lr_auto":
            assert parameters[each.name].default == each.default, each.name
    others = {"steps": 7, "augment": "flips", "budget": 3.0, "source": str(tmp_path), "seed": 2}
    finetune("a-run", lr="auto", **others, force=True, cache_dir=tmp_path)
    finetune("a-run", lr=1e-3)
    (given, options, places), (_, other, _) = asked
    assert given == "a-run"
    assert options == FinetuneOptions(**{**others, "source": tmp_path}, lr_auto=True)
    assert (places["force"], places["cache_dir"]) == (True, tmp_path)
    assert (other.lr, other.lr_auto) == (1e-3, False)


def test_caches_and_runs_may_be_given_as_they_are(asked: list[Any], lab: Lab) -> None:
    """As `extract` and `fit_head` return them."""
    cache = FeatureCache(lab.extract(FakeBackbone()).cache)
    run = lab.fit(model="ncm")
    finetune(cache)
    finetune(run)
    assert [given for given, _, _ in asked] == [cache.path, run.path]


def test_a_rate_that_is_none(asked: list[Any]) -> None:
    """It is refused by name."""
    with pytest.raises(UsageError, match="learning rate"):
        finetune(lr="fast")
    assert asked == []
