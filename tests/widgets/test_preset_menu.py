"""PresetMenu, alone and in the studio: sessions from presets, questions before a loss, and what goes wrong."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import stand_ins
import torch
import waiting

from sre2l_core import presets
from sre2l_core.artifacts import Teacher
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.presets import Recipe
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import Studio
from sre2l_core.widgets.preset_menu import BEGIN, SURE, PresetMenu
from sre2l_core.worker import State

SOON = 60.0
until = partial(waiting.until, within=SOON)
RECIPE = Recipe().but(
    recover={"steps": 6, "flip": 0, "crop_scale": (0.5, 1.0), "ipc": 3},
    validate={"students": ("convnet",), "student_options": {"width": 4, "depth": 1}, "epochs": 1, "seeds": 1},
)
SMALL = "digits/smoke"
Begun = list[tuple[Recipe, Dataset, Teacher]]


@pytest.fixture
def begun() -> Begun:
    return []


@pytest.fixture
def menu(cpu: Runtime, begun: Begun) -> Iterator[PresetMenu]:
    made = PresetMenu(lambda *one: begun.append(one), lambda: False, runtime=cpu, name="test presets")
    yield made
    made.close()


@pytest.fixture
def studio(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tiny_teacher, tiny_data, RECIPE, per_class=4, runtime=cpu, folder=tmp_path)
    yield studio
    studio.close()


def test_every_preset_is_there_and_described(menu: PresetMenu) -> None:
    assert set(menu.choice.options) == set(presets.PRESETS)
    assert "scikit-learn" in menu._about.value
    for name in menu.choice.options:
        menu.choice.value = name
        assert f"{presets.get(name).recover.steps:,} steps" in menu._about.value


def test_a_preset_gets_its_data_and_its_teacher_once(menu: PresetMenu, begun: Begun) -> None:
    for _ in range(2):
        assert menu.begin(SMALL)
        assert menu.wait(SOON) is State.FINISHED
        assert menu.error == ""
    (recipe, data, teacher), second = begun
    assert recipe == presets.get(SMALL)
    assert data.spec.num_classes == 2
    assert teacher.spec == data.spec
    assert second[2] is teacher, "squeezed once"


def test_ones_own_pictures_want_a_folder(menu: PresetMenu, tmp_path: Path) -> None:
    menu.choice.value = "folder"
    menu.start_button.click()
    assert "say where they are" in menu.error
    menu.folder.value = str(tmp_path / "nowhere")
    menu.start_button.click()
    assert menu.wait(SOON) is State.FAILED
    assert "does not exist" in menu.error
    stand_ins.write_pictures(tmp_path / "mine", {"cat": 4, "dog": 4})
    menu._recipe = None
    with pytest.raises(ConfigError, match="unknown preset"):
        menu.begin("digist")
    assert menu.begin("folder", tmp_path / "mine")
    menu.stop()
    assert menu.wait(SOON) is State.STOPPED
    assert menu.error == ""


def test_a_session_begins_in_the_studio(studio: Studio) -> None:
    studio.start()
    studio.wait(SOON)
    studio.bench.start()
    studio.bench.wait(SOON)
    studio._pick(1)
    studio.presets.begin(SMALL)
    assert studio.presets.wait(SOON) is State.FINISHED
    assert studio.wait(SOON) is State.FINISHED
    assert studio.error == studio.presets.error == studio.bench.error == ""
    assert studio.teacher.spec.name == "digits"
    assert studio.config.steps == presets.get(SMALL).recover.steps
    assert studio.condensed().spec == studio.bench.teacher.spec == studio.map.spec
    assert studio._inspector.layout.display == "none"
    assert studio.map.chosen == -1
    studio.bench.start()
    studio.bench.wait(SOON)
    assert studio.bench.error == ""
    assert [trial.images.split(",")[0] for trial in studio.bench.trials] == ["tiny", "digits"]


def test_it_takes_the_place_of_a_run(studio: Studio) -> None:
    studio.steps = 1_000_000
    studio.start()
    studio.presets.begin(SMALL)
    studio.presets.wait(SOON)
    assert studio.wait(SOON) is State.FINISHED
    assert (studio.teacher.spec.name, studio.event.total) == ("digits", presets.get(SMALL).recover.steps)


def test_it_asks_before_images_are_lost(studio: Studio) -> None:
    menu = studio.presets
    menu.choice.options = [SMALL]
    assert not studio.unsaved
    studio.start()
    studio.wait(SOON)
    assert studio.unsaved
    menu.start_button.click()
    assert menu.state is State.IDLE
    assert "not saved" in menu._said.value
    assert menu.start_button.description == SURE
    studio.save()
    assert not studio.unsaved
    menu.start_button.click()
    menu.wait(SOON)
    studio.wait(SOON)
    assert studio.teacher.spec.name == "digits"
    assert menu._said.value == ""
    assert menu.start_button.description == BEGIN
    studio.export()
    assert not studio.unsaved


def test_a_question_is_forgotten_when_another_preset_is_looked_at(studio: Studio) -> None:
    studio.start()
    studio.wait(SOON)
    studio.presets.start_button.click()
    assert studio.presets.start_button.description == SURE
    studio.presets.choice.value = "drawings"
    assert studio.presets.start_button.description == BEGIN


def test_a_saved_set_is_a_session_too(studio: Studio, tmp_path: Path) -> None:
    studio.steps = 1_000_000
    studio.start()
    until(lambda: studio.event is not None and studio.event.step >= 5)
    studio.change(alpha_bn=0.0)
    until(lambda: studio.event.step >= 20)
    studio.stop()
    studio.wait(SOON)
    made = studio.condensed()
    studio.save()
    assert not (tmp_path / "session.json").exists()
    studio.reset()
    assert studio.open_session()
    until(lambda: studio.state is State.PAUSED)
    assert torch.equal(studio.condensed().images, made.images)
    assert "condensed runs again" in studio.kept.said.value
    studio.stop()
    studio.wait(SOON)
