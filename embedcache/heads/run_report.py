"""`RunReport`: what `report.json` says of a fit, whatever its labels are."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.heads.choice_records import Leaderboard, SelectionRecord
from embedcache.heads.cleaning import Conflict, Crossing
from embedcache.heads.row_records import NearDuplicates, RowCounts, Split
from embedcache.records.feature_source import FeatureSource, joined_name

__all__ = ["RunReport"]


@dataclass(frozen=True)
class RunReport:
    """What is known of every fit.

    Attributes:
        format: Version of this record.
        dataset: Name of the data set.
        sources: Where the features are from, in the order of their columns.
        model: Name of the model.
        seed: Of folds and bootstrap.
        dim: Embedding dimension.
        converged: Whether the shipped head's fit converged.
        iterations: Solver iterations of that fit.
        rows: Where the rows went.
        split: How the head was judged.
        selection: How its setting was chosen.
        leaderboard: How the model was chosen, if it was.
        conflicts: Images with contradicting labels, at most `LISTED`.
        crossings: Images on both sides of the source's split, at most `LISTED`.
        crossing_count: How many there are.
        notes: What a person should know.
        near_duplicates: Across sides; None where nobody looked.
    """

    format: int
    dataset: str
    sources: tuple[FeatureSource, ...]
    model: str
    seed: int
    dim: int
    converged: bool
    iterations: int
    rows: RowCounts
    split: Split
    selection: SelectionRecord
    leaderboard: Leaderboard | None
    conflicts: tuple[Conflict, ...]
    crossings: tuple[Crossing, ...]
    crossing_count: int
    notes: tuple[str, ...]
    near_duplicates: NearDuplicates | None

    @property
    def backbone(self) -> str:
        """The backbone's name, or the names of several."""
        return joined_name(self.sources)
