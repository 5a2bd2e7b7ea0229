"""`run_page`: the report of a run for people, with the pictures behind it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from embedcache.extraction.environment import environment
from embedcache.heads.class_weights import NONE
from embedcache.heads.fitted import Fitted
from embedcache.heads.multilabel.report import MultilabelReport
from embedcache.heads.problem import Problem
from embedcache.heads.run_report import RunReport
from embedcache.records.imported import is_imported
from embedcache.reports.page.material import Material
from embedcache.reports.page.multilabel import multilabel_page
from embedcache.reports.page.page import page
from embedcache.reports.page.thumbnails import thumbnail
from embedcache.store.cache import FeatureCache
from embedcache.workflows.near import pictures_of

__all__ = ["cache_command", "flag", "run_page"]

_Report = TypeVar("_Report", bound=RunReport)


def run_page(
    caches: Sequence[FeatureCache], problem: Problem, fitted: Fitted, options: Mapping[str, Any]
) -> bytes:
    """The page, UTF-8.

    Args:
        caches: What the head was fitted on.
        problem: What it was fitted to.
        fitted: The head, its report, and what was predicted of the judged rows.
        options: Of the fit, by name: as `fit_head` takes them.
    """
    report, judged = fitted.report, fitted.predictions
    read = pictures_of(problem, caches[0].meta.root)

    def picture(row: int) -> str | None:
        image = read(row)
        return None if image is None else thumbnail(image)

    def material(of: _Report) -> Material[_Report]:
        return Material(
            report=of,
            row=judged.row,
            labels=fitted.rows.label[judged.row],
            group=judged.group,
            probabilities=judged.probability,
            ids=problem.ids,
            picture=picture,
            rejects=caches[0].rejects,
            commands=(*map(cache_command, caches), _fit_command(caches, of, options)),
            versions=environment(),
        )

    if isinstance(report, MultilabelReport):
        return multilabel_page(material(report))
    return page(material(report))


def cache_command(cache: FeatureCache) -> str:
    """What to type to make a cache again."""
    source, request = cache.meta.source, cache.meta.request
    command = "import" if is_imported(cache.identity) else "extract"
    words = ["embedcache", command, source.location]
    for name, value in source.options.items():
        words += _source_flag(name, value)
    if is_imported(cache.identity):
        return shlex.join(words)
    if not request:
        return f"{shlex.join(words)}  # with a backbone that was given from Python"
    names = {"name": "backbone", "stored_dtype": "store_dtype"}
    for name, value in request.items():
        if value is not None:
            words += flag(names.get(name, name), value)
    return shlex.join(words)


def _source_flag(name: str, value: str) -> list[str]:
    if name != "label_columns":
        return flag(name, value)
    return [word for column in json.loads(value) for word in flag("label_column", column)]


def _fit_command(
    caches: Sequence[FeatureCache], report: RunReport, options: Mapping[str, Any]
) -> str:
    words = ["embedcache", "fit-head", *(str(cache.path) for cache in caches)]
    for name, value in options.items():
        if name == "values":
            parameter = next(iter(report.selection.setting), "").lower()
            words += [word for each in value or () for word in flag(parameter, f"{each:g}")]
        elif isinstance(value, list):
            words += [word for each in value for word in flag(name, each)]
        elif name == "class_weight":
            words += _class_weight(value)
        elif value is not None and value is not False:
            words += flag(name, value)
    return shlex.join(words)


def _class_weight(asked: str | Mapping[str, float]) -> list[str]:
    if isinstance(asked, str):
        return [] if asked == NONE else flag("class_weight", asked)
    return [
        word for name, weight in asked.items() for word in ("--class-weight", f"{name}={weight:g}")
    ]


def flag(name: str, value: object) -> list[str]:
    """An option of the command line as words, by its name in Python."""
    option = "--" + name.replace("_", "-")
    return [option] if value is True or value == "yes" else [option, str(value)]
