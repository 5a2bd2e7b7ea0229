"""Describe a cache: identity, numerics, counts, rejects, environment and licences."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embedcache.records.label_arrays import labelled
from embedcache.records.manifest import SPLITS
from embedcache.records.seen import UNSEEN
from embedcache.reports.escape import printable
from embedcache.storage.publish import human_bytes
from embedcache.store.cache import FeatureCache

__all__ = ["cache_text", "describe_cache"]

_COLUMNS = 80

_MOST_CLASSES = 20
"""Classes that the text lists; `--json` has all."""


def describe_cache(cache: FeatureCache) -> dict[str, Any]:
    """Everything about a cache but its rows, as one JSON object."""
    meta = cache.meta
    several = {"labels_per_row": _labels_per_row(cache)} if cache.is_multilabel else {}
    return {
        "cache": str(cache.path),
        "bytes": cache.path.stat().st_size,
        "rows": len(cache),
        "dim": cache.dim,
        "content": cache.content_digest,
        "backbone": meta.backbone.name,
        "parameters": meta.backbone.parameters,
        "identity": cache.identity.to_json(),
        "numerics": [entry.to_json() for entry in meta.numerics],
        "environment": meta.environment,
        "source": meta.source.to_json(),
        "created": meta.created,
        "classes": _counts(cache),
        "unlabelled": int((~labelled(cache.y)).sum()),
        **several,
        **({"seen_rows": int((cache.seen != UNSEEN).sum())} if cache.seen.any() else {}),
        "rejects": dict(Counter(reject.reason.label for reject in cache.rejects)),
        "weights_license": meta.backbone.license or "unknown",
        "data_license": _data_license(Path(meta.source.location)),
    }


def _counts(cache: FeatureCache) -> dict[str, dict[str, int]]:
    """Rows by class and split; a row of several classes counts for each."""
    table = np.zeros((len(cache.classes), len(SPLITS)), int)
    rows = np.flatnonzero(labelled(cache.y))
    if cache.is_multilabel:
        for code in range(len(SPLITS)):
            mine = rows[cache.split[rows] == code]
            table[:, code] = cache.y[mine].sum(axis=0, dtype=np.int64)
    else:
        np.add.at(table, (cache.y[rows], cache.split[rows]), 1)
    return {
        name: {split or "none": int(count) for split, count in zip(SPLITS, row, strict=True)}
        for name, row in zip(cache.classes, table, strict=True)
    }


def _labels_per_row(cache: FeatureCache) -> dict[str, Any]:
    """How many labels the labelled rows have.

    `mean` is the label cardinality of Tsoumakas and Katakis, "Multi-label classification: an
    overview", 2007; it is None where no row is labelled.
    """
    counts = cache.y[labelled(cache.y)].sum(axis=1, dtype=np.int64)
    return {
        "mean": float(counts.mean()) if len(counts) else None,
        "most": int(counts.max(initial=0)),
        "none": int((counts == 0).sum()),
    }


def _data_license(source: Path) -> str:
    """First line of a licence file beside the data, and its path, where there is one."""
    folders = (source, source.parent) if source.is_dir() else (source.parent, source.parent.parent)
    for folder in folders:
        for path in sorted(folder.glob("LICEN[CS]E*")):
            first = path.read_text(errors="replace").strip().partition("\n")[0]
            return f"{first} ({path})"
    return "unknown"


def cache_text(cache: FeatureCache) -> str:
    """The description for people, within 80 columns but for paths."""
    about = describe_cache(cache)
    lines = [
        f"{about['rows']:,} rows × {about['dim']:,}, {human_bytes(about['bytes'])}",
        f"  cache     {printable(about['cache'])}",
        f"  source    {printable(about['source']['location'])}",
        f"  backbone  {printable(about['backbone'])}{_size(about['parameters'])}",
        *(
            [f"  seen      {about['seen_rows']:,} rows trained this backbone"]
            if "seen_rows" in about
            else []
        ),
        f"  created   {about['created']}",
        f"  licences  weights: {about['weights_license']}",
        f"            data: {printable(about['data_license'])}",
        "identity",
        *(f"  {name:<14}{printable(str(value))}" for name, value in about["identity"].items()),
        "numerics",
    ]
    for code, entry in enumerate(about["numerics"]):
        rows = int((cache.tables.numerics == code).sum())
        lines += [f"  {rows:,} rows", *_listed(entry, "    ")]
    lines += ["environment", *_listed(about["environment"], "  "), *_class_lines(about)]
    for reason, count in about["rejects"].items():
        lines.append(f"rejected: {count:,} {reason}")
    return "\n".join(lines)


def _size(parameters: int) -> str:
    """The size of a backbone; nothing where it is not known."""
    return f", {parameters / 1e6:.1f} M parameters" if parameters else ""


def _listed(values: Mapping[str, object], indent: str) -> list[str]:
    """Names and values, side by side as far as a line goes."""
    text = ", ".join(f"{name} {value}" for name, value in values.items())
    return textwrap.wrap(
        printable(text),
        _COLUMNS,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _class_lines(about: dict[str, Any]) -> list[str]:
    classes = about["classes"]
    used = [split or "none" for split in SPLITS]
    used = [split for split in used if any(row[split] for row in classes.values())]
    lines = ["classes", f"  {'':<32}" + "".join(f"{split:>10}" for split in used)]
    for name, row in list(classes.items())[:_MOST_CLASSES]:
        shown = printable(name)
        shown = shown if len(shown) <= 31 else shown[:30] + "…"
        lines.append(f"  {shown:<32}" + "".join(f"{row[split]:>10,}" for split in used))
    if len(classes) > _MOST_CLASSES:
        lines.append(f"  … and {len(classes) - _MOST_CLASSES:,} more; --json has all")
    if "labels_per_row" in about:
        lines.append(_several_line(about["labels_per_row"]))
    if about["unlabelled"]:
        lines.append(f"  {'unlabelled':<32}{about['unlabelled']:>10,}")
    return lines


def _several_line(per_row: dict[str, Any]) -> str:
    if per_row["mean"] is None:
        return "  several labels for each row"
    most, none = per_row["most"], per_row["none"]
    return f"  labels per labelled row: {per_row['mean']:.2f} (most {most:,}; {none:,} have none)"
