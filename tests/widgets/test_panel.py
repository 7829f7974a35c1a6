"""LivePanel without a front end: buttons, errors, re-run cells, and that no sequence of events gets a panel stuck."""

import base64
import gc
import io
import random
import sys
import threading
import time
from collections.abc import Iterator

import ipywidgets
import pytest
from PIL import Image

from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.worker import State

SOON = 20.0


class Counting:
    """A stage that counts, retuned and slowed down at will."""

    def __init__(self, total: int, seconds: float = 0) -> None:
        self.total, self.seconds, self.count, self.alpha_bn = total, seconds, 0, 0.0

    def __iter__(self) -> Iterator[StepEvent]:
        while self.count < self.total:
            time.sleep(self.seconds)
            self.count += 1
            yield StepEvent("count", self.count, self.total)

    def retune(self, **changes: float) -> None:
        self.alpha_bn = changes.get("alpha_bn", self.alpha_bn)


class CountPanel(LivePanel):
    CONTROLS = ("alpha_bn", "steps", "ipc")
    LIVE = ("alpha_bn",)

    def __init__(self, total: int = 5, seconds: float = 0.0, name: str | None = None, max_fps: float = 1000) -> None:
        self.total, self.seconds, self.seen, self.shown, self.broken = total, seconds, [], [], ""
        self.view = ipywidgets.HTML()
        super().__init__(RecoverConfig(ipc=1), [self.view], name=name, max_fps=max_fps)

    def build(self) -> Counting:
        if self.broken == "build":
            raise ConfigError("<nothing> fits")
        return Counting(self.total, self.seconds)

    def record(self, event: StepEvent) -> None:
        self.seen.append(event.step)

    def look(self, stage: Counting, event: StepEvent) -> str:
        if self.broken == "look":
            raise ArithmeticError("the view broke")
        return f"{stage.count} counted"

    def show(self, frame: str) -> None:
        self.shown.append(frame)
        self.view.value = frame

    def clear(self) -> None:
        self.seen, self.shown, self.view.value = [], [], "empty"

    def picture(self) -> Image.Image:
        return Image.new("L", (3, 2))


@pytest.fixture
def panel(request: pytest.FixtureRequest) -> Iterator[CountPanel]:
    panel = CountPanel(name=request.node.name)
    yield panel
    panel.close()


@pytest.fixture
def endless(request: pytest.FixtureRequest) -> Iterator[CountPanel]:
    panel = CountPanel(10**9, 0.001, name=request.node.name, max_fps=50)
    yield panel
    panel.close()


def reaches(panel: LivePanel, state: State) -> bool:
    deadline = time.monotonic() + SOON
    while panel.state is not state and time.monotonic() < deadline:
        time.sleep(0.001)
    return panel.state is state


def consistent(panel: LivePanel) -> bool:
    """Whether what is shown is so."""
    state = panel.state
    return (
        f"<b>{state}</b>" in panel._bar.line.value
        and panel.start_button.disabled == (state in (State.RUNNING, State.STOPPING))
        and panel.pause_button.disabled == (state is not State.RUNNING)
    )


def test_runs_to_the_end_and_shows_the_last_frame(panel: CountPanel) -> None:
    assert (panel.state, panel.view.value) == (State.IDLE, "empty")
    assert panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.seen == [1, 2, 3, 4, 5]
    assert panel.shown[-1] == panel.view.value == "5 counted"
    assert "step 5 of 5" in panel._bar.line.value
    assert consistent(panel)
    assert repr(panel) == "<CountPanel: finished, step 5/5>"


