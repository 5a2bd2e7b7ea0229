"""Write docs/troubleshooting.md from the exception tree and from every place that raises."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from embedcache import errors
from embedcache.errors import EmbedcacheError, InputRejectedError
from embedcache.records.rejects import RejectReason

__all__ = ["troubleshooting_docs"]

_ROOT = Path(__file__).parent.parent
_TARGET = _ROOT / "docs" / "troubleshooting.md"

_HEAD = """# Troubleshooting

<!-- Written by tools/write_troubleshooting.py; `make check` compares. -->

Every error that is raised on purpose has one form, and its last line is the next step:

```text
error: what happened
  at:       the file, row or line
  got:      what was found
  expected: what would have been right
  next:     what to do, mostly a command
```

The exit code says which kind it is. `embedcache --debug COMMAND …` shows in addition where in the
code it was raised. Anything that ends in a traceback without `--debug` is a mistake of ours:
please report it. After an interruption (exit code 130 or 143), a kill or a full disk,
the same command goes on from where it was.

Below, `…` stands for what the message fills in.
"""


def troubleshooting_docs() -> str:
    """The whole page."""
    messages = _messages()
    return "\n".join([_HEAD, *_sections(EmbedcacheError, messages)])


def _sections(
    error: type[EmbedcacheError], messages: dict[str, set[tuple[str, str]]]
) -> Iterator[str]:
    for child in error.__subclasses__():
        level = "##" if error is EmbedcacheError else "###"
        name = child.__name__
        summary = (child.__doc__ or "").partition("\n")[0]
        yield f"{level} {name}: exit code {child.exit_code}\n\n{summary}\n"
        if child is InputRejectedError:
            yield "\n".join(f"- {reason.label}" for reason in RejectReason) + "\n"
        elif messages[name]:
            rows = [f"| {what} | {hint} |" for what, hint in sorted(messages[name])]
            yield "\n".join(["| message | next step |", "| --- | --- |", *rows]) + "\n"
        yield from _sections(child, messages)


def _messages() -> dict[str, set[tuple[str, str]]]:
    """What each class is raised with, and the next step that goes with it."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in sorted((_ROOT / "embedcache").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                if node.func.id not in errors.__all__:
                    continue
                keywords = {keyword.arg: keyword.value for keyword in node.keywords}
                for what in _texts(node.args[0]):
                    hints = _texts(keywords["hint"]) if "hint" in keywords else [""]
                    if "extra" in keywords:
                        hints = [
                            f"pip install 'embedcache[{each}]'"
                            for each in _texts(keywords["extra"])
                        ]
                    found[node.func.id].add((_cell(what), _cell("; or ".join(hints))))
    return found


def _texts(node: ast.expr) -> list[str]:
    """The texts that an expression may give, `…` for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Constant(value=None):
            return []
        case ast.JoinedStr(values=parts):
            return [
                "".join(
                    _texts(part)[0] if isinstance(part, ast.Constant) else "…" for part in parts
                )
            ]
        case ast.IfExp(body=body, orelse=other):
            return [*_texts(body), *_texts(other)]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [a + b for a in _texts(left) for b in _texts(right)]
    return ["…"]


def _cell(text: str) -> str:
    """A text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    _TARGET.write_text(troubleshooting_docs(), encoding="utf-8")
