"""`LivePanel`: what all panels share. Buttons, state, progress and errors around a `Run`; a subclass adds the views.

A subclass says what to run and what to show of it:

- `build()`: in the worker, at the beginning of a run; returns the stage, such as a `Recovery`.
- `record(event)`: in the worker after every step, under the panel's lock; keep it short.
- `look(stage, event)`: in the worker, a few times a second and after the last step; compute what will be shown.
- `show(frame)`: right after, under the lock; write to the widgets, and nothing else.
- `clear()`: under the lock; forget what was recorded and show the empty state, before each run and after a reset.
- `picture()`: what stays of the panel for readers without a kernel: a PIL image, or the text of an SVG document.

Nothing here waits for the worker but `wait` and `await`. All that is shown is read from the present state under one
lock, whichever thread came last: callbacks may come from several threads at once.
"""

from __future__ import annotations

import html
import threading
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

import ipywidgets

from sre2l_core.config import Config
from sre2l_core.events import StepEvent
from sre2l_core.widgets.base.controls import control, set_value
from sre2l_core.widgets.base.still import StillBox
from sre2l_core.worker import Run, Stage, State

MAX_FPS = 9
"""Upper bound on frames a second: enough to look alive, and each costs the worker time."""
ERROR_COLOUR = "var(--jp-error-color1, #c62828)"
CONTROL_WIDTH, LABEL_WIDTH = "276px", "100px"
"""Three controls stand side by side in a window of 1280 pixels; every label fits."""
GRID = {"grid_template_columns": f"repeat(auto-fill, {CONTROL_WIDTH})", "grid_gap": "0 6px", "align_items": "center"}
STYLE = """<style>
.sre-panel { padding: 4px 2px 8px; }
.sre-panel .sre-pixels { image-rendering: pixelated; object-fit: contain; }
.sre-panel .sre-caption { color: var(--jp-ui-font-color2, inherit); }
.sre-panel .sre-caption, .sre-panel .sre-caption .widget-html-content { font-size: 12px; line-height: 1.35; }
.sre-panel .sre-heading { font-weight: 600; font-size: 12px; line-height: 1.35; }
.sre-panel .sre-status { font-variant-numeric: tabular-nums; }
.sre-panel progress { accent-color: var(--jp-brand-color1, #1976d2); width: 130px; height: 10px; }
.sre-panel progress { vertical-align: middle; margin: -2px 4px 0 0; }
.sre-panel .widget-readout { text-align: left; min-width: 76px; margin-left: 10px; }
.sre-panel .widget-readout.overflow { box-shadow: none; }
.sre-panel .sre-off { opacity: 0.5; pointer-events: none; }
.sre-panel details pre { max-height: 16em; overflow: auto; font-size: 11px; line-height: 1.3; }
</style>"""

_panels: WeakValueDictionary[str, LivePanel] = WeakValueDictionary()
"""By name: the panels whose cell may be run again."""


class Setting:
    """A field of a panel's config as an attribute: setting it moves the control and retunes the run."""

    def __init__(self, name: str, doc: str = "") -> None:
        self.name, self.__doc__ = name, doc

    def __get__(self, panel: LivePanel | None, owner: type) -> Any:
        return self if panel is None else getattr(panel.config, self.name)

    def __set__(self, panel: LivePanel, value: Any) -> None:
        panel.change(**{self.name: value})