def test_buttons_do_what_the_methods_do(endless: CountPanel) -> None:
    endless.start_button.click()
    assert endless.state is State.RUNNING
    assert not endless.start()
    endless.pause_button.click()
    assert reaches(endless, State.PAUSED)
    assert endless.start_button.description == "Resume"
    count = endless.stage.count
    time.sleep(0.05)
    assert endless.stage.count == count
    endless.start_button.click()
    assert endless.state is State.RUNNING
    endless.stop_button.click()
    assert endless.wait(SOON) is State.STOPPED
    assert endless.view.value == f"{endless.stage.count} counted"
    endless.reset_button.click()
    assert (endless.state, endless.stage, endless.view.value) == (State.IDLE, None, "empty")
    assert consistent(endless)


def test_what_was_made_stays_after_a_stop(endless: CountPanel) -> None:
    endless.start()
    while endless.event is None:
        time.sleep(0.001)
    endless.stop()
    assert endless.wait(SOON) is State.STOPPED
    assert endless.stage.count == endless.seen[-1] > 0


def test_controls_are_attributes_and_retune_what_may_change(endless: CountPanel) -> None:
    endless.alpha_bn = 0.5
    assert endless.controls["alpha_bn"].value == endless.config.alpha_bn == 0.5
    endless.start()
    endless.controls["alpha_bn"].value = 0.02
    endless.steps = 77
    assert endless.alpha_bn == 0.02
    assert endless.controls["steps"].value == 77
    deadline = time.monotonic() + SOON
    while (endless.stage is None or endless.stage.alpha_bn != 0.02) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert endless.stage.alpha_bn == 0.02
    assert endless.controls["steps"].disabled
    assert not endless.controls["alpha_bn"].disabled


def test_a_slider_moved_in_the_browser_counts_like_an_attribute(panel: CountPanel) -> None:
    panel.controls["alpha_bn"].set_state({"index": 0})
    assert panel.alpha_bn == 0
    panel.controls["ipc"].set_state({"value": 3})
    assert panel.ipc == 3


def test_a_widget_moved_by_code_is_not_listened_to(panel: CountPanel) -> None:
    heard: list[int] = []
    widget = ipywidgets.IntSlider(0, 0, 9)
    panel.listen(widget, lambda step: heard.append(step), "step")
    with panel.moved_by_code():
        widget.value = 1
        with panel.moved_by_code():
            widget.value = 2
        widget.value = 3
    widget.value = 4
    with pytest.raises(ArithmeticError), panel.moved_by_code():
        raise ArithmeticError
    widget.value = 5
    panel.close()
    widget.value = 6
    assert heard == [4, 5]


def test_what_a_listener_refuses_is_said_until_something_is_accepted(panel: CountPanel) -> None:
    def refuse(count: int) -> None:
        if count > 3:
            raise ConfigError(f"{count} are too many")
        panel.change(ipc=count)

    widget = ipywidgets.IntSlider(0, 0, 9)
    panel.listen(widget, refuse, "count")
    widget.value = 5
    assert panel.error == "ConfigError: 5 are too many"
    assert panel.ipc == 1
    widget.value = 2
    assert (panel.error, panel.ipc) == ("", 2)


def test_values_out_of_bounds_change_nothing(panel: CountPanel) -> None:
    with pytest.raises(ConfigError, match="alpha_bn"):
        panel.alpha_bn = -1
    with pytest.raises(ConfigError, match="alpha_bn"):
        panel.change(alpha_nb=1)
    assert panel.alpha_bn == 1


@pytest.mark.parametrize(("where", "state"), [("build", State.FAILED), ("look", State.FINISHED)])
def test_errors_are_shown_in_the_panel(panel: CountPanel, where: str, state: State) -> None:
    panel.broken = where
    panel.start()
    assert panel.wait(SOON) is state
    assert panel.error in ("ConfigError: <nothing> fits", "ArithmeticError: the view broke")
    assert "Traceback" in panel._error.value
    assert "<nothing>" not in panel._error.value
    assert panel._error.layout.display is None
    panel.broken = ""
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert (panel.error, panel._error.layout.display) == ("", "none")


