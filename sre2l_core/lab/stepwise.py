"""A stage function that tells of its steps, turned into an iterator of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

from sre2l_core.events import Listener, StepEvent


class _Left(BaseException):
    """Raised within the stage once nobody asks for its next step."""


def stepwise(call: Callable[[Listener], object]) -> Generator[StepEvent, None, None]:
    """Yield what `call` tells its listener, holding it at each step until the next one is asked for.

    So a verb such as `squeeze(..., on_step=listener)` can be paused and stopped by a `Run`. The call lives in a thread
    of its own, but never works while the caller does. Closing the iterator ends the call at its next step; its
    exceptions come out here.
    """
    turn, told = threading.Semaphore(0), threading.Semaphore(0)
    box: list[StepEvent] = []
    errors: list[BaseException] = []
    over = left = False

    def listen(event: StepEvent) -> None:
        box.append(event)
        told.release()
        turn.acquire()
        if left:
            raise _Left

    def work() -> None:
        nonlocal over
        turn.acquire()
        try:
            if not left:
                call(listen)
        except _Left:
            pass
        except BaseException as error:
            errors.append(error)
        over = True
        told.release()

    worker = threading.Thread(target=work, name="stepwise", daemon=True)
    worker.start()
    try:
        while True:
            turn.release()
            told.acquire()
            if over:
                break
            yield box.pop()
    finally:
        left = True
        turn.release()
        worker.join()
    if errors:
        raise errors[0]
