"""`embedcache fit-head`: fit and evaluate a head on cached features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedcache.cli.console import print_json, shown, watch
from embedcache.cli.options import (
    cache_dir_option,
    common_options,
    one_or_several,
    runs_dir_option,
    seed_option,
)
from embedcache.errors import UsageError
from embedcache.heads.names import AUTO, MODEL_NAMES, ZERO_SHOT

if TYPE_CHECKING:
    from embedcache.workflows.fit import Run

__all__ = ["fit_head", "run_text"]

_PARAMETERS = ("c", "alpha", "k", "epochs")


@click.command("fit-head")
@click.argument("cache", type=click.Path(path_type=Path, dir_okay=False), nargs=-1)
@click.option(
    "--model",
    type=click.Choice([*MODEL_NAMES, ZERO_SHOT, AUTO]),
    metavar="NAME",
    default="logreg",
    show_default=True,
    help="logreg: multinomial logistic regression, L2 penalty. ridge: least squares. "
    "linear-svm: squared hinge loss. lda: discriminant analysis, shrunken. "
    "ncm: nearest class mean. knn: neighbours by cosine. "
    "nystroem: approximate RBF kernel. mlp: one hidden layer. linear-sgd: logistic regression "
    "in minibatches, for features larger than memory. zero-shot: class names by the text tower "
    "of an open_clip backbone, without labels. auto: the best of the fitted ones out of fold.",
)
@click.option(
    "--metric",
    type=click.Choice(["log_loss", "accuracy", "balanced_accuracy"]),
    default="log_loss",
    show_default=True,
    help="What chooses the setting, and with auto the model, out of fold.",
)
@click.option(
    "--c",
    type=click.FloatRange(min=0, min_open=True),
    metavar="C",
    multiple=True,
    help="Exactly this C (repeatable) of logreg, linear-svm or nystroem, instead of a grid that "
    "finds its range.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    help="Likewise, of ridge.",
)
@click.option("--k", type=click.IntRange(min=1), multiple=True, help="Likewise, neighbours of knn.")
@click.option(
    "--epochs", type=click.IntRange(min=1), multiple=True, help="Likewise, of mlp or linear-sgd."
)
@seed_option("folds and bootstrap")
@click.option(
    "--on-conflict",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="The same bytes under different labels: stop, or leave them out.",
)
@click.option(
    "--abstain-precision",
    metavar="P",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    help="Answer only where a share P of the answers is right, as 0.95; predict marks the rest.",
)
@click.option(
    "--shots",
    metavar="N,N",
    help="Also fit on so few rows of each class, drawn at random, for a few-shot curve: 1,5,10,25.",
)
@click.option(
    "--seeds",
    metavar="R",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Draws of each of the --shots.",
)
@click.option(
    "--class-weight",
    metavar="none|balanced|CLASS=WEIGHT",
    multiple=True,
    help="How much rows of each class count in fit and choice: all the same; every class the "
    "same together; or so much (repeatable, others 1).  [default: none]",
)
@click.option(
    "--keep-duplicates-together",
    is_flag=True,
    help="Keep near duplicates on one side of the split; they are reported in any case.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Fit the labels of this CSV (columns id or path, and label), not the cache's own.",
)
@click.option(
    "--label-column",
    metavar="NAME",
    multiple=True,
    callback=one_or_several,
    help="Of --labels: its column of labels. Given more than once: columns of 0 and 1, each a "
    "label of its own.",
)
@click.option(
    "--label-separator",
    metavar="TEXT",
    help="Of --labels: what stands between the names in its column, where images have several.",
)
@click.option(
    "--classes",
    metavar="NAMES",
    help="Of zero-shot: cat,dog or a file of names, one on each line.  [default: the labels']",
)
@click.option(
    "--init",
    type=click.Choice([ZERO_SHOT]),
    help="Of logreg: shrink towards the weights of zero-shot instead of zero; for few labels.",
)
@click.option(
    "--prompt",
    "prompts",
    metavar="TEMPLATE",
    multiple=True,
    help="Of zero-shot: 'a photo of a {}.' (repeatable: averaged).  [default: seven of CLIP's]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Of zero-shot: local file of the whole model.  [default: what extract took]",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where logreg is fitted: cpu, cuda, cuda:1, auto. A GPU pays where a CPU takes minutes, "
    "as with a hundred classes.",
)
@cache_dir_option
@runs_dir_option
@common_options
def fit_head(cache: tuple[Path, ...], *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Fit a head on CACHE and evaluate it, without the backbone.

    Without CACHE, the newest one. Several caches, of other backbones or layers, are put
    side by side: the images that all have, with the labels of the first. The model's
    setting is chosen by cross-validation on training rows only; every score comes with its
    95 % interval and beside the majority baseline. Where images have any number of labels,
    logreg, ridge, linear-svm and auto fit each label against its absence.
    The head, its report and its rows go to a new folder under runs/.
    """
    from embedcache.heads.json_records import dump_record
    from embedcache.store.catalog import cache_root, choose_cache
    from embedcache.workflows import fit

    values = _values(options)
    options["shots"] = _shots(options["shots"])
    options["class_weight"] = _class_weight(options["class_weight"])
    options["prompts"] = options["prompts"] or None
    paths = cache or (choose_cache(cache_root(options["cache_dir"]), "fit-head"),)
    with watch(quiet=quiet or as_json) as console:
        if not cache:
            console.note(f"cache: {paths[0]}")
        run = fit.fit_head(
            paths, values=values, notify=console.note, progress=console.status, **options
        )
    if as_json:
        report = run.report and json.loads(dump_record(run.report))
        print_json({"run": str(run.path), "report": report})
        return
    click.echo(run_text(run, options["runs_dir"]))


