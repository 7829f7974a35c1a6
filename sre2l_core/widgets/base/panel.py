"""`LivePanel`: what all panels share. Buttons, state, progress and errors around a `Run`; a subclass adds the views.

A subclass says what to run and what to show of it:

- `build()`: in the worker, at the beginning of a run; returns the stage, such as a `Recovery`.
- `record(event)`: in the worker after every step, under the panel's lock; keep it short.
- `look(stage, event)`: in the worker, a few times a second and after the last step; compute what will be shown.
- `show(frame)`: right after, under the lock; write to the widgets, and nothing else.
- `clear()`: under the lock; forget what was recorded and show the empty state, before each run and after a reset.
- `picture()`: what stays for readers without a kernel: a PIL image, or the panel's own drawing as an SVG document.

From a slider to the computation there are four calls: the listener of `listen`, `change`, `Run.retune`, and the worker,
which hands the new value to the stage's own `retune` before its next step.

Panels of stages whose work can be shared take an `executor`, as the stages do. What is watched step by step is done in
this process: a recovery whose images are shown, a teacher that trains, the crops of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets

from sre2l_core.config import Config
from sre2l_core.widgets.base.controls import NUMBERS, control, set_value
from sre2l_core.widgets.base.entry import NumberEntry
from sre2l_core.widgets.base.running import RunBox
from sre2l_core.widgets.base.status import Said

MAX_FPS = 9
"""Upper bound on frames a second: enough to look alive, and each costs the worker time."""
COLUMNS = "repeat(auto-fit, minmax(min(100%, 380px), 1fr))"
GRID = {"grid_template_columns": COLUMNS, "grid_gap": "0 6px", "align_items": "flex-start", "width": "100%"}


class Setting:
    """A field of a panel's config as an attribute: setting it moves the control and retunes the run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, panel: LivePanel | None, owner: type) -> Any:
        return self if panel is None else getattr(panel.config, self.name)

    def __set__(self, panel: LivePanel, value: Any) -> None:
        panel.change(**{self.name: value})


