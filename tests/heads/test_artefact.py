"""Heads on disk: exact round trips, and files that must be refused."""

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from problems import IDENTITY

from embedcache.errors import (
    CacheInvalidError,
    FeatureOverflowError,
    FormatVersionError,
    IdentityMismatchError,
)
from embedcache.heads.artefact import Head
from embedcache.heads.forms.linear import Linear
from embedcache.heads.head_record import AbstainRule, HowChosen
from embedcache.records.feature_source import FeatureSource
from embedcache.storage.digests import sha256_hex

RNG = np.random.default_rng(0)


def head(k: int = 3, d: int = 7) -> Head:
    rng = np.random.default_rng(1)
    return Head(
        (*(f"class {i}" for i in range(k - 1)), os.fsdecode(b"caf\xe9\n")),
        ("only judged",),
        Linear(rng.normal(size=(k, d)), rng.normal(size=k)),
        "logreg",
        "blobs",
        (FeatureSource("fake/mean", IDENTITY, "c" * 64, d),),
        HowChosen({"C": 0.1}, "log_loss", 0, 100, True, 12),
    )


def test_a_head_comes_back_as_it_went(tmp_path: Path) -> None:
    """Every field survives, arrays bit by bit, and saving twice gives the same bytes."""
    first = head()
    first.save(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["head.json", "head.safetensors"]
    again = Head.load(tmp_path)
    assert np.array_equal(first.form.weights, again.form.weights)
    assert np.array_equal(first.form.intercept, again.form.intercept)
    for name in ("classes", "unseen", "model", "dataset", "sources", "chosen"):
        assert getattr(first, name) == getattr(again, name)
    bytes_before = [(tmp_path / name).read_bytes() for name in sorted(os.listdir(tmp_path))]
    again.save(tmp_path)
    assert bytes_before == [(tmp_path / name).read_bytes() for name in sorted(os.listdir(tmp_path))]


@pytest.mark.parametrize(("k", "d"), [(2, 5), (3, 64), (100, 513)])
def test_predictions_do_not_depend_on_company(k: int, d: int) -> None:
    """A row's probabilities are equal in every bit, alone or among others."""
    features = RNG.normal(size=(300, d)).astype(np.float16)
    whole = head(k, d).predict_proba(features)
    assert whole.shape == (300, k)
    assert whole.sum(axis=1) == pytest.approx(np.ones(300))
    for low, high in ((0, 1), (1, 2), (7, 300), (131, 197), (299, 300)):
        assert np.array_equal(head(k, d).predict_proba(features[low:high]), whole[low:high])
    assert np.array_equal(head(k, d).predict_proba(features[::-1]), whole[::-1])


def test_a_head_of_any_number_of_labels_answers_each_by_itself(tmp_path: Path) -> None:
    """Each label's probability is the sigmoid of its own logit, after a load bit by bit too."""
    first = replace(head(), output="sigmoid")
    features = 30 * RNG.normal(size=(300, 7))
    features[0] *= 1e5  # no overflow where a logit is far from 0
    given = first.predict_proba(features)
    logits = first.form.logits(features)
    np.testing.assert_allclose(given[1:], 1 / (1 + np.exp(-logits[1:])), rtol=1e-12)
    assert set(given[0]) <= {0.0, 1.0}
    for low, high in ((0, 1), (7, 300), (131, 197)):
        assert np.array_equal(first.predict_proba(features[low:high]), given[low:high])
    first.save(tmp_path)
    again = Head.load(tmp_path)
    assert again.output == "sigmoid"
    assert np.array_equal(again.predict_proba(features), given)


def test_one_label_is_a_head_of_its_own(tmp_path: Path) -> None:
    """A label alone can be answered by a sigmoid, not by a softmax."""
    single = replace(head(k=1), output="sigmoid")
    single.save(tmp_path)
    assert Head.load(tmp_path).predict_proba(np.ones((2, 7))).shape == (2, 1)
    head(k=1).save(tmp_path)
    with pytest.raises(CacheInvalidError, match="not the description of a head"):
        Head.load(tmp_path)


def test_an_output_is_named_only_where_it_is_not_softmax(tmp_path: Path) -> None:
    """Heads of one class a row keep the description, and so the digest, that they had."""
    head().save(tmp_path)
    assert "output" not in json.loads((tmp_path / "head.json").read_bytes())


@pytest.mark.parametrize("changes", [{"output": "ranks"}, {"abstain": AbstainRule(0.9, 0.8)}])
def test_an_impossible_output_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    """Another word, or a rule to abstain for labels that each have their own answer."""
    replace(head(), **{"output": "sigmoid", **changes}).save(tmp_path)
    with pytest.raises(CacheInvalidError, match="unknown output"):
        Head.load(tmp_path)


def test_no_rows_have_no_predictions() -> None:
    """An empty table is answered with an empty one."""
    assert head().predict_proba(np.empty((0, 7), np.float32)).shape == (0, 3)


def test_foreign_features_are_refused() -> None:
    """Another identity, or another dimension, is an error that names the difference."""
    head().check_identity(IDENTITY)
    with pytest.raises(IdentityMismatchError) as caught:
        head().check_identity(replace(IDENTITY, interpolation="bicubic"))
    assert "interpolation: bilinear → bicubic" in str(caught.value)
    with pytest.raises(IdentityMismatchError, match="dimension"):
        head().predict_proba(np.zeros((2, 8), np.float32))


def test_each_source_is_checked_by_itself() -> None:
    """Features side by side are of these identities in this order, or refused."""
    early = replace(IDENTITY, layer="early")
    sources = (
        FeatureSource("fake/mean", IDENTITY, "c" * 64, 4),
        FeatureSource("fake/early", early, "d" * 64, 3),
    )
    both = replace(head(), sources=sources)
    both.check_identity(IDENTITY, early)
    assert both.backbone == "fake/mean + fake/early"
    with pytest.raises(IdentityMismatchError, match="not of the backbone"):
        both.check_identity(early, IDENTITY)
    with pytest.raises(IdentityMismatchError, match="another number of backbones"):
        both.check_identity(IDENTITY)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value: float) -> None:
    """The row is named."""
    features = np.zeros((5, 7), np.float32)
    features[3, 2] = value
    with pytest.raises(FeatureOverflowError) as caught:
        head().predict_proba(features)
    assert "row 3" in str(caught.value)


