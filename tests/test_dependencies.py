"""What is installed and imported: bounds that are tested, no network, no code from data."""

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import output
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

_ROOT = Path(__file__).parents[1]
_PACKAGE = _ROOT / "embedcache"


def _pins(name: str) -> dict[str, Version]:
    lines = (_ROOT / name).read_text(encoding="utf-8").splitlines()
    parts = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version) for package, version in parts}


def _bounds() -> dict[str, Version]:
    """The lowest version of each dependency that pyproject.toml allows."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    stated = [*project["dependencies"], *(text for extra in extras for text in extra)]
    found = {}
    for text in stated:
        requirement = Requirement(text)
        if requirement.name == "embedcache":
            continue  # its own extras
        (bound,) = requirement.specifier
        assert bound.operator == ">=", text
        found[canonicalize_name(requirement.name)] = Version(bound.version)
    return found


def test_the_tested_versions_are_allowed() -> None:
    """No pin of `constraints.txt` lies below a lower bound, and nothing is left to chance."""
    pins, bounds = _pins("constraints.txt"), _bounds()
    assert {name for name in bounds if name in pins and pins[name] < bounds[name]} == set()
    assert set(bounds) - set(pins) <= {"threadpoolctl"}


def test_the_lowest_versions_are_the_bounds() -> None:
    """`make test-lowest` installs exactly what pyproject.toml claims to be enough."""
    assert _pins("constraints-lowest.txt") == _bounds()


def test_what_is_installed_fits_together() -> None:
    """As `pip check` says it, of all that embedcache wants."""
    waiting, seen, wrong = ["embedcache"], set(), []
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            try:
                version = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                wrong.append(f"{name} wants {requirement}, which is not there")
                continue
            if not requirement.specifier.contains(version, prereleases=True):
                wrong.append(f"{name} wants {requirement}, not {version}")
            waiting.append(requirement.name)
    assert wrong == []
    assert len(seen) > 30


_IMPORT_ALL = """
    import importlib, pkgutil, socket, sys

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked for")

    socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
    socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refuse
    import embedcache
    found = pkgutil.walk_packages(embedcache.__path__, "embedcache.")
    names = [each.name for each in found if each.name != "embedcache.__main__"]
    for name in names:
        importlib.import_module(name)
    from embedcache.cli.main import COMMANDS, cli
    for command in COMMANDS:
        cli.get_command(None, command)
    print(len(names))
"""


def test_imports_ask_no_network() -> None:
    """Every module is imported while no connection can be made and no name looked up."""
    assert int(output(_IMPORT_ALL)) > 200


_FORBIDDEN_MODULES = {
    "pickle",
    "joblib",
    "dill",
    "cloudpickle",
    "marshal",
    "shelve",
    "yaml",
    "subprocess",
}
_FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
_EXCEPTIONS = {"UnpicklingError"}
"""What torch.load raises may be caught."""


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(_PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def _imported(node: ast.AST) -> set[str]:
    match node:
        case ast.Import(names=names):
            return {each.name.partition(".")[0] for each in names}
        case ast.ImportFrom(module=str(module), names=names):
            if {each.name for each in names} <= _EXCEPTIONS:
                return set()
            return {module.partition(".")[0]}
    return set()


def test_no_code_comes_from_data() -> None:
    """No module of ours imports what runs data, or calls what does."""
    for path, tree in _trees():
        for node in ast.walk(tree):
            assert not _imported(node) & _FORBIDDEN_MODULES, f"{path}: line {node.lineno}"
            match node:
                case ast.Call(func=ast.Name(id=name)):
                    assert name not in _FORBIDDEN_CALLS, f"{path}: line {node.lineno}"
                case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr=name)):
                    assert not re.match("system|popen|exec|spawn", name), f"{path}: {node.lineno}"


@pytest.mark.parametrize(
    ("library", "function", "option", "value"),
    [("torch", "load", "weights_only", True), ("np", "load", "allow_pickle", False)],
)
def test_libraries_are_told_to_read_no_pickle(
    library: str,
    function: str,
    option: str,
    value: bool,  # noqa: FBT001  # from a table
) -> None:
    """Each call says so itself, whatever the library's default is."""
    for path, tree in _trees():
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name)) if (
                    owner,
                    name,
                ) == (library, function):
                    said = {each.arg: ast.unparse(each.value) for each in node.keywords}
                    assert said.get(option) == str(value), f"{path}: line {node.lineno}"
