"""The thresholds of a decision, each with what it is of and where it is from."""

from __future__ import annotations

from dataclasses import dataclass

from embedcache.decision.pilot_result import BOUND_LEVEL, DEPTH, LUCK
from embedcache.evaluation.learning_curve import DOUBLING_LEVEL
from embedcache.evaluation.power import ALPHA, POWER

__all__ = [
    "CONFIDENCE",
    "DETECTABLE",
    "DUPLICATES",
    "EASY",
    "FEW",
    "FEWEST_TRAININGS",
    "LABEL_ERRORS",
    "LEVEL",
    "MIN_GAIN",
    "SHORTCUT",
    "THRESHOLDS",
    "Threshold",
]


@dataclass(frozen=True)
class Threshold:
    """A constant of the decision.

    Attributes:
        name: What it is of.
        value: The constant.
        source: Why it is that, and no other.
    """

    name: str
    value: float
    source: str


MIN_GAIN = Threshold(
    "least gain worth the work, of accuracy",
    0.01,
    "a convention, as what a point is worth is not in the data: --min-gain",
)
LABEL_ERRORS = Threshold(
    "share of training rows in doubt, and of labels against the surest answers, from which labels "
    "come first",
    0.15,
    "confident learning (Northcutt et al. 2021) out of fold: 4 % of ELPV and of Fashion-MNIST, "
    "11 % of Tux Paint's stamps; with 20 % injected noise 23 % of ELPV, 44 % of the stamps. Few "
    "rows raise more doubts (22 % of 100 of Fashion-MNIST), but against the surest answers stood "
    "14 % or less as labelled, 17 % or more with such noise, on 100 to 1,200 rows of four sets",
)
DUPLICATES = Threshold(
    "share of training rows with a confirmed near duplicate across sides, beyond which scores "
    "are too good",
    0.01,
    "at most so much of the accuracy can be copied: the least gain that is asked about",
)
EASY = Threshold(
    "multiple of the least gain that the error must stay below, at its upper bound",
    2.0,
    "with less, even a perfect model could not gain twice what is worth the work",
)
DETECTABLE = Threshold(
    "share of all errors that the least detectable gain may be",
    0.75,
    "fine-tuning cures a part of the errors; where not even three quarters would be seen, a "
    "pilot measures noise",
)
CONFIDENCE = Threshold(
    "one-sided level of the bound of a pilot's gain",
    BOUND_LEVEL,
    "a pilot that errs costs minutes; the gate of the fine-tuning tests again at 95 %",
)
LEVEL = Threshold(
    "two-sided level of the test whose power makes a gain detectable",
    2 * ALPHA,
    "5 % on the one side that a pilot asks about: loss and no change leave the same verdict",
)
FEW = Threshold(
    "training rows up to which a pilot validates all of them",
    1_000,
    "a fifth of them sees gains from 5 points on where a tenth changes sides; on 40 rows of "
    "Fashion-MNIST a pilot lost one and won none, where fine-tuning gained 4 points",
)
FEWEST_TRAININGS = Threshold(
    "trainings of a pilot that validates all rows, at least",
    3,
    "with two, each would have half of the rows; the gate is cross-fitted in thirds, too",
)
SHORTCUT = Threshold(
    "area under the ROC curve from which a single feature is suspicious",
    0.999,
    "features of a backbone that never saw the labels share a class among many; this one has it "
    "alone",
)
THRESHOLDS = (
    MIN_GAIN,
    LABEL_ERRORS,
    DUPLICATES,
    EASY,
    DETECTABLE,
    LEVEL,
    Threshold(
        "power that makes a gain detectable",
        POWER,
        "Cohen (1988), Statistical power analysis for the behavioral sciences, section 2.4",
    ),
    CONFIDENCE,
    Threshold(
        "chance difference of trainings, as a share of the rows that change sides",
        LUCK,
        "a point and a half at 12 %, as on ELPV; answers of trainings that share rows share it",
    ),
    FEW,
    FEWEST_TRAININGS,
    Threshold(
        "share of the network's training that a pilot has to have for it to say that there is "
        "nothing to gain",
        DEPTH,
        "with 15 % or less, pilots and tails gained 0 to 1 point on Fashion-MNIST and ELPV where "
        "all blocks gained up to 6; with all, 5.8 and 7.2 points on digits where it was 6.7, 7.0",
    ),
    Threshold(
        "one-sided level of the bound of what twice the data promise",
        DOUBLING_LEVEL,
        "labelling costs more than a pilot, so it is promised more carefully",
    ),
    SHORTCUT,
)
"""All that a verdict depends on, as the report shows it."""
