"""Hold SIGINT and SIGTERM back until the state is safe."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["DeferredSignals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredSignals:
    """A context in which the first signal only sets a flag; the second acts at once.

    In another thread than the main one, which gets no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._handlers = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back to whom they belonged."""
        self._restore()

    @property
    def pending(self) -> bool:
        """Whether a signal waits."""
        return self._received is not None

    def deliver(self) -> None:
        """Let the signal that waits, if any, do what it would have done."""
        if self._received is not None:
            received, self._received = self._received, None
            self._restore()
            signal.raise_signal(received)

    def _note(self, received: int, _frame: FrameType | None) -> None:
        self._received = received
        self._restore()  # whoever asks twice does not want to wait

    def _restore(self) -> None:
        for each, handler in self._handlers.items():
            signal.signal(each, handler)
        self._handlers = {}
