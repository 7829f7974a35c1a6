"""Stages as steps: a generator that yields a `StepEvent` after each and returns what it made.

Every yield is the progress report, the pause point and the cancellation point. The same object is looped over, driven
to the end, awaited in a notebook, or handed to a `Run` behind a panel.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from functools import wraps
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

from sre2l_core.errors import out_of_memory
from sre2l_core.events import Listener, StepEvent, ignore
from sre2l_core.worker import Run, State

P = ParamSpec("P")
Made = TypeVar("Made")


def drive(steps: Generator[StepEvent, None, Made], on_step: Listener | None = None) -> Made:
    """Take all steps, telling `on_step` of each, and return what they made; an exception of either closes the stage."""
    listener = on_step or ignore
    with closing(Steps(steps)) as taken:
        for event in taken:
            listener(event)
    return taken.result


def observed(steps: Generator[StepEvent, None, Made], on_step: Listener) -> Generator[StepEvent, None, Made]:
    """The same steps; a listener hears of each before whoever takes them."""
    with closing(Steps(steps)) as taken:
        for event in taken:
            on_step(event)
            yield event
    return taken.result


class Steps(Generator[StepEvent, None, Made], Generic[Made]):
    """The steps of a stage, taken one by one; what was asked for is made only when they are.

    `for event in steps` leaves what it made in `result`; `await steps` takes them in a thread and returns it;
    `yield from steps` and `drive(steps)` return it too.
    """

    def __init__(self, generator: Generator[StepEvent, None, Made]) -> None:
        self._generator = generator
        self._made: list[Made] = []

    @property
    def result(self) -> Made:
        """What the stage made; raises `RuntimeError` before its last step."""
        if not self._made:
            raise RuntimeError("the stage has not come to its end: take all its steps first")
        return self._made[0]

    def send(self, value: None) -> StepEvent:
        """Take the next step; what Python's `for` and `next` call."""
        try:
            return self._generator.send(value)
        except StopIteration as end:
            if not self._made:
                self._made.append(end.value)
            raise
        except (MemoryError, RuntimeError) as error:
            if short := out_of_memory(error):
                raise short from error
            raise

    def throw(
        self, typ: type[BaseException] | BaseException, val: object = None, tb: TracebackType | None = None, /
    ) -> StepEvent:
        """Raise an exception within the stage, between two steps; what `close` calls."""
        error = typ if isinstance(typ, BaseException) else typ()
        return self._generator.throw(error)

    def __await__(self) -> Generator[object, None, Made]:
        """Take all steps in a thread while other callbacks are served; cancelling stops between two steps."""
        run = Run(lambda: self)
        run.start()
        if (yield from run.__await__()) is State.FAILED and run.error is not None:
            raise run.error
        return self.result


def stepwise(stage: Callable[P, Generator[StepEvent, None, Made]]) -> Callable[P, Steps[Made]]:
    """Let a generator function return its steps as `Steps`."""

    @wraps(stage)
    def steps(*args: P.args, **kwargs: P.kwargs) -> Steps[Made]:
        return Steps(stage(*args, **kwargs))

    return steps
