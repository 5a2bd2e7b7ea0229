"""Recipes open with their command and its result, and name what exists."""

import shlex
from pathlib import Path

import click
import pytest
from command import Command
from pages import ROOT

from embedcache.cli.main import cli

_RECIPES = sorted((ROOT / "configs").glob("*.toml"))


def _commands(recipe: Path) -> list[str]:
    """The command lines in the comment that opens a recipe."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    texts = [line.removeprefix("#").strip() for line in head]
    return [text for text in texts if text.startswith("embedcache ")]


def test_there_are_three() -> None:
    """Two for the demo's data, one of them with fine-tuning, and one for anybody's folder."""
    names = [recipe.name for recipe in _RECIPES]
    assert names == ["elpv-finetune.toml", "elpv.toml", "folder.toml"]


@pytest.mark.parametrize("recipe", _RECIPES, ids=lambda path: path.name)
def test_a_recipe_opens_with_its_commands_and_its_result(recipe: Path) -> None:
    """Commands that name the recipe, and a score with its interval."""
    commands = _commands(recipe)
    assert [line for line in commands if f"--config configs/{recipe.name}" in line]
    head = recipe.read_text(encoding="utf-8").partition("\n[")[0]
    assert "# accuracy " in head
    assert "%" in head


@pytest.mark.parametrize("recipe", _RECIPES, ids=lambda path: path.name)
def test_its_commands_and_keys_are_known(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the head parses, with the recipe's values."""
    monkeypatch.chdir(ROOT)
    # With its settings: click keeps the help option that it makes here.
    group = click.Context(cli, info_name="embedcache", **cli.context_settings)
    for line in _commands(recipe):
        name, *arguments = shlex.split(line)[1:]
        command = cli.get_command(group, name)
        assert command is not None
        command.make_context(name, arguments, parent=group)


def test_the_folder_recipe_runs(folder: Path, run: Command) -> None:
    """As it stands, in a folder that has `photos/`."""
    before = set(folder.glob("runs/*"))
    for line in _commands(ROOT / "configs" / "folder.toml"):
        run.well(*shlex.split(line)[1:])
    assert len(set(folder.glob("runs/*")) - before) == 1
