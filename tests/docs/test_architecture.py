"""docs/architecture.md is true to the code."""

import re
import tomllib

from pages import ROOT, spans

_PAGE = ROOT / "docs" / "architecture.md"


def test_rooms_and_layers_are_those_that_are_enforced() -> None:
    """The table has a line for each layer of the import contract, in the same order."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = config["tool"]["importlinter"]["contracts"]
    layers = [
        {room.strip().removeprefix("embedcache.") for room in layer.split("|")}
        for layer in contract["layers"]
    ]
    text = _PAGE.read_text(encoding="utf-8")
    table = text.partition("| room |")[2].partition("\n\n")[0]
    lines = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert [set(re.findall(r"`(\w+)`", line)) for line in lines] == layers


def test_every_room_is_there() -> None:
    """A folder of the package is a room of the page."""
    rooms = {path.parent.name for path in ROOT.glob("embedcache/*/__init__.py")}
    assert rooms <= set(spans(_PAGE))


def test_named_modules_exist() -> None:
    """What looks like a module is one."""
    names = [span for span in spans(_PAGE) if re.fullmatch(r"\w+/\w+\.py", span)]
    assert names
    for name in names:
        assert (ROOT / "embedcache" / name).is_file(), name


def test_named_folders_exist() -> None:
    """What looks like a folder of the repository is one."""
    names = [span for span in spans(_PAGE) if re.fullmatch(r"\w+/", span)]
    assert names
    for name in names:
        assert (ROOT / name).is_dir(), name
