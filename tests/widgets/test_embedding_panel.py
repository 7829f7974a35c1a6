"""EmbeddingPanel without a front end: a still map of real images, moving squares, images of points."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from widget_tree import inside, inspected

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


@pytest.fixture
def done(panel: EmbeddingPanel) -> EmbeddingPanel:
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    return panel


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
    assert "nothing yet" in panel.map._still.value
    assert panel.picture() is None
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    moment = panel.map.moment
    assert moment.places.shape == (30, 2)
    assert moment.labels.tolist()[20:] == panel.stage.targets.tolist()
    assert panel.map._still.value.count('class="pt"') == 20
    assert panel.map._moving.value.count('class="pt"') == 10
    assert "30 real" not in panel.map._still.value
    assert "20 real images" in panel.map._still.value
    assert len(panel.map._moving.value) < 60_000
    assert "teacher recognises" in panel.status
    for picture in (panel.picture(), panel.map.final()):
        assert picture.width > 300
        assert picture.count('class="pt"') == 30
        assert "<image" not in picture
    marks = re.findall(r'<rect x="[^"]+" y="[^"]+" width="9"', panel.map._moving.value)
    assert len(marks) == 10
    assert all(mark in panel.picture() for mark in marks)
    assert not all(mark in panel.map.final() for mark in marks)


def test_the_map_stands_before_the_images_and_few_settings(panel: EmbeddingPanel) -> None:
    assert list(panel.controls) == ["steps", "lr", "alpha_bn", "crop_scale"]
    shown = [one for one in inside(panel) if one in (panel.map, panel._view)]
    assert shown == [panel.map, panel._view]
    assert panel.kept.folder.value.endswith("embedding")  # what the studio saved stays


def test_the_map_is_kept_from_run_to_run(done: EmbeddingPanel) -> None:
    kept = done._live_map
    done.alpha_bn = 0
    done.start()
    assert done.wait(SOON) is State.FINISHED
    assert done._live_map is kept
    assert "r_bn" not in done.event.metrics


def test_a_point_shows_its_image(done: EmbeddingPanel) -> None:
    done.map.chosen = 25
    assert f"Image 6, class {done.names[5]}" in inspected(done)
    assert done.map.moment.image(25).equal(done.stage.pixels().cpu()[5])
    done.map._number.value = 3
    assert "Point 3: real, class" in inspected(done)
    assert done.map.moment.image(3).equal(done._live_map.pixels[3])
    done.map.chosen = -1
    assert inspected(done) == ""
    with pytest.raises(ConfigError, match="points 0 to 29, got 30"):
        done.map.chosen = 30


def test_a_point_is_looked_at_while_images_are_recovered(panel: EmbeddingPanel) -> None:
    seen = list[str]()
    look = panel.show

    def show(frame: object) -> None:
        look(frame)
        if panel.map.chosen < 0:
            panel.map.chosen = 2  # a real one, as a person chooses it between two frames
        seen.append(inspected(panel))

    panel.show = show
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    assert any("Point 2: real, class" in words for words in seen)


def test_colours_tell_class_or_set(done: EmbeddingPanel) -> None:
    assert ">ant<" in done.map._still.value
    done.map.colour_by = "set"
    assert ">ant<" not in done.map._still.value
    assert ">condensed<" in done.map._still.value
    with pytest.raises(ConfigError, match="class or set"):
        done.map.colour_by = "taste"


def test_only_some_of_the_classes(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    config = CONFIG.but(only_classes=tiny_teacher.spec.classes[:3])
    panel = EmbeddingPanel(tiny_teacher, tiny_data, config, per_class=4, runtime=cpu)
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert set(panel.map.moment.labels.tolist()) == {0, 1, 2}
    panel.close()


def test_more_images_than_a_map_holds_are_refused(panel: EmbeddingPanel) -> None:
    with pytest.raises(ConfigError, match="505 images are too many for a live map, which holds 500"):
        panel.change(ipc=101)
    assert panel.config.ipc == 2
