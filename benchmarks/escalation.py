"""Does `decide` escalate when fine-tuning helps? Verdicts against the gains that came of it.

    python benchmarks/escalation.py run        twenty cells, hours on 2 cores
    python benchmarks/escalation.py run --jobs 10     on a machine with a GPU
    python benchmarks/escalation.py decide     verdicts again, on cells whose gain is known
    python benchmarks/escalation.py table      what has been measured so far

A cell is a data set, a backbone and a number of training rows. `decide` gives its verdict; all
blocks are fine-tuned whatever it says; the gain is the one on test rows, at the share of the way
that the validation rows chose and before the gate. A killed run goes on with the same command.
Images are 96 pixels wide, to make twenty trainings affordable. Data: see `escalation_data.py`.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from commandline import embedcache, minutes
from escalation_data import DATA, write_manifest

CELLS = (
    ("digits", "lite0", 100),
    ("digits", "lite0", 200),
    ("digits", "lite0", 600),
    ("digits", "lite1", 600),
    ("digits", "lite2", 1198),
    ("fashion", "lite0", 200),
    ("fashion", "lite0", 500),
    ("fashion", "lite0", 2000),
    ("fashion", "lite1", 2000),
    ("fashion", "lite2", 2000),
    ("solar", "lite0", 200),
    ("solar", "lite0", 600),
    ("solar", "lite0", 1600),
    ("solar", "lite1", 1600),
    ("solar", "lite2", 600),
    ("stamps", "lite0", 150),
    ("stamps", "lite0", 475),
    ("stamps", "lite1", 475),
    ("stamps", "lite2", 300),
    ("stamps", "lite2", 475),
)
PIXELS = 96
USEFUL = 1.0
"""Points of accuracy that are worth a fine-tuning, as `decide --min-gain` has it."""

LEAST_GAINS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Points that a pilot might have to gain: one is held against the data sets that did not choose
it."""


@dataclass(frozen=True)
class Cell:
    """What was found.

    Attributes:
        data: Key of `DATA`.
        backbone: Without its source.
        rows: Training rows.
        frozen: Accuracy on the test rows, percent.
        verdict: Of `decide`.
        pilot_gain: Points; None where no pilot was asked for.
        pilot_low: Its one-sided lower bound.
        gain: Points by fine-tuning all blocks, on the test rows.
        low: Of its interval.
        high: Of its interval.
        deciding: Minutes.
        tuning: Minutes.
    """

    data: str
    backbone: str
    rows: int
    frozen: float
    verdict: str
    pilot_gain: float | None
    pilot_low: float | None
    gain: float
    low: float
    high: float
    deciding: float
    tuning: float

    @property
    def is_useful(self) -> bool:
        """Whether fine-tuning was worth it."""
        return self.gain >= USEFUL

    def escalates(self, least: float = USEFUL) -> bool:
        """Whether the rule says so, if a pilot has to gain so many points."""
        if self.pilot_gain is None or self.pilot_low is None:
            return False
        return self.pilot_gain >= least and self.pilot_low > 0


def extract(root: Path, data: str, backbone: str, rows: int) -> str:
    """The cache of a cell."""
    manifest = write_manifest(data, rows, root / "data")
    source = f"bundled/efficientnet_{backbone}"
    sized = ("--backbone", source, "--image-size", str(PIXELS), "--root", "/")
    return str(embedcache(root, "extract", str(manifest), *sized)["cache"])


STAGES = ("frozen", "finetune", "decide")
"""What is asked of every cell before the next is asked of any: a pilot plans by how fast the
machine is, so none should share it with trainings."""


def measure(root: Path, cell: tuple[str, str, int], stage: str, budget: float) -> dict[str, Any]:
    """What a stage says of a cell: `frozen` the cache and its head, the others their command.

    Args:
        root: Of caches, runs and results.
        cell: One of `CELLS`.
        stage: One of `STAGES`; all but the first go on from that one.
        budget: Minutes of the pilot.
    """
    if stage == "frozen":
        cache = extract(root, *cell)
        return {"cache": cache, **embedcache(root, "fit-head", cache)}
    frozen = json.loads(_path(root, cell, "frozen").read_text())
    if stage == "finetune":
        return embedcache(root, "finetune", frozen["run"], "--force")
    return embedcache(root, "decide", frozen["cache"], "--budget", str(budget))


def cell_of(cell: tuple[str, str, int], stages: dict[str, dict[str, Any]]) -> Cell:
    """What the tables need of it."""
    decided, tuned = stages["decide"], stages["finetune"]
    scores = stages["frozen"]["report"]["evaluation"]["scores"]
    accuracy = next(each["value"] for each in scores if each["name"] == "accuracy")
    decision, gate = decided["decision"], tuned["finetune"].get("gate")
    pilot = decision["pilot"]
    # Without a gate the validation rows went back to the frozen weights.
    interval = gate["interval"] if gate else {"low": 0.0, "high": 0.0}
    return Cell(
        *cell,
        100 * accuracy,
        decision["verdict"],
        None if pilot is None else 100 * pilot["gain"],
        None if pilot is None else 100 * pilot["low"],
        100 * gate["difference"] if gate else 0.0,
        100 * interval["low"],
        100 * interval["high"],
        minutes(decided),
        minutes(tuned),
    )


