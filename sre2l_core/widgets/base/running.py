"""`RunBox`: widgets around a `Run`. Buttons, state, progress, frames and errors; it knows no settings.

Nothing here waits for the worker but `wait` and `await`. All that is shown is read from the present state under one
lock, whichever thread came last: callbacks may come from several threads at once.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import ipywidgets

from sre2l_core.events import StepEvent
from sre2l_core.widgets.base.keep import KeptBox
from sre2l_core.widgets.base.status import STYLE, ErrorLine, NumberLine, RunBar
from sre2l_core.widgets.base.tree import close_all, serialise
from sre2l_core.worker import Run, Stage, State

_boxes: WeakValueDictionary[str, RunBox] = WeakValueDictionary()
"""By name: those whose cell may be run again."""


class RunBox(KeptBox):
    """A run with buttons. Every button is also a method.

    Args:
        editors: widgets under the buttons.
        views: widgets under the line of numbers.
        name: boxes of one name never run at the same time: making one stops the other, as when a cell is run again.
        max_fps: upper bound on frames a second.
    """

    executor: Executor | None = None
    """Whose workers do what a run can share, from the next start on; None: all is done here. See `work.Workers`."""

    def __init__(self, editors: Any, views: Sequence[Any], *, name: str | None, max_fps: float) -> None:
        self._lock = threading.RLock()
        """Held while anything below is changed or shown."""
        self._run: Run | None = None
        self._last: Run | None = None
        self._max_fps, self._closed = max_fps, False
        acts = (lambda: self.resume() or self.start(), self.pause, self.stop, self.reset)
        self._bar = RunBar(*(partial(self._guarded, act) for act in acts))
        self.start_button, self.pause_button, self.stop_button, self.reset_button = self._bar.buttons
        self._numbers, self._error = NumberLine(), ErrorLine()
        super().__init__([ipywidgets.HTML(STYLE), self._bar, editors, self._numbers, self._error, *views])
        self.add_class("sre-panel")
        serialise(self, self._lock)
        self.name = name or type(self).__name__
        if (previous := _boxes.get(self.name)) is not None:
            previous.stop()
        _boxes[self.name] = self
        with self._lock:
            self._guarded(self.clear)
            self._render()

    def __repr__(self) -> str:
        event = self.event
        return f"<{type(self).__name__}: {self.state}{f', step {event.step}/{event.total}' if event else ''}>"

    # What a subclass says.

    def build(self) -> Stage:
        """Make the work of a run; called in the worker."""
        raise NotImplementedError

    def record(self, event: StepEvent) -> None:
        """Take note of a step; called in the worker after every one, under the lock."""

    def look(self, stage: Any, event: StepEvent) -> Any:
        """Compute what `show` will write; called in the worker, without the lock."""
        return event

    def show(self, frame: Any) -> None:
        """Write a frame to the widgets; called under the lock."""

    def clear(self) -> None:
        """Forget what was recorded and write the empty state to the widgets; called under the lock."""

    # What a user does.

    @property
    def run(self) -> Run | None:
        """The present run; None before the first and after a reset."""
        return self._run

    @property
    def state(self) -> State:
        """Of the present run."""
        return getattr(self._run, "state", State.IDLE)

    @property
    def stage(self) -> Any:
        """What `build` made for the present run; None before, and after a reset."""
        return getattr(self._run, "stage", None)

    @property
    def event(self) -> StepEvent | None:
        """The last step of the present run."""
        return getattr(self._run, "event", None)

    @property
    def busy(self) -> bool:
        """Whether a run was started and is not over."""
        return self.state.busy

    @property
    def error(self) -> str:
        """What went wrong, in one line; empty while all is well."""
        return self._error.message

    @property
    def status(self) -> str:
        """The line of numbers, as HTML."""
        return str(self._numbers.value)

    def start(self) -> bool:
        """Begin a new run with the present settings; False while there is one."""
        with self._lock:
            if self._closed or self.busy:
                return False
            self._complain("")
            self._run = None
            self._guarded(self.clear)
            told = {"on_step": self._on_step, "on_frame": self._on_frame, "on_state": self._on_state}
            before = self._last  # both may use the same network
            self._run = self._last = Run(self.build, after=before, **told, max_fps=self._max_fps)
            return self._run.start()

    def pause(self) -> bool:
        """Ask for a pause after the step under way; False where nothing runs."""
        with self._lock:
            return self._run is not None and self._run.pause()

    def resume(self) -> bool:
        """Go on after a pause; False where nothing is paused."""
        with self._lock:
            return self._run is not None and self._run.resume()

    def stop(self) -> bool:
        """Ask for the end after the step under way; what was made stays. False where nothing runs."""
        with self._lock:
            return self._run is not None and self._run.stop()

    def reset(self) -> bool:
        """Stop, forget the run and show the empty state; False where there is nothing to forget."""
        with self._lock:
            run, self._run = self._run, None
            if run is None or self._closed:
                return False
            run.stop()  # a run that is finishing its last step is no longer listened to
            self._complain("")
            self._guarded(self.clear)
            self._render()
            return True

    def restart(self) -> bool:
        """Reset and start in one go."""
        with self._lock:
            self.reset()
            return self.start()

    def wait(self, timeout: float | None = None) -> State:
        """Block until the run is over and shown, or `timeout` seconds; interrupting the wait stops it."""
        while (run := self._run) is not None:
            run.wait(timeout)
            if run is self._run or timeout is not None:
                break  # else it was started anew meanwhile
        return self.state

    def __await__(self) -> Generator[Any, None, State]:
        """`await panel` in a cell: as `wait`, but the panel's buttons work meanwhile."""
        return self._until_over().__await__()

    async def _until_over(self) -> State:
        while (run := self._run) is not None:
            await run
            if run is self._run:
                break  # else it was started anew meanwhile
        return self.state

    def close(self) -> None:
        """Stop the run and close all widgets of the panel; may be called again."""
        if not hasattr(self, "_lock") or self._closed:  # ipywidgets also closes half-made objects
            return
        with self._lock:
            self.stop()
            self._closed = True
            close_all(self.children)
            super().close()

    # Inside.

    def _guarded(self, act: Callable[[], Any]) -> None:
        """Do what a callback asks for; the front end would swallow an exception."""
        try:
            act()
        except Exception as error:
            self._complain(error)

    def _on_step(self, run: Run) -> None:
        with self._lock:
            if self._shows(run) and run.event is not None:
                self.record(run.event)

    def _on_frame(self, run: Run) -> None:
        """Compute a frame, and show it if the panel still shows this run."""
        if not self._shows(run) or run.event is None:
            return
        try:
            frame = self.look(run.stage, run.event)
            with self._lock:
                if self._shows(run):
                    self.show(frame)
                    self._render()
        except Exception as error:  # a view that breaks does not end the run
            self._complain(error, traceback.format_exc())

    def _on_state(self, run: Run) -> None:
        """After every change of state, in any thread: show what is so now."""
        with self._lock:
            if not self._shows(run):
                return
            if run.error is not None:
                self._complain(run.error, run.traceback)
            elif run.problems:
                self._complain(run.problems[-1].strip().splitlines()[-1], run.problems[-1])
            self._render()
            if run.state.over or run.state is State.PAUSED:
                self.leave_still()

    def _shows(self, run: Run) -> bool:
        return run is self._run and not self._closed

    def _render(self) -> None:
        """Buttons, state and progress, from what is so now."""
        if not self._closed:
            self._bar.show(self.state, self.event)

    def _complain(self, error: BaseException | str, details: str = "") -> None:
        with self._lock:
            if not self._closed:
                self._error.say(error, details)