class LivePanel(StillBox):
    """A run with buttons. Every button is also a method, every control also an attribute.

    Args:
        config: the settings that the controls show.
        views: widgets under the controls.
        name: panels of one name never run at the same time: making one stops the other, as when a cell is run again.
        limits: field -> (low, high), for sliders narrower than the config's own bounds.
        max_fps: upper bound on frames a second.
    """

    CONTROLS: tuple[str, ...] = ()
    """Config fields that get a control."""
    LIVE: tuple[str, ...] = ()
    """Those of them that may change while it runs; the others count from the next start."""

    def __init__(
        self,
        config: Config,
        views: Sequence[Any],
        *,
        name: str | None = None,
        limits: Mapping[str, tuple[float, float]] | None = None,
        max_fps: float = MAX_FPS,
    ) -> None:
        self.config = config
        self._lock = threading.RLock()
        """Held while anything below is changed or shown."""
        self._run: Run | None = None
        self._last: Run | None = None
        self._max_fps, self._setting, self._closed, self._message = max_fps, False, False, ""
        self.controls = {field: self._control(field, (limits or {}).get(field)) for field in self.CONTROLS}
        """Field -> the widget that shows it."""
        self.start_button = self._button("Start", "play", self._on_start, "sre-start", "Start, or go on after a pause")
        self.pause_button = self._button("Pause", "pause", self.pause, "sre-pause", "Pause after the step under way")
        self.stop_button = self._button("Stop", "stop", self.stop, "sre-stop", "End here; what was made stays")
        self.reset_button = self._button("Reset", "undo", self.reset, "sre-reset", "Stop and go back to the beginning")
        self._state_line = ipywidgets.HTML().add_class("sre-status")
        self._numbers = ipywidgets.HTML().add_class("sre-numbers")
        self._error = ipywidgets.HTML(layout={"display": "none"}).add_class("sre-error")
        buttons = [self.start_button, self.pause_button, self.stop_button, self.reset_button]
        bar = ipywidgets.HBox([*buttons, self._state_line], layout={"flex_flow": "row wrap", "align_items": "center"})
        editors = ipywidgets.GridBox(list(self.controls.values()), layout=GRID)
        super().__init__([ipywidgets.HTML(STYLE), bar, editors, self._numbers, self._error, *views])
        self.add_class("sre-panel")
        _serialise(self, self._lock)
        self.name = name or type(self).__name__
        if (previous := _panels.get(self.name)) is not None:
            previous.stop()
        _panels[self.name] = self
        with self._lock:
            self._show_empty()
            self._render()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for field in cls.__dict__.get("CONTROLS", ()):
            if not hasattr(cls, field):
                setattr(cls, field, Setting(field))

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
        run = self._run
        return State.IDLE if run is None else run.state

    @property
    def stage(self) -> Any:
        """What `build` made for the present run; None before, and after a reset."""
        run = self._run
        return None if run is None else run.stage

    @property
    def event(self) -> StepEvent | None:
        """The last step of the present run."""
        run = self._run
        return None if run is None else run.event

    @property
    def busy(self) -> bool:
        """Whether a run was started and is not over."""
        run = self._run
        return run is not None and not run.state.over

    @property
    def error(self) -> str:
        """What went wrong, in one line; empty while all is well."""
        return self._message

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
            self._show_empty()
            self._run = self._last = Run(
                self.build,
                after=self._last,  # both may use the same network
                on_step=self._on_step,
                on_frame=self._on_frame,
                on_state=self._on_state,
                max_fps=self._max_fps,
            )
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
            self._show_empty()
            self._render()
            return True

    def restart(self) -> bool:
        """Reset and start in one go."""
        with self._lock:
            self.reset()
            return self.start()

    def change(self, **values: Any) -> None:
        """Set config fields, move their controls, and retune the run with those that may change while it runs.

        Raises:
            ConfigError: for an unknown field or a value out of bounds; nothing is changed then.
        """
        with self._lock:
            config = self.config.but(**values)
            new = {name: getattr(config, name) for name in values}
            changed = {name: value for name, value in new.items() if value != getattr(self.config, name)}
            self.config = config
            self._show_config()
            if changed:
                self._retune({name: value for name, value in changed.items() if name in self.LIVE})
                self.changed(changed)

    def changed(self, changes: dict[str, Any]) -> None:
        """React to settings that were changed; called under the lock."""

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
            _close(self.children)
            super().close()

    # Inside.

    def _control(self, field: str, limits: tuple[float, float] | None) -> Any:
        low, high = limits or (None, None)
        widget = control(self.config, field, low=low, high=high).add_class(f"sre-{field.replace('_', '-')}")
        widget.style.description_width, widget.layout.width = LABEL_WIDTH, CONTROL_WIDTH
        widget.observe(lambda change: self._on_control(field, change["new"]), names="value")
        return widget

    def _button(self, text: str, icon: str, act: Callable[[], Any], css: str, tooltip: str) -> Any:
        button = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip, layout={"width": "7.2em"})
        button.on_click(lambda _: self._guarded(act))
        return button.add_class(css)

    def _guarded(self, act: Callable[[], Any]) -> None:
        """Do what a callback asks for; the front end would swallow an exception."""
        try:
            act()
        except Exception as error:
            self._complain(error)

    def _on_start(self) -> None:
        with self._lock:
            if not self.resume():
                self.start()

    def _on_control(self, field: str, value: Any) -> None:
        with self._lock:
            if self._setting or self._closed:
                return
            try:
                self.change(**{field: value})
                if not self.busy and self._run is None:
                    self._complain("")
            except Exception as error:
                self._complain(error)
                self._show_config()

    def _show_config(self) -> None:
        self._setting = True
        try:
            for field, widget in self.controls.items():
                if widget.value != (value := getattr(self.config, field)):
                    set_value(widget, value)
        finally:
            self._setting = False

    def _retune(self, changes: dict[str, Any]) -> None:
        if changes and self._run is not None:
            self._run.retune(**changes)

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

    def _shows(self, run: Run) -> bool:
        return run is self._run and not self._closed

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

    def _show_empty(self) -> None:
        try:
            self.clear()
        except Exception as error:
            self._complain(error)

    def _render(self) -> None:
        """State, progress and buttons, from what is so now."""
        if self._closed:
            return
        state, event = self.state, self.event
        waiting = state in (State.PAUSED, State.PAUSING)
        self.start_button.description = "Resume" if waiting else "Start"
        self.start_button.disabled = state in (State.RUNNING, State.STOPPING)
        self.pause_button.disabled = state is not State.RUNNING
        self.stop_button.disabled = state in (State.IDLE, State.STOPPING) or state.over
        self.reset_button.disabled = self._run is None
        for field, widget in self.controls.items():
            widget.disabled = self.busy and field not in self.LIVE
        step, total = (event.step, event.total) if event else (0, 1)
        words = f"step {event.step} of {event.total}" if event else "preparing" if self.busy else "ready"
        bar = f'<progress value="{step}" max="{max(total, 1)}" aria-label="progress"></progress>'
        self._state_line.value = f'<span style="margin-left: 8px">{bar} <b>{state}</b> · {words}</span>'

    def _complain(self, error: BaseException | str, details: str = "") -> None:
        """Say what went wrong; an empty text says that nothing did."""
        with self._lock:
            if self._closed:
                return
            self._message = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error
            text = f'<span role="alert" style="color: {ERROR_COLOUR}">{html.escape(self._message)}</span>'
            if details:
                text += f"<details><summary>Details</summary><pre>{html.escape(details)}</pre></details>"
            self._error.value = text if self._message else ""
            self._error.layout.display = None if self._message else "none"


def _serialise(widget: Any, lock: threading.RLock) -> None:
    """Let what a front end sets wait for what other threads are writing: ipywidgets itself knows no threads."""
    receive = widget.set_state

    def set_state(state: dict[str, Any]) -> None:
        with lock:
            receive(state)

    widget.set_state = set_state
    for child in getattr(widget, "children", ()):
        _serialise(child, lock)


def _close(widgets: Sequence[Any]) -> None:
    for widget in widgets:
        _close(getattr(widget, "children", ()))
        widget.close()
