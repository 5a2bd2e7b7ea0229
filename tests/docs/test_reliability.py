"""docs/reliability.md names tests that exist."""

import ast
import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "reliability.md"


def _defined(path: Path) -> set[str]:
    """Names of functions, classes and values of a test module."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return functions | {target.id for target in targets if isinstance(target, ast.Name)}


def test_every_named_test_exists() -> None:
    """A promise whose test is renamed or removed is found out."""
    path, count = Path(), 0
    for module, name in re.findall(r"`([\w/]*(?:\.py)?)::(\w+)`", _PAGE.read_text("utf-8")):
        path = _ROOT / "tests" / module if module else path
        assert name in _defined(path), f"{path.name}::{name}"
        count += 1
    assert count > 60
