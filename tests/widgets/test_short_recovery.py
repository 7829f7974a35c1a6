"""ShortRecovery without a front end: what a mouse would do is sent as messages or set as attributes."""

import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.widgets import ShortRecovery
from sre2l_core.worker import State

CONFIG = RecoverConfig(crop_scale=(0.3, 1.0), flip=0)
SOON = 30.0


@pytest.fixture
def panel(tiny_teacher: Teacher, cpu: Runtime) -> Iterator[ShortRecovery]:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=6, runtime=cpu)
    yield panel
    panel.close()


@pytest.fixture
def long(tiny_teacher: Teacher, cpu: Runtime) -> Iterator[ShortRecovery]:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=100_000, runtime=cpu)
    panel.start()
    yield panel
    panel.close()


def headless(panel: ShortRecovery, teacher: Teacher, cpu: Runtime) -> Recovery:
    return Recovery(teacher, plan(panel.config, teacher.spec), panel.config, runtime=cpu)


def test_shows_noise_before_the_first_recovery(panel: ShortRecovery, tiny_teacher: Teacher, cpu: Runtime) -> None:
    assert panel.state is State.IDLE
    noise = panel.pixels()
    assert torch.equal(noise, headless(panel, tiny_teacher, cpu).pixels())
    first = panel.snapshot().resize((5 * 9 - 1, 8), Image.Resampling.NEAREST).crop((0, 0, 8, 8)).convert("RGB")
    assert first.tobytes() == noise[0].permute(1, 2, 0).contiguous().numpy().tobytes()


def test_recovers_and_ends_as_the_headless_recovery_does(
    panel: ShortRecovery, tiny_teacher: Teacher, cpu: Runtime
) -> None:
    before = panel._view.image.value
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    recovery = headless(panel, tiny_teacher, cpu)
    while not recovery.done:
        recovery.step()
    assert torch.equal(panel.pixels(), recovery.pixels())
    assert panel._view.image.value != before
    for part in ("total", "cross-entropy", "R_BN", "the teacher recognises"):
        assert part in panel.status
    assert panel.event.step == panel.event.total == 6
    assert panel.error == ""


def test_attributes_do_what_sliders_do(panel: ShortRecovery) -> None:
    panel.alpha_bn = 0
    assert panel.wait(SOON) is State.FINISHED
    assert panel.controls["alpha_bn"].value == 0
    assert "R_BN" not in panel.status
    panel.crop_scale = (0.5, 0.75)
    assert panel.controls["crop_scale"].value == (0.5, 0.75)
    assert panel.wait(SOON) is State.FINISHED
    assert panel.stage.config.crop_scale == panel.crop_scale == (0.5, 0.75)
    assert panel.stage.changes == [], "a change starts anew: none within a recovery"


def test_a_slider_moved_in_the_browser_recovers_anew(panel: ShortRecovery) -> None:
    panel.controls["crop_scale"].set_state({"value": [0.6, 0.9]})
    assert panel.wait(SOON) is State.FINISHED
    assert panel.crop_scale == (0.6, 0.9)
    panel.controls["alpha_bn"].set_state({"index": 0})
    assert panel.wait(SOON) is State.FINISHED
    assert panel.alpha_bn == 0


def test_values_out_of_bounds_change_nothing(panel: ShortRecovery) -> None:
    with pytest.raises(ConfigError, match="crop_scale"):
        panel.crop_scale = (0.9, 0.1)
    with pytest.raises(ConfigError, match="alpha_bn"):
        panel.alpha_bn = -1
    assert panel.config.alpha_bn == CONFIG.alpha_bn
    assert panel.state is State.IDLE


def test_a_change_cancels_the_recovery_under_way(long: ShortRecovery) -> None:
    first = long.run
    assert not long.controls["alpha_bn"].disabled
    long.alpha_bn = 0.5
    long.alpha_bn = 0.25
    assert first.wait(SOON) is State.STOPPED
    assert long.state is State.RUNNING
    long.stop_button.click()
    assert long.wait(SOON) is State.STOPPED
    assert long.config.alpha_bn == 0.25
    long.start_button.click()
    assert long.state is State.RUNNING


def test_what_cannot_be_recovered_is_said_in_the_error_line(tiny_teacher: Teacher, cpu: Runtime) -> None:
    panel = ShortRecovery(tiny_teacher, CONFIG.but(init="real"), steps=3, runtime=cpu)
    assert "needs the real data" in panel.error
    panel.start()
    assert panel.wait(SOON) is State.FAILED
    assert "needs the real data" in panel.error
    panel.close()


def test_the_teacher_may_be_used_while_the_panel_runs(tiny_teacher: Teacher, cpu: Runtime) -> None:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=40, runtime=cpu)
    panel.start()
    while panel.state is not State.FINISHED:
        tiny_teacher.net(torch.zeros(2, 3, 8, 8))
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    panel.close()


def test_only_some_classes_of_many(tiny_teacher: Teacher, cpu: Runtime) -> None:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=1, max_classes=3, runtime=cpu)
    assert panel.pixels().shape[0] == 3
    panel.start()
    panel.wait(SOON)
    assert panel.stage.targets.tolist() == [0, 1, 2]
    panel.close()


def test_hasty_changes_from_several_threads_never_get_it_stuck(tiny_teacher: Teacher, cpu: Runtime) -> None:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(4):
            panel = ShortRecovery(tiny_teacher, CONFIG, steps=5, runtime=cpu)

            def hurry(name: str, values: list[object], panel: ShortRecovery = panel) -> None:
                for value in values:
                    setattr(panel, name, value)
                    time.sleep(0.002)

            threads = [
                threading.Thread(target=hurry, args=("alpha_bn", [0.0, 0.5, 1.0, 2.0] * 3)),
                threading.Thread(target=hurry, args=("crop_scale", [(0.2, 1.0), (0.5, 1.0)] * 5)),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert panel.wait(SOON) is State.FINISHED
            assert (panel.alpha_bn, panel.crop_scale) == (2.0, (0.5, 1.0))
            assert panel.stage.config.alpha_bn == 2.0
            assert "R_BN" in panel.status
            panel.close()
    finally:
        sys.setswitchinterval(usual)
