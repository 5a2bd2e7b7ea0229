"""What makes features comparable, and what does not."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.records.identity import IDENTITY_VERSION, FlatRecord, Identity, Numerics

IDENTITY = Identity(
    source="timm",
    architecture="resnet18",
    weights="ab" * 32,
    decode="rgb8-1",
    resize="shortest",
    resize_to="256x256",
    image_size="224x224",
    interpolation="bilinear",
    fill="none",
    mean="0.485,0.456,0.406",
    std="0.229,0.224,0.225",
    layer="pre-logits",
    pooling="default",
    normalisation="none",
    precision="float32",
    stored_dtype="float16",
    version=1,
)
NUMERICS = Numerics("cpu", "eager", "contiguous", 32, "2.14.1", "timm 1.0.31", "pillow 13.0.0")
FIELDS = [field.name for field in fields(Identity)]


def changed(record: FlatRecord, name: str) -> Any:
    """The record with one field changed, its type kept."""
    value = getattr(record, name)
    return replace(record, **{name: value + 1 if isinstance(value, int) else f"x{value}"})


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_changes_the_digest(name: str) -> None:
    """No field can change without another cache, and the change is named."""
    other = changed(IDENTITY, name)
    assert other.digest != IDENTITY.digest
    assert other.short != IDENTITY.short
    (difference,) = IDENTITY.differences(other)
    assert difference.startswith(f"{name}: ")


@given(st.sets(st.sampled_from(FIELDS)))
def test_all_differences_are_named_and_no_others(names: set[str]) -> None:
    """Differences list each changed field once, in the order of the record."""
    other = IDENTITY
    for name in names:
        other = changed(other, name)
    got = [line.split(":")[0] for line in IDENTITY.differences(other)]
    assert got == [name for name in FIELDS if name in names]
    assert (other.digest == IDENTITY.digest) == (not names)


def test_differences_read_from_mine_to_the_other() -> None:
    """A line says what was and what is; digests of weights are shortened."""
    other = replace(IDENTITY, interpolation="bicubic", weights="cd" * 32)
    assert IDENTITY.differences(other) == (
        "weights: abababababab → cdcdcdcdcdcd",
        "interpolation: bilinear → bicubic",
    )


def test_the_digest_is_the_same_for_ever() -> None:
    """A pinned value: if it moves, every cache in the world is orphaned."""
    text = json.dumps(IDENTITY.to_json(), sort_keys=True, separators=(",", ":"))
    assert text.startswith('{"architecture":"resnet18","decode":"rgb8-1"')
    assert IDENTITY.digest == "227099347a5593a8ec51544f8c5818b4698b3e6f05a51a5a4a75c8f594e32cb8"
    assert IDENTITY.short == IDENTITY.digest[:12]


def test_values_cannot_move_between_fields() -> None:
    """Swapping the values of two fields is another identity, as values carry their names."""
    swapped = replace(IDENTITY, mean=IDENTITY.std, std=IDENTITY.mean)
    assert swapped.digest != IDENTITY.digest


def test_the_version_takes_part() -> None:
    """An identity made now has the current version."""
    values = {name: value for name, value in IDENTITY.to_json().items() if name != "version"}
    assert Identity(**values).version == IDENTITY_VERSION  # type: ignore[arg-type]  # str | int


def test_a_plain_image_has_no_view_in_the_json() -> None:
    """Identities from before there were views keep their digests; a view is part of one."""
    assert "view" not in IDENTITY.to_json()
    seen = replace(IDENTITY, view="crop-1-0")
    assert seen.digest != IDENTITY.digest
    assert Identity.from_json(seen.to_json()) == seen


@pytest.mark.parametrize("record", [IDENTITY, NUMERICS])
def test_json_gives_the_record_back(record: FlatRecord) -> None:
    """Through JSON text and back, nothing changes."""
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record


@pytest.mark.parametrize("record", [IDENTITY, NUMERICS])
def test_json_with_missing_unknown_or_wrong_fields_is_refused(record: FlatRecord) -> None:
    """Each field is needed, has its type, and has no company; the message names it."""
    good = record.to_json()
    for name, value in good.items():
        missing = {key: value for key, value in good.items() if key != name}
        with pytest.raises(ValueError, match=name):
            type(record).from_json(missing)
        wrong: list[Any] = [None, 1.0, True, [value], str(value) if isinstance(value, int) else 1]
        for other in wrong:
            with pytest.raises(ValueError, match=name):
                type(record).from_json({**good, name: other})
    with pytest.raises(ValueError, match="colour"):
        type(record).from_json({**good, "colour": "red"})
    with pytest.raises(ValueError, match="missing or unknown"):
        type(record).from_json({})


def test_records_are_frozen() -> None:
    """An identity can be a key: equal ones hash alike, and none changes."""
    assert hash(replace(IDENTITY)) == hash(IDENTITY)
    with pytest.raises(AttributeError):
        IDENTITY.resize = "squash"  # type: ignore[misc]  # the point of the test