def run_text(run: Run, runs_dir: Path | None) -> str:
    """The report, where the run and its page lie, and the next command."""
    from embedcache.reports.report_text import report_text
    from embedcache.runs.folder import PAGE

    name = run.path.name if runs_dir is None else shown(run.path)
    if run.report is None:
        lines = [
            f"{run.head.model} head of {len(run.head.classes):,} classes",
            "no labelled rows: no score",
            "",
            f"run:     {shown(run.path)}",
        ]
    else:
        lines = [
            report_text(run.report),
            f"run:     {shown(run.path)}",
            f"report:  {shown(run.path / PAGE)}",
        ]
    return "\n".join([*lines, f"next:    embedcache predict {name} IMAGES…"])


def _class_weight(given: tuple[str, ...]) -> str | dict[str, float]:
    """What `fit_head` takes: a rule, or weights by class."""
    if len(given) < 2 and "=" not in "".join(given):
        return given[0] if given else "none"
    weights = {}
    for each in given:
        name, sign, weight = each.rpartition("=")  # a name may hold the sign itself
        try:
            weights[name] = float(weight)
        except ValueError:
            sign = ""
        if not sign:
            raise UsageError(
                "not a class weight",
                where="--class-weight",
                got=each,
                expected="CLASS=WEIGHT, such as crack=5",
            )
    return weights


def _values(options: dict[str, Any]) -> tuple[float, ...] | None:
    """Take the parameters out of the options: the values of the one that the model has."""
    from embedcache.heads.models.index import MODELS

    given = {name: options.pop(name) for name in _PARAMETERS}
    given = {name: values for name, values in given.items() if values}
    if not given:
        return None
    model = options["model"]
    ladders = MODELS[model].ladders if model in MODELS else ()
    owned = {ladder.parameter.lower() for ladder in ladders if ladder.parameter}
    for name in given:
        if name not in owned:
            raise UsageError(
                f"--{name} is no parameter of {model}",
                expected=", ".join(f"--{each}" for each in owned) or "none",
            )
    (values,) = given.values()
    return tuple(map(float, values))


def _shots(given: str | None) -> tuple[int, ...]:
    """Numbers between commas."""
    try:
        shots = tuple(map(int, given.split(","))) if given else ()
    except ValueError:
        shots = (0,)
    if any(number < 1 for number in shots):
        raise UsageError("--shots takes whole numbers above 0", got=given, expected="1,5,10,25")
    return shots