def test_a_panel_of_the_same_name_stops_the_one_before() -> None:
    first = CountPanel(10**9, 0.001, name="cell")
    first.start()
    second = CountPanel(3, name="cell")
    other = CountPanel(3, name="another cell")
    assert first.wait(SOON) is State.STOPPED
    second.start()
    other.start()
    assert (second.wait(SOON), other.wait(SOON)) == (State.FINISHED, State.FINISHED)
    for panel in (first, second, other):
        panel.close()


def test_a_restart_waits_for_the_run_before(endless: CountPanel) -> None:
    endless.start()
    first = endless.run
    assert endless.restart()
    assert first.wait(SOON) is State.STOPPED
    while endless.stage is None:
        time.sleep(0.001)
    assert endless.state is State.RUNNING
    assert endless.run is not first


def test_nothing_waits_for_a_long_step() -> None:
    panel = CountPanel(3, 0.5, name="slow")
    begun = time.monotonic()
    panel.start()
    time.sleep(0.05)
    for act in (panel.pause, panel.resume, panel.stop, panel.reset, panel.start, panel.reset):
        act()
    assert time.monotonic() - begun < 0.4
    assert panel.state is State.IDLE
    panel.close()


def test_closing_stops_and_may_be_repeated() -> None:
    panel = CountPanel(10**9, 0.001, name="closing")
    panel.start()
    run = panel.run
    panel.close()
    panel.close()
    assert run.wait(SOON) is State.STOPPED
    assert not panel.start()
    del panel
    gc.collect()


def test_a_reader_without_a_kernel_gets_a_picture_and_a_line(panel: CountPanel) -> None:
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size == (3, 2)
    assert bundle["text/plain"] == "<CountPanel: idle>"


def test_frames_are_throttled(request: pytest.FixtureRequest) -> None:
    panel = CountPanel(300, 0.001, name=request.node.name, max_fps=5)
    panel.start()
    panel.wait(SOON)
    assert panel.seen == list(range(1, 301))
    assert 2 <= len(panel.shown) <= 6
    panel.close()


def test_awaiting_serves_the_loop_and_follows_a_new_start(endless: CountPanel) -> None:
    import asyncio

    async def main() -> State:
        endless.start()

        async def meddle() -> None:
            await asyncio.sleep(0.05)
            endless.restart()
            await asyncio.sleep(0.05)
            endless.stop()

        meddling = asyncio.create_task(meddle())
        state = await endless
        await meddling
        return state

    assert asyncio.run(main()) is State.STOPPED


def test_no_sequence_of_events_gets_a_panel_stuck() -> None:
    """Three threads press random buttons on one panel; then it must still start, end, and show what is so."""
    rng, usual = random.Random(0), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for number in range(200):
            panel = CountPanel(rng.choice([0, 2, 200]), name="stressed")
            names = ("start", "pause", "resume", "stop", "reset", "restart", "slide", "set")

            def press(names: list[str], panel: CountPanel = panel, seed: int = number) -> None:
                for position, name in enumerate(names):
                    if name == "slide":
                        panel.controls["alpha_bn"].set_state({"index": (seed + position) % 10})
                    elif name == "set":
                        panel.alpha_bn = (seed + position) % 3
                    else:
                        getattr(panel, name)()

            chosen = [rng.choices(names, k=6) for _ in range(3)]
            threads = [threading.Thread(target=press, args=(sequence,)) for sequence in chosen]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(SOON)
                assert not thread.is_alive()
            if number % 2:
                panel.resume()
            if panel.busy:
                panel.stop()
            assert panel.wait(SOON) in (State.IDLE, State.STOPPED, State.FINISHED)
            assert consistent(panel)
            panel.reset()
            panel.start()
            assert panel.wait(SOON) is State.FINISHED
            assert consistent(panel)
            assert panel.seen == list(range(1, panel.total + 1))
            assert panel.error == ""
            panel.close()
    finally:
        sys.setswitchinterval(usual)
