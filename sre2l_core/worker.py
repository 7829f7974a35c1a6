"""`Run`: any stage in a worker thread; start, pause, resume, stop and retune it from any other. Knows no Jupyter.

A stage is an iterable of `StepEvent`s: a `Recovery`, a `Squeezing`, a generator. If it also has
`retune(**changes)`, it can be retuned while it runs. Only the worker touches the stage. It does what was asked for
between two steps: there it pauses, stops or changes settings, never within a step.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sre2l_core.events import StepEvent

_POLL_SECONDS = 0.02
_VIEW_SHARE, _VIEW_CREDIT = 0.1, 0.05
"""Share of the time that a throttled `on_frame` may take, and seconds that it may overdraw: a slow view gets fewer
frames, but one slow frame among quick ones holds nothing up."""


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

    @property
    def rests(self) -> bool:
        """Whether the stage is there and nobody is at work on it: others may use its network."""
        return self.over or self is State.PAUSED

    @property
    def busy(self) -> bool:
        """Whether the run was started and is not over."""
        return self is not State.IDLE and not self.over


Stage = Iterable["StepEvent"]
RunListener = Callable[["Run"], Any]


class Run:
    """One pass through a stage in a daemon thread. Control methods never block and may be called from any thread.

    They return whether they changed anything: pausing a run that is already stopping does nothing and returns False.

    Args:
        build: makes the stage; called in the worker, because making one may take long.
        after: a run that has to be over first, such as one that uses the same network.
        on_step: called in the worker after every step; keep it short.
        on_frame: called in the worker when a view should show the last step: at most `max_fps` times a second, more
            seldom where it is slow, and always before the run pauses or ends.
        on_state: called after every change of state, in the thread that made it.
        max_fps: upper bound on calls of `on_frame` per second; None for one after every step.

    Listeners are called with the run: they read `event`, `stage` and `state`. An exception of the stage ends the run as
    `failed` and is kept in `error` and `traceback`. Exceptions of listeners and refused changes do not end it; they are
    kept in `problems`.
    """

    def __init__(
        self,
        build: Callable[[], Stage],
        *,
        after: Run | None = None,
        on_step: RunListener | None = None,
        on_frame: RunListener | None = None,
        on_state: RunListener | None = None,
        max_fps: float | None = None,
    ) -> None:
        if not callable(build):
            raise TypeError(f"a run takes a function that makes its stage (got {type(build).__name__})")
        self.stage: Any = None
        """What `build` made; None until then."""
        self.event: StepEvent | None = None
        """The last event."""
        self.error: BaseException | None = None
        self.traceback = ""
        self.problems: deque[str] = deque(maxlen=20)
        """Tracebacks of listeners and of refused changes, the last twenty."""
        self._build, self._after = build, after
        self._on_step, self._on_frame, self._on_state = on_step, on_frame, on_state
        self._frame_seconds = 0.0 if max_fps is None else 1 / max_fps
        self._next_frame = self._debt_free = float("-inf")
        self._frame_is_due = False
        self._changes: dict[str, Any] = {}
        self._condition = threading.Condition()
        self._state = State.IDLE
        # Not the same as being over: whoever waits goes on only when the listeners have heard of the end.
        self._settled = False
        # A daemon, so that a kernel can be shut down in the middle of a run.
        self._worker = threading.Thread(target=self._work, name="run", daemon=True)

    def __repr__(self) -> str:
        step = f", step {self.event.step}/{self.event.total}" if self.event else ""
        name = "nothing yet" if self.stage is None else type(self.stage).__name__
        return f"<Run of {name}: {self.state}{step}>"

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
        self._check_retunable()
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
        # Outside the lock: a listener may itself pause, resume or stop the run.
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
            if self._after is not None:
                self._after.wait()
                self._after = None  # or every run would keep all before it
            if self._may_go_on():
                self.stage = self._build()
                outcome = self._take_steps()
        except BaseException as error:  # also an interrupt: a thread that ends without a word looks like one that runs
            outcome, self.error, self.traceback = State.FAILED, error, traceback.format_exc()
        self._show_last_frame()
        self._move(tuple(State), outcome)  # from any state: whoever asked for a pause in the last step gets the end
        self._settle()

    def _take_steps(self) -> State:
        steps = iter(self.stage)
        try:
            while self._may_go_on():
                self._hand_over_changes()
                event = next(steps, None)
                if event is None:
                    return State.FINISHED
                self.event, self._frame_is_due = event, True
                if self._on_step is not None:
                    self._guarded(self._on_step, self)
                if time.monotonic() >= self._next_frame:
                    self._show_last_frame()
            return State.STOPPED
        finally:
            if isinstance(steps, Generator):
                steps.close()  # here, in the worker: a stage saves its state when it is closed

    def _may_go_on(self) -> bool:
        """The pause and cancellation point before every step."""
        if self._state is not State.RUNNING:
            self._show_last_frame()
        while self._move((State.PAUSING,), State.PAUSED):  # again, where a pause was taken back and asked for anew
            with self._condition:
                self._condition.wait_for(lambda: self._state is not State.PAUSED)
        return self._state is not State.STOPPING

    def _hand_over_changes(self) -> None:
        with self._condition:  # all at once: two sliders that belong together must not act in different steps
            changes, self._changes = self._changes, {}
        if changes:
            try:
                self._check_retunable()
                self.stage.retune(**changes)
            except Exception:  # a refused change does not end the run
                self.problems.append(traceback.format_exc())

    def _check_retunable(self) -> None:
        if self.stage is not None and not hasattr(self.stage, "retune"):
            raise TypeError(f"{type(self.stage).__name__} cannot be retuned while it runs")

    def _show_last_frame(self) -> None:
        """Tell `on_frame` of the last step, once."""
        due, self._frame_is_due = self._frame_is_due, False
        if due and self._on_frame is not None:
            # Of this thread: the time that drawing waits for other threads takes nothing from the steps.
            start, worked = time.monotonic(), time.thread_time()
            self._guarded(self._on_frame, self)
            if self._frame_seconds:
                spent = time.thread_time() - worked
                self._debt_free = max(self._debt_free, start) + spent / _VIEW_SHARE
                # Frames keep a beat of their own. Counted from the last frame, every second one of steps that are a
                # little shorter than the interval would not be shown.
                beat = max(self._next_frame + self._frame_seconds, start + self._frame_seconds / 2)
                self._next_frame = max(beat, self._debt_free - _VIEW_CREDIT / _VIEW_SHARE)

    def _guarded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except Exception:
            self.problems.append(traceback.format_exc())
