"""What stands above every panel's own views: the buttons of its run, how far it is, and what went wrong."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from typing import Any

import ipywidgets

from sre2l_core.events import StepEvent, in_seconds
from sre2l_core.widgets.base.spots import SPOTS_STYLE
from sre2l_core.worker import State

ERROR_COLOUR = "var(--jp-error-color1, #c62828)"
IN_CODE = re.compile(r"^\w+Config(\.\w+)?: ")
"""How an error of a config begins, for those who write code."""
GONE = "The kernel of this panel was restarted: this is how it was left. Run its cell again to bring it back."
SILENT = "No news for half a minute: a long step, or the kernel has died."
"""Shown by the page itself: every other text begins the half minute anew, and a kernel that died says nothing."""
STYLE = """<style>
.sre-panel { padding: 4px 2px 8px; }
.sre-panel .sre-pixels { image-rendering: pixelated; object-fit: contain; }
.sre-panel .sre-caption { color: var(--jp-ui-font-color2, inherit); overflow-wrap: anywhere; }
.sre-panel .sre-caption, .sre-panel .sre-caption .widget-html-content { font-size: 12px; line-height: 1.35; }
.sre-panel .sre-heading { font-weight: 600; font-size: 12px; line-height: 1.35; }
.sre-panel .sre-status { font-variant-numeric: tabular-nums; }
.sre-panel progress { accent-color: var(--jp-brand-color1, #1976d2); width: 130px; height: 10px; }
.sre-panel progress { vertical-align: middle; margin: -2px 4px 0 0; }
.sre-panel .sre-classes > .widget-text { display: inline-block !important; }
.sre-panel .sre-entry .widget-slider > .widget-label { display: none; }
.sre-panel.sre-panel :focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2) !important; }
.sre-panel.sre-panel :focus-visible { outline-offset: 1px; }
.sre-panel .sre-off { opacity: 0.5; pointer-events: none; }
.sre-panel.jupyter-widgets-disconnected::before { content: "GONE"; display: block; width: auto; }
.sre-panel.jupyter-widgets-disconnected::before { font: inherit; color: inherit; padding: 4px 8px; margin: 2px 0 6px; }
.sre-panel.jupyter-widgets-disconnected::before { border-left: 4px solid var(--jp-warn-color1, #e65100); }
.sre-panel .jupyter-widgets-disconnected.jupyter-widgets-disconnected::before { content: none; }
.sre-panel.jupyter-widgets-disconnected :is(.sre-act, .sre-spots, .sre-state, .sre-when) { display: none; }
.sre-panel.jupyter-widgets-disconnected :is(button, input, select, .noUi-target, .sre-classes) {
  pointer-events: none; opacity: 0.6; }
.sre-panel .sre-silent { visibility: hidden; display: inline-block; max-width: 0; overflow: hidden; }
.sre-panel .sre-silent { white-space: nowrap; vertical-align: bottom; animation: sre-silent 0s 30s forwards; }
@keyframes sre-silent { to { visibility: visible; max-width: 100%; } }
.sre-panel details pre { max-height: 16em; overflow: auto; font-size: 11px; line-height: 1.3; }
SPOTS</style>""".replace("SPOTS", SPOTS_STYLE).replace("GONE", GONE)
"""Of everything in a panel. ipywidgets marks each widget whose kernel is gone, and would draw a broken chain before it:
the panel says it once, and hides what nobody answers or what may have ended since."""


def button(text: str, icon: str, act: Callable[[], Any], css: str, tooltip: str) -> Any:
    """A button that does one thing."""
    made = ipywidgets.Button(description=text, icon=icon, tooltip=tooltip, layout={"width": "7.2em"})
    made.on_click(lambda _: act())
    return made.add_class("sre-act").add_class(css)


class RunBar(ipywidgets.HBox):
    """Start, Pause, Stop and Reset, and beside them the state and the progress of the run."""

    begin = "Start"
    """What the first button says where nothing is paused."""

    def __init__(
        self, start: Callable[[], Any], pause: Callable[[], Any], stop: Callable[[], Any], reset: Callable[[], Any]
    ) -> None:
        self.buttons = (
            button(self.begin, "play", start, "sre-start", "Start, or go on after a pause"),
            button("Pause", "pause", pause, "sre-pause", "Pause after the step under way"),
            button("Stop", "stop", stop, "sre-stop", "End here; what was made stays"),
            button("Reset", "undo", reset, "sre-reset", "Stop and go back to the beginning"),
        )
        self.line, self._pace = ipywidgets.HTML().add_class("sre-status"), Pace()
        super().__init__([*self.buttons, self.line], layout={"flex_flow": "row wrap", "align_items": "center"})

    def show(self, state: State, event: StepEvent | None) -> None:
        """Offer what is possible in this state, and say how far the run is."""
        start, pause, stop, reset = self.buttons
        start.description = "Resume" if state in (State.PAUSED, State.PAUSING) else self.begin
        start.disabled = state in (State.RUNNING, State.STOPPING)
        pause.disabled = state is not State.RUNNING
        stop.disabled = state in (State.IDLE, State.STOPPING) or state.over
        reset.disabled = state is State.IDLE
        step, total = (event.step, event.total) if event else (0, 1)
        words = f"step {step} of {total}" if event else ""
        before = " · preparing" if state.busy else "" if state.over else " · ready"
        now = f"<b>{state}</b>{' · ' if event else before}"
        pace = self._pace.words(step, total) if state is State.RUNNING and event else self._pace.forget()
        bar = f'<progress value="{step}" max="{max(total, 1)}" aria-label="progress"></progress>'
        words = f'<span class="sre-state">{now}</span>{words}<span class="sre-state">{pace}</span>'
        if state.busy and state is not State.PAUSED:
            words += f' <span class="sre-silent sre-caption">{SILENT}</span>'
        self.line.value = f'<span style="margin-left: 8px">{bar} {words}</span>'


class Pace:
    """How long a step takes, and how long the rest will; measured between the frames of one stretch without a pause."""

    def __init__(self) -> None:
        self._from: tuple[int, float] | None = None

    def words(self, step: int, total: int) -> str:
        """After `step` steps of `total`; nothing in the first second."""
        now = time.monotonic()
        if self._from is None or step < self._from[0]:
            self._from = (step, now)
        begun, since = self._from
        if step == begun or now - since < 1:
            return ""
        each = (now - since) / (step - begun)
        return f" · {in_seconds(each)} a step, {in_seconds(each * (total - step))} left"

    def forget(self) -> str:
        """A pause or the end; nothing to say."""
        self._from = None
        return ""


class NumberLine(ipywidgets.HTML):
    """What is known of the run now, in one line."""

    def __init__(self) -> None:
        super().__init__()
        self.add_class("sre-numbers")

    def say(self, words: str) -> None:
        """Write it."""
        self.value = html.escape(words)


class Said(ipywidgets.HTML):
    """What was wrong with a field or a button, right beside it; takes no room while all is well."""

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
        self.add_class("sre-said").add_class("sre-caption")

    def say(self, error: BaseException | str) -> None:
        """Say what is wrong; an empty text says that nothing is."""
        words = str(error).strip() or type(error).__name__ if isinstance(error, BaseException) else error
        self.value = _alert(IN_CODE.sub("", words)) if words else ""
        self.layout.display = None if words else "none"

    def tell(self, words: str) -> None:
        """Say what was done."""
        self.value, self.layout.display = html.escape(words), None


class ErrorLine(ipywidgets.HTML):
    """What went wrong, in one line with the details behind it; takes no room while all is well."""

    def __init__(self) -> None:
        super().__init__(layout={"display": "none"})
        self.message = ""
        self.add_class("sre-error")

    def say(self, error: BaseException | str, details: str = "", *, beside: bool = False) -> None:
        """Say what went wrong; an empty text says that nothing did; nothing is shown here if it is said `beside`."""
        self.message = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else error
        text = _alert(self.message)
        if details:
            text += f"<details><summary>Details</summary><pre>{html.escape(details)}</pre></details>"
        self.value = text if self.message else ""
        self.layout.display = None if self.message and not beside else "none"


def _alert(words: str) -> str:
    return f'<span role="alert" style="color: {ERROR_COLOUR}">{html.escape(words)}</span>'
