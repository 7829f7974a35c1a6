"""The crop slider moves with the steps of a crop curriculum until somebody touches it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.replay import replay
from sre2l_core.widgets import RecoverStudio
from sre2l_core.worker import State

LOW, STEPS = 0.2, 100_000
CONFIG = RecoverConfig(ipc=1, steps=STEPS, crop_scale=(LOW, 1.0), crop_curriculum=0.5, flip=0)
SOON = 60.0


@pytest.fixture
def studio(tiny_teacher: Teacher, cpu: Runtime, tmp_path: Path) -> Iterator[RecoverStudio]:
    studio = RecoverStudio(tiny_teacher, CONFIG, runtime=cpu, folder=tmp_path)
    yield studio
    studio.close()


@pytest.fixture
def paused(studio: RecoverStudio) -> RecoverStudio:
    """A session that was paused while its curriculum lasts, which is for 1,000 steps."""
    studio.steps = 2000
    studio.start()
    deadline = time.monotonic() + SOON
    while (studio.event is None or studio.event.step < 10) and time.monotonic() < deadline:
        time.sleep(0.001)
    studio.pause()
    while studio.state is not State.PAUSED and time.monotonic() < deadline:
        time.sleep(0.001)
    assert studio.event.step < 1000, "too quick to be paused on its way"
    return studio


def slider(studio: RecoverStudio) -> tuple[float, float]:
    return tuple(studio.controls["crop_scale"].value)


def typed(studio: RecoverStudio) -> list[str]:
    return [field.value for field in studio.entry_of("crop_scale").fields]


def note(studio: RecoverStudio) -> str:
    line = studio.entry_of("crop_scale")._note
    return line.value if line.layout.display is None else ""


def cda(step: int, end: int) -> float:
    """The smallest crop of a step, from the paper's formula."""
    return LOW + (1 - LOW) * float(1 + torch.cos(torch.tensor(torch.pi * step / end, dtype=torch.float64))) / 2


def test_before_a_run_it_says_what_will_happen(studio: RecoverStudio) -> None:
    assert slider(studio) == (LOW, 1.0)
    assert note(studio) == "crop curriculum: the smallest crop shrinks from 1 to 0.2 by step 50,000"
    studio.crop_curriculum = 0.0
    assert note(studio) == ""
    studio.take_over()
    assert studio.crop_scale == (LOW, 1.0), "there is nothing to take over"


def test_the_slider_moves_with_the_steps_and_the_field_keeps_the_setting(paused: RecoverStudio) -> None:
    assert slider(paused) == pytest.approx((cda(paused.event.step, 1000), 1.0))
    assert typed(paused) == ["0.2", "1"]
    assert note(paused).endswith("by step 1,000; move the slider to take over")
    paused.lr = 0.07  # another setting leaves it where it is
    assert slider(paused)[0] > LOW
    assert paused.crop_scale == (LOW, 1.0)
    paused.reset()
    assert slider(paused) == (LOW, 1.0)


@pytest.mark.parametrize("how", ["code", "slider", "type"])
def test_whoever_touches_it_takes_over(paused: RecoverStudio, tiny_teacher: Teacher, cpu: Runtime, how: str) -> None:
    step, now = paused.event.step, slider(paused)
    if how == "code":
        paused.take_over()
    elif how == "slider":
        paused.controls["crop_scale"].set_state({"value": [now[0] - 0.01, 1.0]})
    else:
        paused.entry_of("crop_scale").fields[0].set_state({"value": "0.4"})
    wanted = {"code": now, "slider": (now[0] - 0.01, 1.0), "type": (0.4, 1.0)}[how]
    assert paused.crop_scale == slider(paused) == pytest.approx(wanted)
    assert (paused.crop_curriculum, note(paused)) == (0.0, "")
    assert typed(paused)[0] == f"{wanted[0]:.12g}"
    paused.steps = step + 10
    paused.resume()
    assert paused.wait(SOON) is State.FINISHED
    assert paused.error == ""
    log = paused.log
    assert {(one["step"], one["field"]) for one in log["changes"]} == {
        (step, field) for field in ("crop_scale", "crop_curriculum", "steps")
    }
    again = replay(tiny_teacher, RecoverConfig.of(log["config"]), log["changes"], until=log["steps"], runtime=cpu)
    assert torch.equal(again.pixels(), paused.recovery.pixels())


def test_nonsense_takes_nothing_over(paused: RecoverStudio) -> None:
    for wrong in ("2", "-1", "many", ""):
        paused.entry_of("crop_scale").fields[0].set_state({"value": wrong})
        assert paused.entry_of("crop_scale")._said.layout.display is None
        assert paused.crop_curriculum == 0.5
        assert typed(paused) == ["0.2", "1"]


def test_whole_images_have_no_curriculum(tiny_teacher: Teacher, cpu: Runtime) -> None:
    studio = RecoverStudio(tiny_teacher, CONFIG.but(crop="none", steps=3), runtime=cpu)
    studio.start()
    assert studio.wait(SOON) is State.FINISHED
    assert (slider(studio), note(studio)) == ((LOW, 1.0), "")
    studio.close()
