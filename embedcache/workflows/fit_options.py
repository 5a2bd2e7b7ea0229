"""Which options of a fit go together, checked before anything is read or computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from embedcache.errors import UsageError
from embedcache.heads.class_weights import NONE, ClassWeight
from embedcache.heads.names import AUTO, MULTILABEL_MODELS, ZERO_SHOT

__all__ = ["check_label_columns", "check_multilabel", "check_zero_shot", "fitting_device"]


def check_zero_shot(
    model: str,
    init: str | None,
    values: tuple[float, ...] | None,
    shots: tuple[int, ...],
    abstain_precision: float | None,
    class_weight: ClassWeight,
    only_zero_shot: Mapping[str, object],
) -> None:
    """Refuse what zero-shot has no use for, and its own options beside other models.

    Args:
        model: Its name.
        init: What weights start from.
        values: Of the model's parameter.
        shots: Rows of each class.
        abstain_precision: Wanted of the answers.
        class_weight: How much rows of each class count.
        only_zero_shot: Its own options by name, None where not given.

    Raises:
        UsageError: With the option.
    """
    if model == ZERO_SHOT and shots:
        raise UsageError("zero-shot fits no rows, and so has no few-shot curve", got="--shots")
    if model == ZERO_SHOT and abstain_precision is not None:
        raise UsageError(
            "zero-shot fits no rows, and so none can show when to abstain",
            got=f"--abstain-precision {abstain_precision:g}",
            hint="fit a head on labelled rows: --model logreg",
        )
    if model == ZERO_SHOT and class_weight != NONE:
        raise UsageError("zero-shot has no use for class weights", got=class_weight)
    if init is not None and (init, model) != (ZERO_SHOT, "logreg"):
        raise UsageError(
            "only logreg starts from other weights than zero, and only from zero-shot's",
            got=f"--model {model} --init {init}",
            expected=f"--model logreg --init {ZERO_SHOT}",
        )
    if model == ZERO_SHOT and values is not None:
        raise UsageError("zero-shot has no parameter to choose", got=values)
    for name, value in only_zero_shot.items():
        if value is None or model == ZERO_SHOT or (init == ZERO_SHOT and name != "classes"):
            continue
        raise UsageError(
            f"--{name} is for zero-shot", got=f"--model {model}", expected="--model zero-shot"
        )


def fitting_device(model: str, device: str) -> str:
    """Where a model is fitted; one that computes on the CPU only has no other device.

    Args:
        model: Its name.
        device: What was asked for; `auto` for a GPU where there is one.

    Raises:
        UsageError: With what there is.
    """
    if device == "cpu":
        return device
    if model not in ("logreg", AUTO):
        raise UsageError(
            f"{model} is fitted on the CPU",
            got=f"--device {device}",
            expected="--model logreg, or auto, which fits logreg there",
        )
    from embedcache.backbones.load import find_device

    found = find_device(device)
    if found.type in ("cpu", "cuda"):
        return str(found)
    if device == "auto":
        return "cpu"
    # It lacks the float64 that the solver counts in.
    raise UsageError(
        "heads are not fitted on this device",
        got=f"--device {device}",
        expected="cpu, cuda, cuda:1",
        hint="leave --device out: the CPU fits most heads in seconds",
    )


def check_multilabel(
    model: str,
    metric: str,
    init: str | None,
    shots: tuple[int, ...],
    abstain_precision: float | None,
    class_weight: ClassWeight,
) -> None:
    """Refuse what has no meaning where rows have any number of labels.

    Arguments as for `check_zero_shot`; `metric` is what chooses.

    Raises:
        UsageError: With all such options, and those that there are.
    """
    given = {
        f"--model {model}": model not in (*MULTILABEL_MODELS, AUTO),
        f"--metric {metric}": metric != "log_loss",
        "--init": init is not None,
        "--shots": bool(shots),
        "--abstain-precision": abstain_precision is not None,
        "--class-weight": class_weight != NONE,
    }
    if any(given.values()):
        raise UsageError(
            "not for images that have any number of labels",
            got=", ".join(option for option, wrong in given.items() if wrong),
            expected=f"--model {', '.join(MULTILABEL_MODELS)} or {AUTO}, chosen by log_loss",
            hint="leave these options out, or fit one label for each image: --labels FILE",
        )


def check_label_columns(
    labels: Path | None, column: str | tuple[str, ...] | None, separator: str | None
) -> None:
    """Refuse columns of a file that is not given.

    Raises:
        UsageError: With the option.
    """
    if labels is None and (column is not None or separator is not None):
        raise UsageError(
            "columns of labels are read from a file of labels",
            got="--label-column" if column is not None else "--label-separator",
            expected="--labels FILE beside it",
            hint="the cache's own labels were read by embedcache extract",
        )
