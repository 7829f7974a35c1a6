"""EmbeddingPanel without a front end: a still map of real images, moving squares, images of points."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.studies.live_map import LiveMap
from sre2l_core.widgets import EmbeddingPanel
from sre2l_core.worker import State

CONFIG = RecoverConfig(ipc=2, group_images=2, steps=12, flip=0, crop_scale=(0.5, 1.0))
SOON = 60.0


@pytest.fixture
def panel(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> Iterator[EmbeddingPanel]:
    panel = EmbeddingPanel(tiny_teacher, tiny_data, CONFIG, per_class=4, runtime=cpu)
    yield panel
    panel.close()


def test_real_images_hold_still_while_the_others_move(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    recovery = Recovery(tiny_teacher, plan(CONFIG, tiny_teacher.spec), CONFIG, runtime=cpu)
    live = LiveMap(tiny_teacher, tiny_data, per_class=4, runtime=cpu)
    real, first = live.real.copy(), live.place(recovery.images).copy()
    for _ in range(12):
        recovery.step()
    then = live.place(recovery.images, 50)
    assert (live.real == real).all()
    assert first.shape == then.shape == (10, 2)
    assert np.abs(then - first).max() > 0
    assert live.final().shape == (30, 2)
    live.forget()
    assert len(live.moving) == 0


def test_an_image_of_the_map_lands_on_itself(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    live = LiveMap(tiny_teacher, tiny_data, per_class=5, runtime=cpu)
    live.place(tiny_data.spec.normalize(live.pixels), 200)
    nearest = ((live.moving[:, None] - live.real) ** 2).sum(2).argmin(1)
    assert float((live.labels[torch.tensor(nearest)] == live.labels).float().mean()) > 0.8


def test_runs_a_recovery_and_draws_it(panel: EmbeddingPanel) -> None:
    assert "nothing yet" in panel._view._still.value
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    assert panel.points.shape == (30, 2)
    assert panel.labels.tolist()[20:] == panel.stage.targets.tolist()
    assert panel._view._still.value.count('class="pt"') == 20
    assert panel._view._moving.value.count('class="pt"') == 10
    assert "30 real" not in panel._view._still.value
    assert "20 real images" in panel._view._still.value
    assert len(panel._view._moving.value) < 60_000
    assert "teacher recognises" in panel.status
    for picture in (panel.picture(), panel.final()):
        assert picture.width > 300
        assert picture.count('class="pt"') == 30
        assert "<image" not in picture
    marks = re.findall(r'<rect x="[^"]+" y="[^"]+" width="9"', panel._view._moving.value)
    assert len(marks) == 10
    assert all(mark in panel.picture() for mark in marks)
    assert not all(mark in panel.final() for mark in marks)


def test_the_map_is_kept_from_run_to_run(panel: EmbeddingPanel) -> None:
    panel.start()
    panel.wait(SOON)
    kept = panel._map
    panel.alpha_bn = 0
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel._map is kept
    assert "r_bn" not in panel.event.metrics


def test_a_point_shows_its_image(panel: EmbeddingPanel) -> None:
    panel.start()
    panel.wait(SOON)
    panel.chosen = 25
    assert "Point 25" in panel._about.value
    assert "condensed, class" in panel._about.value
    assert panel.image_of(25).equal(panel.stage.pixels().cpu()[5])
    panel._view._number.value = 3
    assert "real, class" in panel._about.value
    assert panel.image_of(3).equal(panel._map.pixels[3])
    panel.chosen = -1
    assert panel._about.value == ""
    with pytest.raises(ConfigError, match="points 0 to 29, got 30"):
        panel.chosen = 30


def test_colours_tell_class_or_set(panel: EmbeddingPanel) -> None:
    panel.start()
    panel.wait(SOON)
    assert ">ant<" in panel._view._still.value
    panel.colour_by = "set"
    assert ">ant<" not in panel._view._still.value
    assert ">condensed<" in panel._view._still.value
    with pytest.raises(ConfigError, match="class or set"):
        panel.colour_by = "taste"


def test_only_some_of_many_classes(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    panel = EmbeddingPanel(tiny_teacher, tiny_data, CONFIG, per_class=4, max_classes=3, runtime=cpu)
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert set(panel.labels.tolist()) == {0, 1, 2}
    panel.close()


def test_a_group_too_large_is_said_in_the_panel(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    panel = EmbeddingPanel(tiny_teacher, tiny_data, CONFIG.but(ipc=50, group_images=50), runtime=cpu)
    panel.start()
    assert panel.wait(SOON) is State.FAILED
    assert "too many for a live map" in panel.error
    panel.close()
