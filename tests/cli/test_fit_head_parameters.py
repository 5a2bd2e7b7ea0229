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


def test_every_parameter_has_an_option() -> None:
    """No model has a parameter that the command line cannot set."""
    options = {parameter.name for parameter in fit_head.params}
    for model in MODELS.values():
        for ladder in model.ladders:
            assert not ladder.parameter or ladder.parameter.lower() in options
