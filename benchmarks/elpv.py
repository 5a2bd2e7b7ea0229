"""Measure the whole ladder on solar cells: frozen head, verdict, tail and all blocks tuned.

    python benchmarks/elpv.py run              five draws of a quarter, hours on 2 cores
    python benchmarks/elpv.py run --parts frozen all --draws 2
    python benchmarks/elpv.py run --jobs 8     on a machine with a GPU
    python benchmarks/elpv.py table            what has been measured so far

Every figure comes from the command line with `configs/elpv-finetune.toml`; a killed run goes
on with the same command. Published on other draws of a quarter: 82.44 % by an SVM, 88.42 % by
a fine-tuned CNN (https://doi.org/10.1016/j.solener.2019.02.067). Needs the extra `demo`.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from commandline import embedcache, minutes
from extract import elpv_images
from scipy.stats import t as student

from embedcache.workflows.demo import PUBLISHED, draw_manifest, prepare_demo

PARTS = ("frozen", "verdict", "tail", "all")
RECIPE = ("--config", str(Path(__file__).parents[1] / "configs" / "elpv-finetune.toml"))


def measure(root: Path, draw: int, part: str) -> None:
    """What is asked of one draw and not there yet, into `draw-DRAW-PART.json`.

    Args:
        root: Of caches, runs and results.
        draw: Which quarter of the cells is the test.
        part: One of `PARTS`; all but `frozen` go on from that one.
    """
    path = _path(root, draw, part)
    if path.exists():
        return
    if part == "frozen":
        demo = prepare_demo(root / "cache").parent
        manifest = demo / f"elpv-draw-{draw}.csv"
        manifest.write_bytes(draw_manifest((demo / "elpv" / "labels.csv").read_text(), draw))
        cache = embedcache(root, "extract", str(manifest), *RECIPE)["cache"]
        found = {"cache": cache, **embedcache(root, "fit-head", cache, *RECIPE)}
    else:
        frozen = json.loads(_path(root, draw, "frozen").read_text())
        if part == "verdict":
            found = embedcache(root, "decide", frozen["cache"], *RECIPE)
        else:
            found = embedcache(root, "finetune", frozen["run"], "--unfreeze", part, *RECIPE)
    path.write_text(json.dumps(found, indent=1))
    print(f"draw {draw}: {part} done", flush=True)


def _path(root: Path, draw: int, part: str) -> Path:
    return root / f"draw-{draw}-{part}.json"


def measured(root: Path) -> dict[int, dict[str, Any]]:
    """By draw and part, what is there."""
    found: dict[int, dict[str, Any]] = {}
    for path in sorted(root.glob("draw-*-*.json")):
        _, draw, part = path.stem.split("-")
        found.setdefault(int(draw), {})[part] = json.loads(path.read_text())
    return found


def accuracy(results: dict[str, Any], part: str) -> float | None:
    """Percent of the test rows; where validation went back to the frozen weights, theirs."""
    if part not in results:
        return None
    if part == "frozen":
        return 100 * float(_score(results[part], "accuracy"))
    gate = results[part]["finetune"].get("gate")
    return accuracy(results, "frozen") if gate is None else 100 * float(gate["accuracy_after"])


def _ships(result: dict[str, Any]) -> bool:
    gate = result.get("finetune", {}).get("gate")
    return gate is not None and bool(gate["ships"])


def _score(result: dict[str, Any], name: str) -> float:
    scores = result["report"]["evaluation"]["scores"]
    return next(float(each["value"]) for each in scores if each["name"] == name)


def corrected_interval(values: list[float], share: float) -> tuple[float, float]:
    """Mean and half width at 95 % over draws that share rows.

    Nadeau & Bengio 2003, https://doi.org/10.1023/A:1024068626366: the variance of a mean over J
    draws is (1/J + n_test/n_train) times the variance over the draws.

    Args:
        values: One of each draw.
        share: n_test / n_train.
    """
    count = len(values)
    deviation = float(np.std(values, ddof=1))
    half = student.ppf(0.975, count - 1) * deviation * (1 / count + share) ** 0.5
    return float(np.mean(values)), float(half)


def table(root: Path) -> None:
    """Print what has been measured."""
    found = measured(root)
    print("draw    " + "".join(f"{part:>20}" for part in PARTS))
    for draw, results in found.items():
        cells = []
        for part in PARTS:
            if part not in results:
                cells.append("–")
            elif part == "verdict":
                verdict, cost = results[part]["decision"]["verdict"], minutes(results[part])
                cells.append(f"{verdict} {cost:5.1f}'")
            else:
                value, cost = accuracy(results, part), minutes(results[part])
                shipped = _ships(results[part])
                mark = "*" if shipped else ""
                cells.append(f"{value:.2f}{mark} {cost:5.1f}'")
        print(f"{draw:<8}" + "".join(f"{cell:>20}" for cell in cells))
    machines = {part["machine"] for results in found.values() for part in results.values()}
    print(f"accuracy in percent, minutes on {', '.join(sorted(machines))}; * passed the gate")
    for part in ("frozen", "tail", "all"):
        values = [each for results in found.values() if (each := accuracy(results, part))]
        if len(values) > 1:
            mean, half = corrected_interval(values, 0.25 / 0.75)
            print(f"{part}: {mean:.2f} ± {half:.2f} over {len(values)} draws")
    for name, value in PUBLISHED:
        print(f"published: {value} {name}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--root", type=Path, default=Path("runs/elpv-benchmark"))
    parser.add_argument("--jobs", type=int, default=1, help="commands at a time")
    given = parser.parse_args()
    root = given.root.absolute()
    elpv_images(1)  # or say what is missing
    if given.what == "run":
        draws = range(given.draws)
        measure(root, 0, "frozen")  # the other draws reuse its features
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(lambda draw: measure(root, draw, "frozen"), draws))
            asked = product((part for part in given.parts if part != "frozen"), draws)
            list(pool.map(lambda each: measure(root, each[1], each[0]), asked))
    table(root)


if __name__ == "__main__":
    main()
