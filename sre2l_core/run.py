"""`Run`: any stage in a worker thread; start, pause, resume, stop and retune it from any other. Knows no Jupyter.

A stage takes steps and tells of each by a `StepEvent`, in one of two forms:

- an iterable of events, such as `Squeezing`, `Student` or a generator;
- an object with `step() -> StepEvent` and `done`, such as `Recovery`.

If it also has `retune(**changes)`, it can be retuned while it runs. Only the worker touches the stage, and it looks at
what was asked for between two steps: there it pauses, stops or changes settings, never within a step.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from sre2l_core.events import StepEvent

_POLL_SECONDS = 0.02
_VIEW_SHARE, _VIEW_CREDIT = 0.1, 0.05
"""Of each second, the share of processor time that a throttled `on_event` may take, and the seconds it may owe: a slow
view is asked less often, and one slow frame among quick ones holds nothing up."""


class State(StrEnum):
    """Where a run is. `pausing` and `stopping` are requests: the step under way is finished first."""

    IDLE = "idle"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self in (State.STOPPED, State.FINISHED, State.FAILED)


@runtime_checkable
class Stepping(Protocol):
    """A stage that is asked for each step, such as `Recovery`."""

    @property
    def done(self) -> bool:
        """Whether all steps were taken."""

    def step(self) -> StepEvent:
        """Take one step."""


Stage = Iterable["StepEvent"] | Stepping


class Run:
    """One pass through a stage in a daemon thread. Control methods never block and may be called from any thread.

    They return whether they changed anything: pausing a run that is already stopping does nothing and returns False.

    Args:
        stage: what to run; see the module's description.
        on_event: called in the worker with events, at most `max_fps` a second, more seldom where it is slow, and
            always with the last one before the run pauses or ends.
        on_state: called with the run after every change of state, in the thread that made it; read `state` then.
        max_fps: upper bound on calls of `on_event` per second; None for every event.

    An exception of the stage ends the run as `failed` and is kept in `error` and `traceback`. Exceptions of listeners
    and refused changes do not end it; they are kept in `problems`.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        on_event: Callable[[StepEvent], Any] | None = None,
        on_state: Callable[[Run], Any] | None = None,
        max_fps: float | None = None,
    ) -> None:
        if not isinstance(stage, (Iterable, Stepping)):
            raise TypeError(f"a stage is an iterable of StepEvents or has step() and done (got {type(stage).__name__})")
        self.stage = stage
        self.event: StepEvent | None = None
        """The last event, published or not."""
        self.error: BaseException | None = None
        self.traceback = ""
        self.problems: deque[str] = deque(maxlen=20)
        """Tracebacks of listeners and of refused changes, the last twenty."""
        self._on_event, self._on_state = on_event, on_state
        self._retune: Callable[..., Any] | None = getattr(stage, "retune", None)
        self._frame_seconds = 0.0 if max_fps is None else 1 / max_fps
        self._publish_next = self._debt_free = float("-inf")
        self._waiting: StepEvent | None = None
        self._changes: dict[str, Any] = {}
        self._condition = threading.Condition()
        self._state = State.IDLE
        self._settled = False
        self._worker = threading.Thread(target=self._work, name=f"run {type(stage).__name__}", daemon=True)

    def __repr__(self) -> str:
        step = f", step {self.event.step}/{self.event.total}" if self.event else ""
        return f"<Run of {type(self.stage).__name__}: {self.state}{step}>"

    @property
    def state(self) -> State:
        """Where the run is now."""
        return self._state

    def start(self) -> bool:
        """Start the worker. A run starts once: make a new one to run again."""
        if not self._move((State.IDLE,), State.RUNNING):
            return False
        self._worker.start()
        return True

    def pause(self) -> bool:
        """Ask for a pause after the step under way."""
        return self._move((State.RUNNING,), State.PAUSING)

    def resume(self) -> bool:
        """Go on after a pause, or take back the request for one."""
        return self._move((State.PAUSING, State.PAUSED), State.RUNNING)

    def stop(self) -> bool:
        """Ask for the end after the step under way; a run that never started is stopped at once."""
        if self._move((State.IDLE,), State.STOPPED):
            self._settle()
            return True
        return self._move((State.RUNNING, State.PAUSING, State.PAUSED), State.STOPPING)

    def retune(self, **changes: Any) -> bool:
        """Hand `changes` to the stage's own `retune` before its next step, all at once.

        Raises:
            TypeError: if the stage cannot be retuned.
        """
        if self._retune is None:
            raise TypeError(f"{type(self.stage).__name__} cannot be retuned while it runs")
        with self._condition:
            if self._state.over:
                return False
            self._changes |= changes
            return True

    def wait(self, timeout: float | None = None) -> State:
        """Block until the run is over and its listeners know, or `timeout` seconds; returns the state, raises no error.

        Interrupting the wait (Ctrl-C, "Interrupt the kernel") also stops the run; what was done so far is kept.
        """
        self._check_waitable()
        try:
            with self._condition:
                self._condition.wait_for(lambda: self._settled, timeout)
        except KeyboardInterrupt:
            self.stop()
            raise
        return self._state

    def __await__(self) -> Generator[Any, None, State]:
        """`await run` in a notebook: as `wait`, but other callbacks are served meanwhile."""
        return self._until_over().__await__()

    async def _until_over(self) -> State:
        self._check_waitable()
        try:
            while not self._settled:
                await asyncio.sleep(_POLL_SECONDS)  # no asyncio.Event: widget callbacks may live on another loop
        except asyncio.CancelledError:
            self.stop()
            raise
        return self._state

    def _check_waitable(self) -> None:
        if self._state is State.IDLE:
            raise RuntimeError("this run was not started: call start() first")
        if threading.current_thread() is self._worker:
            raise RuntimeError("a listener cannot wait for the run that calls it")

    def _move(self, allowed: tuple[State, ...], state: State) -> bool:
        """Compare and set: the only way from one state to another."""
        with self._condition:
            if self._state not in allowed:
                return False
            self._state = state
            self._condition.notify_all()
        if self._on_state is not None:
            self._guarded(self._on_state, self)
        return True

    def _settle(self) -> None:
        with self._condition:
            self._settled = True
            self._condition.notify_all()

    def _work(self) -> None:
        outcome = State.STOPPED
        try:
            steps = _events(self.stage)
            try:
                while self._may_go_on():
                    self._hand_over_changes()
                    event = next(steps, None)
                    if event is None:
                        outcome = State.FINISHED
                        break
                    self._offer(event)
            finally:
                if isinstance(steps, Generator):
                    steps.close()
        except BaseException as error:
            outcome, self.error, self.traceback = State.FAILED, error, traceback.format_exc()
        self._publish()
        self._move(tuple(State), outcome)
        self._settle()

    def _may_go_on(self) -> bool:
        """The pause and cancellation point before every step."""
        if self._state is not State.RUNNING:
            self._publish()
        while self._move((State.PAUSING,), State.PAUSED):
            with self._condition:
                self._condition.wait_for(lambda: self._state is not State.PAUSED)
        return self._state is not State.STOPPING

    def _hand_over_changes(self) -> None:
        with self._condition:
            changes, self._changes = self._changes, {}
        if changes and self._retune is not None:
            self._guarded(self._retune, **changes)

    def _offer(self, event: StepEvent) -> None:
        self.event = self._waiting = event
        if time.monotonic() >= self._publish_next:
            self._publish()

    def _publish(self) -> None:
        event, self._waiting = self._waiting, None
        if event is not None and self._on_event is not None:
            start, worked = time.monotonic(), time.thread_time()
            self._guarded(self._on_event, event)
            if self._frame_seconds:
                spent = time.thread_time() - worked
                self._debt_free = max(self._debt_free, start) + spent / _VIEW_SHARE
                # A beat of its own: counted from the last frame, steps a little shorter would miss every other one.
                beat = max(self._publish_next + self._frame_seconds, start + self._frame_seconds / 2)
                self._publish_next = max(beat, self._debt_free - _VIEW_CREDIT / _VIEW_SHARE)

    def _guarded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception:
            self.problems.append(traceback.format_exc())


def _events(stage: Stage) -> Iterator[StepEvent]:
    if isinstance(stage, Iterable):
        return iter(stage)
    return _step_by_step(stage)


def _step_by_step(stage: Stepping) -> Iterator[StepEvent]:
    while not stage.done:
        yield stage.step()
