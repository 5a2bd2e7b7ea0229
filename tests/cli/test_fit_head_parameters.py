"""The command line of `fit-head`: parameters belong to models."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from embedcache.cli.fit_head import fit_head
from embedcache.errors import UsageError
from embedcache.heads.models.index import MODELS


@pytest.mark.parametrize(
    ("model", "flag", "known"),
    [
        ("ridge", "--c", "--alpha"),
        ("logreg", "--k", "--c"),
        ("knn", "--epochs", "--k"),
        ("ncm", "--c", "none"),
        ("auto", "--c", "none"),
    ],
)
def test_a_parameter_of_another_model_is_refused(
    model: str, flag: str, known: str, tmp_path: Path
) -> None:
    """The error comes before any cache is opened, and names what the model has."""
    words = [str(tmp_path / "no.h5"), "--model", model, flag, "1"]
    with pytest.raises(UsageError, match=f"{flag} is no parameter of {model}") as caught:
        CliRunner().invoke(fit_head, words, catch_exceptions=False)
    assert known in str(caught.value)


@pytest.mark.parametrize("given", [("balanced", "a=2"), ("a=b",), ("a=1", "b")])
def test_class_weights_are_a_rule_or_weights(given: tuple[str, ...], tmp_path: Path) -> None:
    """Neither a mixture of both, nor a weight that is no number."""
    words = [str(tmp_path / "no.h5")]
    for each in given:
        words += ["--class-weight", each]
    with pytest.raises(UsageError, match="not a class weight"):
        CliRunner().invoke(fit_head, words, catch_exceptions=False)


def test_every_parameter_has_an_option() -> None:
    """No model has a parameter that the command line cannot set."""
    options = {parameter.name for parameter in fit_head.params}
    for model in MODELS.values():
        for ladder in model.ladders:
            assert not ladder.parameter or ladder.parameter.lower() in options
