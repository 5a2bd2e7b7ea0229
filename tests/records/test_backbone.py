"""What is known of a backbone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedcache.records.backbone import BackboneSpec
from embedcache.records.identity import Identity

IDENTITY = Identity(*("x",) * 16)
SPEC = BackboneSpec("timm/resnet18.a1_in1k", IDENTITY, 512, 11_176_512, "apache-2.0")


def test_json_gives_the_spec_back() -> None:
    """Through JSON text and back, nothing changes."""
    assert BackboneSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


@pytest.mark.parametrize("name", list(SPEC.to_json()))
def test_each_field_is_needed_and_has_its_type(name: str) -> None:
    """A field that is missing or of another type is an error."""
    good = SPEC.to_json()
    for value in (None, 1.5, ["x"]):
        with pytest.raises(ValueError, match="not a backbone spec"):
            BackboneSpec.from_json({**good, name: value})
    del good[name]
    with pytest.raises(ValueError, match="not a backbone spec"):
        BackboneSpec.from_json(good)


@pytest.mark.parametrize("value", [None, "x", [], {**SPEC.to_json(), "more": 1}])
def test_what_is_no_spec_is_refused(value: Any) -> None:
    """Other JSON, and fields that a spec has not, are an error."""
    with pytest.raises(ValueError, match="not a backbone spec"):
        BackboneSpec.from_json(value)