def _json(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "head.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def _tensors(folder: Path, change: Callable[[dict, bytes], tuple[dict, bytes]]) -> None:
    """Rewrite the header and the data, and give the description the new digest."""
    path = folder / "head.safetensors"
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, body = change(json.loads(data[8 : 8 + length]), data[8 + length :])
    raw = json.dumps(header).encode()
    _replace(folder, struct.pack("<Q", len(raw)) + raw + body)


def _replace(folder: Path, data: bytes) -> None:
    (folder / "head.safetensors").write_bytes(data)
    _json(folder, lambda value: value.update(tensors_sha256=sha256_hex(data)))


def _set(header: dict, name: str, **fields: object) -> dict:
    header[name].update(fields)
    return header


def _flip(folder: Path, name: str, at: int) -> None:
    path = folder / name
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "no description": lambda f: (f / "head.json").unlink(),
    "no arrays": lambda f: (f / "head.safetensors").unlink(),
    "empty description": lambda f: (f / "head.json").write_bytes(b""),
    "description not JSON": lambda f: (f / "head.json").write_bytes(b"\x80\x04pickle"),
    "description nested": lambda f: (f / "head.json").write_bytes(b"[" * 100_000),
    "description a list": lambda f: (f / "head.json").write_bytes(b"[]"),
    "unknown field": lambda f: _json(f, lambda v: v.update(code="import os")),
    "missing field": lambda f: _json(f, lambda v: v.pop("sources")),
    "identity field missing": lambda f: _json(f, lambda v: v["sources"][0]["identity"].pop("mean")),
    "no source": lambda f: _json(f, lambda v: v.update(sources=[])),
    "source of other columns": lambda f: _json(f, lambda v: v["sources"][0].update(dim=6)),
    "kind": lambda f: _json(f, lambda v: v.update(kind="other")),
    "form unknown": lambda f: _json(f, lambda v: v.update(form="pickle")),
    "form other": lambda f: _json(f, lambda v: v.update(form="layers")),
    "setting a list": lambda f: _json(f, lambda v: v["chosen"].update(setting=[1])),
    "setting text": lambda f: _json(f, lambda v: v["chosen"].update(setting={"C": "1"})),
    "dimension text": lambda f: _json(f, lambda v: v.update(dim="7")),
    "dimension true": lambda f: _json(f, lambda v: v.update(dim=True)),
    "dimension negative": lambda f: _json(f, lambda v: v.update(dim=-7)),
    "dimension huge": lambda f: _json(f, lambda v: v.update(dim=10**15)),
    "dimension other": lambda f: _json(f, lambda v: v.update(dim=8)),
    "one class": lambda f: _json(f, lambda v: v.update(classes=["a"])),
    "class twice": lambda f: _json(f, lambda v: v.update(classes=["a", "a", "b"])),
    "class renamed": lambda f: _json(f, lambda v: v.update(classes=["x", "y", "z"])),
    "class names swapped": lambda f: _json(f, lambda v: v["classes"].reverse()),
    "identity altered": lambda f: _json(
        f, lambda v: v["sources"][0]["identity"].update(resize="shortest")
    ),
    "C altered": lambda f: _json(f, lambda v: v["chosen"]["setting"].update(C=9.0)),
    "digest altered": lambda f: _json(f, lambda v: v.update(tensors_sha256="0" * 64)),
    "weight bit": lambda f: _flip(f, "head.safetensors", -3),
    "header bit": lambda f: _flip(f, "head.safetensors", 30),
    "truncated": lambda f: _replace(f, (f / "head.safetensors").read_bytes()[:-8]),
    "appended": lambda f: _replace(f, (f / "head.safetensors").read_bytes() + b"\0" * 8),
    "very short": lambda f: _replace(f, b"\x01"),
    "header longer than file": lambda f: _replace(f, struct.pack("<Q", 2**40) + b"{}"),
    "header not JSON": lambda f: _replace(f, struct.pack("<Q", 4) + b"\x80\x04ab"),
    "header a list": lambda f: _replace(f, struct.pack("<Q", 2) + b"[]"),
    "too large": lambda f: (f / "head.safetensors").write_bytes(b"\0" * 200_000),
    "offsets beyond": lambda f: _tensors(
        f, lambda h, b: (_set(h, "weights", data_offsets=[24, 10**9]), b)
    ),
    "offsets negative": lambda f: _tensors(
        f, lambda h, b: (_set(h, "weights", data_offsets=[-8, 160]), b)
    ),
    "offsets overlapping": lambda f: _tensors(
        f, lambda h, b: (_set(h, "weights", data_offsets=[0, 168]), b)
    ),
    "offsets text": lambda f: _tensors(
        f, lambda h, b: (_set(h, "weights", data_offsets=["0", "8"]), b)
    ),
    "shape false": lambda f: _tensors(f, lambda h, b: (_set(h, "weights", shape=[7, 3]), b)),
    "shape huge": lambda f: _tensors(f, lambda h, b: (_set(h, "weights", shape=[2**62, 7]), b)),
    "dtype other": lambda f: _tensors(f, lambda h, b: (_set(h, "weights", dtype="I64"), b)),
    "dtype unknown": lambda f: _tensors(f, lambda h, b: (_set(h, "weights", dtype="O"), b)),
    "tensor missing": lambda f: _tensors(
        f, lambda h, b: ({k: v for k, v in h.items() if k != "intercept"}, b)
    ),
    "tensor added": lambda f: _tensors(f, lambda h, b: ({**h, "more": h["weights"]}, b)),
    "metadata false": lambda f: _tensors(f, lambda h, b: ({**h, "__metadata__": [1]}, b)),
    "metadata gone": lambda f: _tensors(
        f, lambda h, b: ({k: v for k, v in h.items() if k[0] != "_"}, b)
    ),
    "not finite": lambda f: _tensors(f, lambda h, b: (h, struct.pack("<d", np.nan) + b[8:])),
    "link": lambda f: (
        (f / "head.json").rename(f / "elsewhere"),
        (f / "head.json").symlink_to(f / "elsewhere"),
    ),
    "pipe": lambda f: ((f / "head.json").unlink(), os.mkfifo(f / "head.json")),
    "folder": lambda f: ((f / "head.safetensors").unlink(), (f / "head.safetensors").mkdir()),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampered_heads_are_refused(name: str, tmp_path: Path) -> None:
    """Anything but the files that were written is refused with exit code 4."""
    head().save(tmp_path)
    TAMPERINGS[name](tmp_path)
    with pytest.raises(CacheInvalidError) as caught:
        Head.load(tmp_path)
    assert caught.value.exit_code == 4
    assert str(tmp_path) in str(caught.value)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """No single-bit flip in either file gives another head; most are refused."""
    head().save(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("head.json", "head.safetensors"):
        path = tmp_path / name
        good = path.read_bytes()
        for at in rng.integers(0, 8 * len(good), 150):
            data = bytearray(good)
            data[at // 8] ^= 1 << (at % 8)
            path.write_bytes(data)
            try:
                loaded = Head.load(tmp_path)
            except (CacheInvalidError, FormatVersionError):
                continue
            # White space between JSON tokens may change without changing the head.
            assert loaded.classes == head().classes
            assert loaded.chosen == head().chosen
            assert np.array_equal(loaded.form.weights, head().form.weights)
        path.write_bytes(good)
    assert Head.load(tmp_path).classes == head().classes


def test_newer_heads_are_refused_by_version(tmp_path: Path) -> None:
    """A later format is named, whatever else is in it."""
    head().save(tmp_path)
    _json(tmp_path, lambda value: value.update(format=4, novelty=[]))
    with pytest.raises(FormatVersionError) as caught:
        Head.load(tmp_path)
    assert "format 4" in str(caught.value)


def test_older_heads_are_refused_by_version(tmp_path: Path) -> None:
    """An earlier format is named, with what to do about it."""
    head().save(tmp_path)
    _json(tmp_path, lambda value: (value.update(format=1), value.pop("form")))
    with pytest.raises(FormatVersionError) as caught:
        Head.load(tmp_path)
    assert "older" in str(caught.value)
    assert "fit-head" in str(caught.value)


def test_a_rule_to_abstain_comes_back(tmp_path: Path) -> None:
    """It says which rows get no answer; a head without one answers all, and says nothing of it."""
    shares = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05], [0.8, 0.1, 0.1]])
    assert not head().abstains(shares).any()
    careful = replace(head(), abstain=AbstainRule(0.95, 0.8))
    careful.save(tmp_path)
    again = Head.load(tmp_path)
    assert again.abstain == careful.abstain
    assert again.abstains(shares).tolist() == [True, False, False]
    head().save(tmp_path)
    assert "abstain" not in json.loads((tmp_path / "head.json").read_text())
    replace(head(), abstain=AbstainRule(0.95, 1.5)).save(tmp_path)
    with pytest.raises(CacheInvalidError, match="impossible rule"):
        Head.load(tmp_path)
