"""The identity of features that were made elsewhere is their backbone's name."""

from builders import IDENTITY

from embedcache.backbones.names import SOURCES
from embedcache.records.identity import Identity
from embedcache.records.imported import IMPORTED, imported_identity, is_imported


def test_the_same_name_is_the_same_identity() -> None:
    """So that a head takes new rows of the same backbone."""
    assert imported_identity("dino", "float16") == imported_identity("dino", "float16")


def test_another_name_or_dtype_is_another_identity() -> None:
    """And nothing else can tell them apart."""
    first = imported_identity("dino", "float16")
    assert first.differences(imported_identity("clip", "float16")) == ("architecture: dino → clip",)
    assert first.digest != imported_identity("dino", "float32").digest


def test_it_is_never_the_identity_of_a_backbone_that_is_known() -> None:
    """No source of backbones is called so."""
    assert IMPORTED not in SOURCES
    assert is_imported(imported_identity("dino", "float16"))
    assert not is_imported(IDENTITY)


def test_it_survives_json() -> None:
    """As every identity."""
    identity = imported_identity("größe ü", "float32")
    assert Identity.from_json(identity.to_json()) == identity