class LivePanel(RunBox):
    """A run with buttons and settings. Every button is also a method, every control also an attribute.

    Args:
        config: the settings that the controls show.
        views: widgets under the controls.
        name: panels of one name never run at the same time: making one stops the other, as when a cell is run again.
        max_fps: upper bound on frames a second.
    """

    CONTROLS: tuple[str, ...] = ()
    """Config fields that get a control."""
    LIVE: tuple[str, ...] = ()
    """Those of them that may change while it runs; the others count from the next start."""
    FOLDER: str | None = None
    """Where picture and tables are kept unless told otherwise; None for a panel that offers nothing to keep."""
    _entries: tuple[NumberEntry, ...] = ()

    def __init__(
        self, config: Config, views: Sequence[Any], *, name: str | None = None, max_fps: float = MAX_FPS
    ) -> None:
        self.config, self._by_code = config, False
        self._driven: dict[str, Any] = {}
        self.controls = {field: self._control(field) for field in self.CONTROLS}
        """Field -> the widget that shows it."""
        editors = [self.entry_of(field) for field in self.controls]
        kept = [] if self.FOLDER is None else [self.keep_row(self.FOLDER)]
        super().__init__(ipywidgets.GridBox(editors, layout=GRID), [*views, *kept], name=name, max_fps=max_fps)

    def change(self, **values: Any) -> None:
        """Set config fields, move their controls, and retune the run with those that may change while it runs.

        Raises:
            ConfigError: for an unknown field or a value out of bounds; nothing is changed then.
        """
        with self._lock:
            values = self.along_with(values)
            config, before = self.config.but(**values), self.config
            self.check(config)
            new = {field: getattr(config, field) for field in values}
            changes = {field: value for field, value in new.items() if value != getattr(before, field)}
            self.config = config
            self._show_config()
            if changes and self._run is not None and (told := self.retuned(changes)):
                self._run.retune(**told)
            if changes:
                self.changed(changes)

    def along_with(self, values: dict[str, Any]) -> dict[str, Any]:
        """These changes, and what they bring about in other settings."""
        return values

    def drive(self, field: str, value: Any = None) -> None:
        """Let a slider show where the run is, while the field beside it keeps the setting; without a value no more."""
        if value is None and field not in self._driven:
            return
        self._driven |= {field: value}
        if value is None:
            del self._driven[field]
        with self.moved_by_code():
            set_value(self.controls[field], getattr(self.config, field) if value is None else value)

    def entry_of(self, field: str) -> Any:
        """What is shown of the control of a field: the control itself, or with a field to type into."""
        widget = self.controls[field]
        return next((entry for entry in self._entries if entry.widget is widget), widget)

    def check(self, config: Config) -> None:
        """Raise `ConfigError` for settings that make no sense in this panel; called before a change."""

    def changed(self, changes: dict[str, Any]) -> None:
        """React to settings that were changed; called under the lock."""

    def retuned(self, changes: dict[str, Any]) -> dict[str, Any]:
        """What of these changes the stage is told while it runs, by its own names."""
        return {field: value for field, value in changes.items() if field in self.LIVE}

    def listen(
        self, widget: Any, act: Callable[..., Any], field: str, beside: Said | NumberEntry | None = None
    ) -> None:
        """Call `act(field=value)` when a person moves a widget; what is refused is said, and the widget goes back.

        Where it is said: `beside` the widget, or under the buttons.
        """

        def heard(change: dict[str, Any]) -> None:
            with self._lock:
                if self._by_code or self._closed:
                    return
                try:
                    if self._run is None:
                        self._complain("")
                    act(**{field: change["new"]})
                    for said in (*self._entries, *([beside] if beside else [])):
                        said.say("")
                except Exception as error:  # the front end would swallow it
                    self._error.say(error, beside=beside is not None)
                    if beside is not None:
                        beside.say(str(error))
                    self._show_config()

        widget.observe(heard, names="value")

    def edit(self, widget: Any, config: Config, name: str, act: Callable[..., Any]) -> Any:
        """Let people move the widget of a setting, and type numbers beside it; returns what is to be shown."""
        if not isinstance(widget, NUMBERS):
            self.listen(widget, act, name)
            return widget
        entry = NumberEntry(widget, config, name)
        self._entries += (entry,)
        self.listen(widget, act, name, entry)
        for number, field in enumerate(entry.fields):
            self.listen(field, lambda typed, n=number: act(**{name: entry.parsed(n, typed)}), "typed", entry)
        return entry

    @contextmanager
    def moved_by_code(self) -> Iterator[None]:
        """While it is open, widgets move without anybody listening."""
        with self._lock:
            outer, self._by_code = self._by_code, True
            try:
                yield
            finally:
                self._by_code = outer

    def _control(self, field: str) -> Any:
        if not hasattr(type(self), field):
            setattr(type(self), field, Setting(field))
        widget = control(self.config, field).add_class(f"sre-{field.replace('_', '-')}")
        self.edit(widget, self.config, field, self.change)
        return widget

    def _show_config(self) -> None:
        with self.moved_by_code():
            for field, widget in self.controls.items():
                if widget.value != (value := self._driven.get(field, getattr(self.config, field))):
                    set_value(widget, value)
        self._show_entries()

    def _show_entries(self) -> None:
        """Write into the fields what the sliders show."""
        with self.moved_by_code():
            for entry in () if self._closed else self._entries:
                entry.show(getattr(self.config, entry.name) if entry.name in self._driven else entry.widget.value)

    def _render(self) -> None:
        for field, widget in () if self._closed else self.controls.items():
            widget.disabled = self.busy and field not in self.LIVE
        self._show_entries()
        super()._render()  # the state comes last: whoever sees it finds the rest in order
