"""RecoverStudio over the wire: a real kernel, real threads and messages, no browser."""

import io
import json
from collections.abc import Iterator

import pytest
import wire
from PIL import Image
from wire import Wire

SETUP = """
import json, torch
torch.set_num_threads(1)
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.config import RecoverConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.stages.recover import Recovery
from sre2l_core.widgets import RecoverStudio
spec = DatasetSpec("tiny", ("ant", "bee", "cat"), 3, 8, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
teacher = Teacher(empty_network("convnet", spec, {"depth": 2, "width": 8}), spec, "convnet")
studio = RecoverStudio(teacher, RecoverConfig(ipc=1, steps=1_000_000, flip=0))
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Wire]:
    with wire.kernel() as opened:
        opened.run(SETUP)
        yield opened


@pytest.fixture
def running(kernel: Wire) -> Iterator[Wire]:
    """Return the wire of a studio that was started by a click."""
    kernel.run("studio.reset(); studio.alpha_bn = 1")
    kernel.click("sre-start")
    kernel.until("sre-status", lambda model: "running" in model["value"] and "step" in model["value"])
    yield kernel
    kernel.run("studio.stop(); studio.wait(20)")


def test_frames_come_while_it_computes(running: Wire) -> None:
    first = running.models[running.find("sre-grid")]["value"]
    running.until("sre-grid", lambda model: model["value"] != first)
    picture = Image.open(io.BytesIO(running.models[running.find("sre-grid")]["value"]))
    assert picture.size == (3 * 9 - 1, 8)
    running.until("sre-numbers", lambda model: "recognises" in model["value"])
    assert "<svg" in running.text("sre-loss")


def test_a_drag_reaches_the_computation_and_the_log(running: Wire) -> None:
    running.set("sre-alpha-bn", index=0)
    running.until("sre-loss", lambda model: "sre-mark" in model["value"])
    running.set("sre-crop-scale", value=[0.5, 0.6])
    running.until("sre-loss", lambda model: model["value"].count("sre-mark") == 2)
    changes = json.loads(running.run("print(json.dumps(studio.log['changes']))"))
    assert [(change["field"], change["new"]) for change in changes] == [("alpha_bn", 0.0), ("crop_scale", [0.5, 0.6])]


def test_pause_holds_the_picture_and_resume_lets_it_go_on(running: Wire) -> None:
    running.click("sre-pause")
    running.until("sre-status", lambda model: "<b>paused</b>" in model["value"])
    held = running.models[running.find("sre-grid")]["value"]
    running.listen(0.4)
    assert running.models[running.find("sre-grid")]["value"] == held
    assert running.models[running.find("sre-start")]["description"] == "Resume"
    running.click("sre-start")
    running.until("sre-grid", lambda model: model["value"] != held)


def test_stop_while_computing_keeps_the_images(running: Wire) -> None:
    running.click("sre-stop")
    running.until("sre-status", lambda model: "<b>stopped</b>" in model["value"])
    assert running.run("print(len(studio.condensed()), studio.error)") == "3"


def test_an_exception_in_the_worker_is_shown(running: Wire) -> None:
    running.run(
        "step = Recovery.step\ndef broken(self): raise ArithmeticError('the <sky> fell')\nRecovery.step = broken"
    )
    running.until("sre-status", lambda model: "<b>failed</b>" in model["value"])
    assert "the &lt;sky&gt; fell" in running.text("sre-error")
    assert "Traceback" in running.text("sre-error")
    running.run("Recovery.step = step")
    running.click("sre-start")
    running.until("sre-status", lambda model: "running" in model["value"] and "step" in model["value"])
    assert running.text("sre-error") == ""


def test_running_the_cell_again_stops_the_run_before(running: Wire) -> None:
    running.run("first = studio\n" + SETUP.strip().splitlines()[-1])
    assert running.run("print(first.wait(20), studio.state)") == "stopped idle"
