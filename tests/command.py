"""Run the command line in this process, and see what a person or a script would see."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import Any

import pytest

from embedcache.cli.main import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that it printed."""
        return json.loads(self.out)


class Command:
    """Calls `main`, which always exits."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def __call__(self, *arguments: object) -> Done:
        self._capture.readouterr()
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as stop:
                main([str(argument) for argument in arguments])
        finally:
            signal.signal(signal.SIGTERM, handler)
        out, err = self._capture.readouterr()
        assert isinstance(stop.value.code, int)
        assert "Traceback" not in out + err
        return Done(stop.value.code, out, err)

    def well(self, *arguments: object) -> Done:
        """The same, for commands that have to end well."""
        done = self(*arguments)
        assert done.code == 0, done.err
        return done
