"""`head.json`: the description of a head, and how it is read from anybody's file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from embedcache.errors import CacheInvalidError, FormatVersionError
from embedcache.heads.class_weights import ClassWeightRecord
from embedcache.heads.forms.index import FORMS
from embedcache.heads.json_records import dump_record, load_record, read_version
from embedcache.records.feature_source import FeatureSource
from embedcache.runs.files import read_regular
from embedcache.storage.digests import sha256_hex

__all__ = [
    "FORMAT",
    "KIND",
    "OUTPUTS",
    "AbstainRule",
    "HeadRecord",
    "HowChosen",
    "load_head_record",
]

FORMAT = 3
"""Version of `head.json`."""

KIND = "embedcache-head"

OUTPUTS = ("softmax", "sigmoid")
"""What makes logits into probabilities: of one class a row, or of any number of labels."""

_LARGEST = 64 << 20


@dataclass(frozen=True)
class HowChosen:
    """How the head came to be.

    Attributes:
        setting: The model's parameters by name, in scikit-learn's conventions.
        metric: What chose it, out of fold.
        seed: Of the folds.
        rows: Number of rows that the head is fitted on.
        converged: Whether the solver reached its tolerance.
        iterations: Iterations of the solver.
        temperature: What its logits were divided by, folded into the arrays; None where
            that was not recorded.
        class_weight: How much rows of each class counted; None where all counted the same.
    """

    setting: dict[str, float]
    metric: str
    seed: int
    rows: int
    converged: bool
    iterations: int
    temperature: float | None = None
    class_weight: ClassWeightRecord | None = None


@dataclass(frozen=True)
class AbstainRule:
    """When the head gives no answer.

    Attributes:
        wanted: Precision of the answers that was asked for.
        threshold: Answer where the largest probability is at least this.
    """

    wanted: float
    threshold: float


@dataclass(frozen=True)
class HeadRecord:
    """The fields of `head.json`, as in `artefact.Head`.

    Attributes:
        format: `FORMAT` at the time of writing.
        kind: `KIND`.
        form: How the arrays predict: a name in `forms.index.FORMS`.
        dim: Embedding dimension.
        tensors_sha256: SHA-256 of `head.safetensors`.
        abstain: When the head gives no answer; None for always an answer.
        output: One of `OUTPUTS`.
    """

    format: int
    kind: str
    model: str
    form: str
    classes: tuple[str, ...]
    unseen: tuple[str, ...]
    dim: int
    dataset: str
    sources: tuple[FeatureSource, ...]
    chosen: HowChosen
    tensors_sha256: str
    abstain: AbstainRule | None = None
    output: str = "softmax"

    @property
    def digest(self) -> str:
        """SHA-256 of all but the digest of the arrays, which hold this one."""
        return sha256_hex(dump_record(replace(self, tensors_sha256="")))


def load_head_record(path: Path) -> HeadRecord:
    """Read and check `head.json`.

    Raises:
        CacheInvalidError: Missing, damaged, hostile or not of a head.
        FormatVersionError: Written by another version of embedcache.
    """
    data = read_regular(path, _LARGEST)
    try:
        version = read_version(data)
        if version != FORMAT:
            newer = version > FORMAT
            raise FormatVersionError(
                f"this head was written by {'a newer' if newer else 'an older'} embedcache",
                where=path,
                got=f"format {version}",
                expected=f"format {FORMAT}",
                hint="pip install --upgrade embedcache" if newer else "embedcache fit-head",
            )
        record = load_record(HeadRecord, data)
    except ValueError as error:
        raise CacheInvalidError(
            "not the description of a head", where=path, got=error, hint="embedcache fit-head"
        ) from error
    names = record.classes + record.unseen
    least = 1 if record.output == "sigmoid" else 2
    if record.kind != KIND or record.dim < 1 or len(record.classes) < least:
        raise CacheInvalidError(
            "not the description of a head",
            where=path,
            got=f"{record.kind} of {len(record.classes)} classes, dimension {record.dim}",
            expected=f"{KIND} of {least} or more classes, dimension 1 or more",
        )
    rule = record.abstain
    if rule is not None and not (0 < rule.wanted < 1 and 0 < rule.threshold <= 1):
        raise CacheInvalidError(
            "a head with an impossible rule to abstain",
            where=path,
            got=f"precision {rule.wanted}, probability {rule.threshold}",
            expected="both above 0 and at most 1",
        )
    if record.output not in OUTPUTS or (rule is not None and record.output == "sigmoid"):
        raise CacheInvalidError(
            "a head of an unknown output, or one of labels that abstains",
            where=path,
            got=record.output,
            expected=", ".join(OUTPUTS),
        )
    if record.form not in FORMS:
        raise CacheInvalidError(
            "a head of an unknown form", where=path, got=record.form, expected=", ".join(FORMS)
        )
    widths = [source.dim for source in record.sources]
    if min(widths, default=0) < 1 or sum(widths) != record.dim:
        raise CacheInvalidError(
            "a head whose sources are not its features",
            where=path,
            got=f"sources of {widths} columns",
            expected=f"{record.dim} in all",
        )
    if len(set(names)) < len(names):
        raise CacheInvalidError("a head with two classes of the same name", where=path)
    return record
