"""Ctrl-C, SIGTERM and SIGHUP: stop between two steps, where the state is whole; at once where that would last."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

PATIENCE = 5
"""Seconds that a step under way may take to end."""
SOON = 0.05
"""Seconds until it is asked again whether an import is over: an exception within one ends some libraries in a crash."""
_HANDLED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """Somebody asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number
        """The exit status of a process that this signal ended."""


class Interrupts:
    """Listener of a running stage that raises `Interrupted` after the step in which a signal came."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._stepping = False
        self._before: dict[int, Any] = {}
        self.agree: Callable[[int], int] | None = None
        """Largest of the numbers that several processes give after the same step: a signal to one stops all."""

    def __call__(self, event: object) -> None:
        """Stop here if that was asked for."""
        self._stepping = True
        asked = self._asked if self.agree is None else self.agree(self._asked or 0) or None
        if asked is not None:
            self._raise(asked)

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Have signals stop what runs within; those that the caller ignores (`nohup`) stay ignored."""
        if threading.current_thread() is not threading.main_thread():  # only there Python lets signals be handled
            yield
            return
        self._asked, self._stepping = None, False
        heard = [number for number in _HANDLED if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._hear) for number in heard}
        try:
            yield
        finally:
            if len(self._before) > len(heard):
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        waits = PATIENCE if self._stepping else SOON if _is_importing(frame) else 0
        if self._asked is not None or not waits or not hasattr(signal, "setitimer"):
            self._raise(number)
        self._asked = number
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._lose_patience)
        signal.setitimer(signal.ITIMER_REAL, waits)

    def _lose_patience(self, number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            signal.setitimer(signal.ITIMER_REAL, SOON)
        elif self._asked is not None:
            self._raise(self._asked)

    def _raise(self, number: int) -> None:
        self._stepping = False  # what follows is tidying up; another signal ends that too
        raise Interrupted(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


INTERRUPTS = Interrupts()
"""Signals belong to the process, and so does this."""
