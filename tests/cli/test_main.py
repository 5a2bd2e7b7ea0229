"""The door: help that costs nothing, errors as exit codes, and names that cannot forge a line."""

import importlib.metadata
import json

import click
import pytest
from children import output
from command import Command
from shop import Shop

from embedcache.cli.main import COMMANDS, cli
from embedcache.errors import (
    CacheInvalidError,
    EmbedcacheError,
    InputRejectedError,
    LockedError,
    StorageError,
    UsageError,
)

HEAVY = ("torch", "torchvision", "timm", "open_clip", "sklearn", "h5py", "numpy", "pydantic", "PIL")

_HELP = """
    import json, sys
    from embedcache.cli.main import main
    try:
        main(json.loads(sys.argv[1]))
    except SystemExit as stop:
        assert stop.code == 0
    print("\\nIMPORTED", sorted({name.partition(".")[0] for name in sys.modules}))
"""


def _command(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_imports_no_library(arguments: list[str]) -> None:
    """Asking for help is instant: no numpy, no torch, nothing that takes time."""
    text = output(_HELP, json.dumps([*arguments, "--help"]))
    help_, _, imported = text.partition("\nIMPORTED ")
    assert help_.startswith("Usage: embedcache")
    assert "'click'" in imported
    assert [name for name in HEAVY if f"'{name}'" in imported] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_help(name: str) -> None:
    """The first sentence of each command fits into the list of commands."""
    command = _command(name)
    assert command.name == name
    assert command.help
    assert not command.get_short_help_str(63).endswith("...")
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
        else:
            assert parameter.make_metavar(click.Context(command)).strip("[].") in command.help


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_fits_into_80_columns(cli: Command, arguments: list[str]) -> None:
    """On an ordinary terminal no line is broken by it."""
    done = cli.well(*arguments, "-h")
    assert max(map(len, done.out.splitlines())) <= 80


def test_the_version_is_the_packages(cli: Command) -> None:
    """`--version` says which embedcache this is."""
    assert importlib.metadata.version("embedcache") in cli.well("--version").out


def test_a_misspelt_command_is_met_by_the_nearest(cli: Command) -> None:
    """Exit code 2, and what was meant."""
    done = cli("extrct", "photos")
    assert done.code == 2
    assert "Did you mean extract?" in done.err


def test_a_misspelt_option_is_met_by_the_nearest(cli: Command) -> None:
    """Exit code 2, and what was meant."""
    done = cli("extract", "photos", "--image-sze", 32)
    assert done.code == 2
    assert "--image-size" in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError, 2),
        (lambda what, **_: InputRejectedError("MISSING", what), 3),
        (CacheInvalidError, 4),
        (StorageError, 5),
        (LockedError, 6),
        (EmbedcacheError, 1),
    ],
)
def test_errors_become_exit_codes(
    cli: Command, monkeypatch: pytest.MonkeyPatch, error: type[EmbedcacheError], code: int
) -> None:
    """What, where, got and expected, and the next step, on standard error."""

    def fail(_: object) -> None:
        raise error("it went wrong", where="here", got="a", expected="b", hint="do that")

    monkeypatch.setattr("embedcache.workflows.inventory.caches", fail)
    done = cli("ls")
    assert done.code == code
    assert done.out == ""
    assert done.err.startswith("error: ")
    if code not in (1, 3):
        assert done.err.splitlines() == [
            "error: it went wrong",
            "  at:       here",
            "  got:      a",
            "  expected: b",
            "  next:     do that",
        ]


def test_names_cannot_forge_lines_or_colours(cli: Command, empty: Shop) -> None:
    """Escape codes and line breaks of a name are shown as what they are."""
    done = cli("extract", "a\x1b[31m\n  next:     rm -rf b")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "a\\x1b[31m\\n  next:" in done.err
    assert len(done.err.splitlines()) == 4


def test_usage_errors_escape_names_too(cli: Command, empty: Shop) -> None:
    """Click's own messages as well as ours."""
    folder = empty.folder / "b\x1b[31m"
    folder.mkdir()
    done = cli("inspect", folder)
    assert done.code == 2
    assert "is a directory" in done.err
    assert "\x1b" not in done.err


def test_a_place_that_cannot_be_written_is_storage(cli: Command, empty: Shop) -> None:
    """Exit code 5, before anything is embedded."""
    (empty.folder / "file").touch()
    done = cli("extract", empty.photos, "--cache-dir", empty.folder / "file" / "cache")
    assert done.code == 5
    assert str(empty.folder / "file") in done.err


def test_a_users_mistake_has_no_traceback_unless_asked_for(cli: Command) -> None:
    """`--debug` shows where in the code it was raised, and the message all the same."""
    plain, debugged = cli("extract", "nowhere"), cli("--debug", "extract", "nowhere")
    assert "File" not in plain.err
    assert debugged.err.endswith(plain.err)
    assert "embedcache/datasets/" in debugged.err
    assert debugged.code == plain.code == 2
