"""The identity of features that were made elsewhere: their maker's name, taken on trust.

Nobody here can know which weights or which preprocessing made them. So the identity
promises less: two tables of features are comparable if their owner calls their backbone
by the same name, and both are stored with the same dtype.
"""

from __future__ import annotations

from embedcache.records.identity import Identity, Numerics

__all__ = ["IMPORTED", "imported_identity", "imported_numerics", "is_imported"]

IMPORTED = "imported"
"""The source of such an identity; no library of backbones has this name."""

_UNKNOWN = "unknown"


def imported_identity(backbone_name: str, stored_dtype: str) -> Identity:
    """The identity of features whose owner calls their backbone so."""
    return Identity(
        source=IMPORTED,
        architecture=backbone_name,
        weights=_UNKNOWN,
        decode=_UNKNOWN,
        resize=_UNKNOWN,
        resize_to=_UNKNOWN,
        image_size=_UNKNOWN,
        interpolation=_UNKNOWN,
        fill=_UNKNOWN,
        mean=_UNKNOWN,
        std=_UNKNOWN,
        layer=_UNKNOWN,
        pooling=_UNKNOWN,
        normalisation=_UNKNOWN,
        precision=_UNKNOWN,
        stored_dtype=stored_dtype,
    )


def imported_numerics() -> Numerics:
    """How imported rows were computed: unknown."""
    return Numerics(
        device=_UNKNOWN,
        engine=IMPORTED,
        memory_format=_UNKNOWN,
        batch_size=0,
        torch=_UNKNOWN,
        library=_UNKNOWN,
        codec=_UNKNOWN,
    )


def is_imported(identity: Identity) -> bool:
    """Whether the features were made elsewhere."""
    return identity.source == IMPORTED