def held_out(cells: list[Cell]) -> dict[str, float]:
    """By data set, the least pilot gain that is right most often on the other ones."""

    def right(least: float, others: list[Cell]) -> int:
        return sum(cell.escalates(least) == cell.is_useful for cell in others)

    chosen = {}
    for data in {cell.data for cell in cells}:
        others = [cell for cell in cells if cell.data != data]
        # Of equally good ones that which is nearest to the point of `--min-gain`.
        chosen[data] = max(LEAST_GAINS, key=lambda x: (right(x, others), -abs(x - USEFUL)))
    return chosen


def table(cells: list[Cell]) -> None:
    """Print the cells, and what each way of deciding would have cost."""
    print("data     backbone rows  frozen  verdict         pilot  gain [interval]      minutes")
    for cell in cells:
        pilot = "    –" if cell.pilot_gain is None else f"{cell.pilot_gain:+5.1f}"
        interval = f"{cell.gain:+5.1f} [{cell.low:+.1f}, {cell.high:+.1f}]"
        print(
            f"{cell.data:<8} {cell.backbone:<7} {cell.rows:>5}  {cell.frozen:6.1f}  "
            f"{cell.verdict:<15} {pilot}  {interval:<20} {cell.deciding:.1f} + {cell.tuning:.1f}"
        )
    if len({cell.data for cell in cells}) < 2:
        return
    chosen = held_out(cells)
    ways = {
        "decide": [cell.verdict == "ESCALATE" for cell in cells],
        "decide, its threshold held out": [cell.escalates(chosen[cell.data]) for cell in cells],
        "below 90 %": [cell.frozen < 90 for cell in cells],
        "always": [True] * len(cells),
        "never": [False] * len(cells),
    }
    print(f"\n{'way of deciding':<32} right  precision  recall  points lost  minutes")
    for name, says in ways.items():
        asks = name.startswith("decide")
        print(f"{name:<32} {_row(cells, says, asks=asks)}")


def _row(cells: list[Cell], says: list[bool], *, asks: bool) -> str:
    pairs = list(zip(cells, says, strict=True))
    right = sum(yes == cell.is_useful for cell, yes in pairs)
    hits = sum(yes and cell.is_useful for cell, yes in pairs)
    useful = sum(cell.is_useful for cell in cells)
    lost = sum(max(cell.gain, 0.0) for cell, yes in pairs if not yes) / len(cells)
    tuning = sum(cell.tuning * yes for cell, yes in pairs)
    deciding = sum(cell.deciding for cell in cells) if asks else 0.0
    precision = f"{hits}/{sum(says)}" if any(says) else "–"
    return (
        f"{right:>2}/{len(cells):<2}  {precision:>9}  {hits}/{useful:<4}  {lost:>11.2f}  "
        f"{deciding:5.1f} + {tuning:.1f}"
    )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("run", "decide", "table"))
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--backbones", nargs="+", default=["lite0", "lite1", "lite2"])
    parser.add_argument("--budget", type=float, default=3.0, help="minutes of each pilot")
    parser.add_argument("--jobs", type=int, default=1, help="commands at a time")
    parser.add_argument("--root", type=Path, default=Path("runs/escalation-benchmark"))
    given = parser.parse_args()
    root = given.root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    if given.what != "table":
        wanted = [cell for cell in CELLS if cell[0] in given.data and cell[1] in given.backbones]
        for data, _, rows in wanted:
            write_manifest(data, rows, root / "data")
        with ThreadPoolExecutor(given.jobs) as pool:
            for stage in STAGES:
                asked = [cell for cell in wanted if _is_asked(root, cell, stage, given.what)]
                list(pool.map(partial(_keep, root, stage=stage, budget=given.budget), asked))
    found = {cell: stages for cell in CELLS if len(stages := _stages(root, cell)) == len(STAGES)}
    if found:
        table([cell_of(cell, stages) for cell, stages in found.items()])
        for stage in ("decide", "finetune"):
            machines = sorted({str(stages[stage]["machine"]) for stages in found.values()})
            print(f"minutes of {stage} on: {', '.join(machines)}")


def _path(root: Path, cell: tuple[str, str, int], stage: str) -> Path:
    return root / f"cell-{'-'.join(map(str, cell))}-{stage}.json"


def _is_asked(root: Path, cell: tuple[str, str, int], stage: str, what: str) -> bool:
    """Whether it is not there yet; with `decide`, whether it is a verdict that is."""
    is_there = _path(root, cell, stage).exists()
    return not is_there if what == "run" else is_there and stage == "decide"


def _keep(root: Path, cell: tuple[str, str, int], stage: str, budget: float) -> None:
    """Ask, and keep the answer."""
    said = measure(root, cell, stage, budget)
    _path(root, cell, stage).write_text(json.dumps(said, indent=1))
    print(f"{' '.join(map(str, cell))}: {stage} done", flush=True)


def _stages(root: Path, cell: tuple[str, str, int]) -> dict[str, dict[str, Any]]:
    """What is there of a cell."""
    paths = {stage: _path(root, cell, stage) for stage in STAGES}
    return {stage: json.loads(path.read_text()) for stage, path in paths.items() if path.exists()}


if __name__ == "__main__":
    main()
