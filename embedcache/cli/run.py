"""`embedcache run`: the whole ladder in one command."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import (
    backbone_options,
    cache_dir_option,
    common_options,
    compute_options,
    runs_dir_option,
    seed_option,
    source_options,
    target_option,
)
from embedcache.finetuning.augment_names import AUGMENTATIONS
from embedcache.heads.names import AUTO, MODEL_NAMES

if TYPE_CHECKING:
    from embedcache.workflows.run import Ladder

__all__ = ["run"]

_DONE = ("STAY_FROZEN", "TARGET_MET")
"""Verdicts that ask for nothing that has not been done."""


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--escalate",
    type=click.Choice(["auto", "never", "always"]),
    default="auto",
    show_default=True,
    help="Fine-tune if the verdict says so; never, and then without a pilot; or whatever the "
    "verdict is.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="For all stages together, over all calls; what does not fit is left out, and named.",
)
@click.option(
    "--model",
    type=click.Choice([*MODEL_NAMES, AUTO]),
    metavar="NAME",
    default="logreg",
    show_default=True,
    help="The head, as for fit-head; auto: the best of all.",
)
@target_option
@click.option(
    "--unfreeze",
    metavar="PART",
    default="all",
    show_default=True,
    help="Which blocks fine-tuning trains: tail (the last third), last-N or all.",
)
@click.option(
    "--augment",
    type=click.Choice(AUGMENTATIONS),
    default="none",
    show_default=True,
    help="Of the fine-tuning, as for finetune.",
)
@seed_option("folds and training")
@backbone_options
@source_options
@click.option("--name", metavar="NAME", help="Name of the data set's folder under the root.")
@compute_options
@cache_dir_option
@runs_dir_option
@common_options
def run(source: Path, *, as_json: bool, quiet: bool, **options: Any) -> int:
    """Extract, fit a head, decide, and fine-tune where it pays.

    From the images of SOURCE to the best classifier that the evidence allows: the backbone is
    fine-tuned if the verdict is ESCALATE. Ends with the run to use, its score, and what each
    stage cost.

    The same command goes on after an interruption, and repeats nothing that is finished.
    Each stage is a command of its own, with more options: extract, fit-head, decide, finetune.
    """
    from embedcache.workflows.run import run_ladder

    with watch(quiet=quiet or as_json) as console:
        done = run_ladder(
            source, on_stage=console.begin, progress=console.status, observer=console, **options
        )
    print_json(_record(done)) if as_json else click.echo(_text(done, options["runs_dir"]))
    return 3 if done.extracted.rejected else 0


def _record(done: Ladder) -> dict[str, Any]:
    """The object of each stage's own `--json`, and what joins them."""
    from embedcache.heads.json_records import dump_record

    def plain(record: object) -> Any:
        return None if record is None else json.loads(dump_record(record))

    decided, tuned = done.decided, done.finetuned
    return {
        "use": str(done.use),
        "score": plain(done.score),
        "minutes": done.minutes,
        "left_out": done.left_out,
        "extract": done.extracted.to_json(),
        "fit-head": {"run": str(done.fitted.path), "report": plain(done.fitted.report)},
        "decide": decided and {"folder": str(decided.path), "decision": plain(decided.decision)},
        "finetune": tuned and {"run": str(tuned.path), "finetune": plain(tuned.record)},
    }


def _text(done: Ladder, runs_dir: Path | None) -> str:
    """Which run to use and how good it is, what each stage gave and cost, the next command."""
    from embedcache.reports.report_text import headline_text

    assert done.fitted.report is not None
    name = done.use.name if runs_dir is None else shown(done.use)
    tuned = done.score if done.tuned is not None else None
    lines = [*headline_text(done.fitted.report, tuned), "", "minutes  stage"]
    for stage, minutes in done.minutes.items():
        lines += _wrapped(f"{minutes:7.1f}  {stage + ':':<9} {_outcome(done, stage)}")
    lines += ["", f"use:     {shown(done.use)}", f"next:    embedcache predict {name} IMAGES…"]
    if done.decided is not None and done.finetuned is None:
        decision = done.decided.decision
        if decision.verdict not in _DONE:
            lines.append(f"better:  {decision.command}")
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 80, subsequent_indent=" " * 19, break_on_hyphens=False)


def _outcome(done: Ladder, stage: str) -> str:
    found = {"extract": _extracted, "fit-head": _fitted, "decide": _decided, "finetune": _tuned}
    parts = [found[stage](done)]
    if stage in done.left_out:
        parts.append(f"left out: {done.left_out[stage]}")
    return "; ".join(part for part in parts if part)


def _extracted(done: Ladder) -> str:
    result = done.extracted
    rejected = f", {result.rejected:,} rejected" if result.rejected else ""
    return f"{result.rows:,} rows, {result.embedded:,} of them embedded now{rejected}"


def _fitted(done: Ladder) -> str:
    before = "fitted before, " if done.fitted.reused else ""
    what = "labels" if done.fitted.head.output == "sigmoid" else "classes"
    return f"{before}{done.fitted.head.model} on {len(done.fitted.head.classes):,} {what}"


def _decided(done: Ladder) -> str:
    from embedcache.reports.decide_text import MEANING

    if done.decided is None:
        return ""
    verdict = done.decided.decision.verdict
    return f"{verdict}, {MEANING[verdict]}"


def _tuned(done: Ladder) -> str:
    from embedcache.reports.finetune_text import outcome_text

    return "" if done.finetuned is None else outcome_text(done.finetuned.record)
