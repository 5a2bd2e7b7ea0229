"""`BackboneSpec`: what is known of a backbone without holding it in memory.

D is the embedding dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from embedcache.records.identity import Identity

__all__ = ["READING_MARK", "BackboneSpec"]

READING_MARK = "#"
"""In a backbone's name before the block whose input is the feature, and before the view."""


@dataclass(frozen=True)
class BackboneSpec:
    """What is known of a backbone without holding it in memory.

    Attributes:
        name: Canonical name, weights tag included; `NAME#BLOCK[#VIEW]` for activations.
        identity: What its features depend on.
        dim: D.
        parameters: Number of parameters of the embedding tower.
        license: Licence of the weights, empty where unknown.
    """

    name: str
    identity: Identity
    dim: int
    parameters: int
    license: str

    def to_json(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "name": self.name,
            "identity": self.identity.to_json(),
            "dim": self.dim,
            "parameters": self.parameters,
            "license": self.license,
        }

    @classmethod
    def from_json(cls, value: Any) -> BackboneSpec:
        """The spec, from what `to_json` gave.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        match value:
            case {
                "name": str(name),
                "identity": dict(identity),
                "dim": int(dim),
                "parameters": int(parameters),
                "license": str(license_name),
            } if len(value) == 5:
                return cls(name, Identity.from_json(identity), dim, parameters, license_name)
        raise ValueError(f"not a backbone spec: {value!r}")
