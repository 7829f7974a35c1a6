"""ShortRecovery without a front end: what a mouse would do is sent as messages or set as attributes."""

import base64
import gc
import io
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
from sre2l_core.recover import Recovery, plan
from sre2l_core.run import State
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import ShortRecovery

CONFIG = RecoverConfig(crop_scale=(0.3, 1.0), flip=0)
SOON = 30.0


@pytest.fixture
def panel(tiny_teacher: Teacher, cpu: Runtime) -> Iterator[ShortRecovery]:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=6, runtime=cpu)
    yield panel
    panel.close()


def test_shows_noise_before_the_first_recovery(panel: ShortRecovery) -> None:
    assert panel.state is State.IDLE
    assert panel.snapshot().shape == (5, 3, 8, 8)
    assert Image.open(io.BytesIO(panel._image.value)).size == ((5 * 9 - 1) * 8, 64)


def test_recovers_and_ends_as_the_headless_recovery_does(
    panel: ShortRecovery, tiny_teacher: Teacher, cpu: Runtime
) -> None:
    before = panel._image.value
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    config = panel.config
    recovery = Recovery(tiny_teacher, plan(config, tiny_teacher.spec), config, runtime=cpu)
    while not recovery.done:
        recovery.step()
    torch.testing.assert_close(panel.snapshot(), recovery.pixels(), rtol=0, atol=0)
    assert panel._image.value != before
    for part in ("finished", "step 6/6", "loss", "cross-entropy", "R_BN", "teacher recognises"):
        assert part in panel.status
    assert panel.error == ""
    assert panel._button.description == "Run"


def test_the_picture_enlarges_pixels_without_smoothing(panel: ShortRecovery) -> None:
    picture = Image.open(io.BytesIO(panel._image.value))
    first = picture.crop((0, 0, 64, 64)).resize((8, 8), Image.Resampling.NEAREST)
    assert first.tobytes() == panel.snapshot()[0].permute(1, 2, 0).contiguous().numpy().tobytes()


def test_attributes_do_what_sliders_do(panel: ShortRecovery) -> None:
    panel.alpha_bn = 0
    assert panel.wait(SOON) is State.FINISHED
    assert panel._alpha_bn.value == 0
    assert "R_BN" not in panel.status
    panel.crop_scale = (0.5, 0.75)
    assert panel._crop_scale.value == (0.5, 0.75)
    assert panel.wait(SOON) is State.FINISHED
    assert panel._recovery.config.crop_scale == panel.crop_scale == (0.5, 0.75)


def test_a_slider_moved_in_the_browser_recovers_anew(panel: ShortRecovery) -> None:
    panel._crop_scale.set_state({"value": [0.6, 0.9]})
    assert panel.wait(SOON) is State.FINISHED
    assert panel.crop_scale == (0.6, 0.9)
    panel._alpha_bn.set_state({"index": 0})
    assert panel.wait(SOON) is State.FINISHED
    assert panel.alpha_bn == 0


def test_values_out_of_bounds_change_nothing(panel: ShortRecovery) -> None:
    with pytest.raises(ConfigError, match="crop_scale"):
        panel.crop_scale = (0.9, 0.1)
    with pytest.raises(ConfigError, match="alpha_bn"):
        panel.alpha_bn = -1
    assert panel.config.alpha_bn == CONFIG.alpha_bn
    assert panel.state is State.IDLE


def test_a_change_cancels_the_recovery_under_way(tiny_teacher: Teacher, cpu: Runtime) -> None:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=100_000, runtime=cpu)
    panel.start()
    first = panel._run
    panel.alpha_bn = 0.5
    panel.alpha_bn = 0.25
    assert first.wait(SOON) is State.STOPPED
    assert panel._recovery.config.alpha_bn == 0.25
    assert panel.state is State.RUNNING
    assert panel._button.description == "Stop"
    panel._button.click()
    assert panel.wait(SOON) is State.STOPPED
    assert panel._button.description == "Run"
    panel._button.click()
    assert panel.state is State.RUNNING
    panel.close()
    assert panel.wait(SOON) is State.STOPPED


def test_close_stops_and_may_be_called_twice(tiny_teacher: Teacher, cpu: Runtime) -> None:
    panel = ShortRecovery(tiny_teacher, CONFIG, steps=100_000, runtime=cpu)
    panel.start()
    panel.close()
    panel.close()
    assert panel.wait(SOON) is State.STOPPED
    panel.start()
    assert panel.state is State.STOPPED
    del panel
    gc.collect()


def test_the_last_frame_is_kept_for_readers_without_a_kernel(panel: ShortRecovery) -> None:
    panel.start()
    panel.wait(SOON)
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]) == panel._image.value


def test_what_cannot_be_recovered_is_said_in_the_error_line(tiny_teacher: Teacher, cpu: Runtime) -> None:
    panel = ShortRecovery(tiny_teacher, CONFIG.but(init="real"), steps=3, runtime=cpu)
    assert "needs the real data" in panel.error
    panel.start()
    assert panel.wait(SOON) is State.IDLE
    with pytest.raises(RuntimeError, match="needs the real data"):
        panel.snapshot()
    panel.close()


def test_a_failing_step_is_said_in_the_error_line(panel: ShortRecovery, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Recovery) -> None:
        raise ArithmeticError("<the sky> fell")

    monkeypatch.setattr(Recovery, "step", broken)
    panel.start()
    assert panel.wait(SOON) is State.FAILED
    assert panel.error == "ArithmeticError: <the sky> fell"
    assert "&lt;the sky&gt;" in panel._error.value
    monkeypatch.undo()
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""


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
    assert panel.snapshot().shape[0] == 3
    assert "cat" in panel._names.value
    assert "dog" not in panel._names.value
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
            assert panel._recovery.config.alpha_bn == 2.0
            assert panel._button.description == "Run"
            assert panel.status.count("finished") == 1
            panel.close()
    finally:
        sys.setswitchinterval(usual)
