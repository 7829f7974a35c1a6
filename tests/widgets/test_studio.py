"""Studio without a front end: the map, a close look, students, sessions; and what people press in the wrong order."""

import copy
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from widget_tree import inspected

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.events import in_seconds
from sre2l_core.losses import accuracy
from sre2l_core.presets import Recipe
from sre2l_core.runs import lessons
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.studies.closeup import closeup
from sre2l_core.studies.live_map import ITERATIONS, LAST_ITERATIONS, LiveMap
from sre2l_core.widgets import Studio
from sre2l_core.widgets.base.status import Pace
from sre2l_core.worker import State

SOON = 60.0
RECIPE = Recipe().but(
    recover={"steps": 30, "flip": 0, "crop_scale": (0.5, 1.0), "ipc": 3},
    validate={"students": ("convnet",), "student_options": {"width": 4, "depth": 1}, "epochs": 2, "seeds": 2},
    relabel={"batch_size": 5},
)


@pytest.fixture
def studio(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tiny_teacher, tiny_data, RECIPE, per_class=4, runtime=cpu, folder=tmp_path)
    yield studio
    studio.close()


@pytest.fixture
def done(studio: Studio) -> Studio:
    studio.start()
    assert studio.wait(SOON) is State.FINISHED
    assert studio.error == ""
    return studio


def test_a_click_on_an_image_opens_it_and_chooses_its_square(done: Studio) -> None:
    assert inspected(done) == ""
    done._view._spots.buttons[3].click()
    assert done.watched == 3
    assert done.map.chosen == 20 + 3
    assert "Image 4, class dog" in inspected(done)
    for words in ("What the teacher sees", "Nearest real images", "How it came about", "step 0", "step 30"):
        assert words in inspected(done)
    assert "sre-chosen" in done._view._spots.buttons[3]._dom_classes
    assert "sre-chosen" in done.map._squares.buttons[3]._dom_classes


def test_the_memory_in_use_is_shown(done: Studio) -> None:
    assert "MiB" in done.status
    done._pick(2)
    assert "MiB" in done.status


def test_a_click_on_a_square_opens_its_image(done: Studio) -> None:
    done.map._squares.buttons[1].click()
    assert done.watched == 1
    assert "Image 2, class bee" in inspected(done)
    assert "sre-chosen" in done._view._spots.buttons[1]._dom_classes
    done.map.chosen = -1
    assert inspected(done) == ""


def test_a_real_image_is_looked_at_as_well(done: Studio) -> None:
    done.map.chosen = 2
    assert "Point 2: real, class" in inspected(done)
    assert "How it came about" not in inspected(done)
    with_overlay = inspected(done)
    done._inspector.overlay.value = False
    assert inspected(done) != with_overlay


def test_clicks_before_the_first_run_do_no_harm(studio: Studio) -> None:
    studio._view._spots.buttons[2].click()
    assert studio.watched == 2
    assert studio.error == ""
    studio.bench.start()
    studio.bench.wait(SOON)
    assert studio.bench.state is State.FAILED
    assert "press Start" in studio.bench.error
    assert studio.error == ""


def test_students_are_trained_on_what_is_there_and_tries_stay(done: Studio) -> None:
    for temperature in (1.0, 20.0):
        done.bench.temperature = temperature
        done.bench.start()
        assert done.bench.wait(SOON) is State.FINISHED
        assert done.bench.error == ""
    first, second = done.bench.trials
    assert (first.temperature, second.temperature) == (1.0, 20.0)
    assert first.count == 5
    assert len(first.condensed) == len(first.random) == 2
    assert first.difference.mean == pytest.approx(np.mean(np.subtract(first.condensed, first.random)))
    assert "step 30, α_BN 1, crop 0.5–1" in done.bench._table.value
    assert done.bench._table.value.count("<tr>") == 3
    assert done.bench.start_button.description == "Train a student on this"


def test_students_may_be_trained_while_images_are_recovered(studio: Studio) -> None:
    studio.steps = 100_000
    studio.start()
    deadline = time.monotonic() + SOON
    while studio.event is None and time.monotonic() < deadline:
        time.sleep(0.01)
    studio.bench.start()
    assert studio.bench.wait(SOON) is State.FINISHED
    assert studio.busy, studio.run.traceback
    assert len(studio.bench.trials) == 1
    studio.stop()
    assert studio.wait(SOON) is State.STOPPED


def test_the_map_follows_the_timeline(done: Studio) -> None:
    last = done.map._moving.value
    done._timeline.slider.value = 0
    assert done.map._moving.value != last
    assert len(done.map.moment.points) == 5
    done._timeline.slider.value = done._timeline.slider.max
    assert done.map._moving.value == last


def test_a_session_opens_again_with_the_same_pixels(studio: Studio, tmp_path: Path) -> None:
    studio.steps = 100_000
    studio.start()
    deadline = time.monotonic() + SOON
    for setting in ({"alpha_bn": 0.1}, {"crop_scale": (0.3, 0.6), "lr": 0.05}):
        begun = studio.event.step if studio.event else 0
        while (studio.event.step if studio.event else 0) < begun + 4 and time.monotonic() < deadline:
            time.sleep(0.002)
        studio.change(**setting)
    studio.pause()
    while studio.state is not State.PAUSED and time.monotonic() < deadline:
        time.sleep(0.01)
    studio.export()
    pixels, steps = studio.recovery.pixels(), studio.event.step
    with pytest.raises(ConfigError, match="stop the recovery first"):
        studio.open_session()
    studio.stop()
    studio.wait(SOON)
    studio.change(alpha_bn=1.0, crop_scale=(0.9, 1.0), steps=7)
    assert studio.open_session(tmp_path)
    while studio.state is not State.PAUSED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert studio.event.step == steps
    assert studio.steps == 100_000
    assert torch.equal(studio.recovery.pixels(), pixels)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "press Export first"),
        ("", "cannot be read"),
        ("[1]", "not the session of one recovery"),
        ('{"teacher": 1}', "not the session of one recovery"),
    ],
)
def test_what_is_no_session_is_refused(studio: Studio, tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "session.json").write_text(content)
    with pytest.raises(ArtifactError, match=said):
        studio.open_session()
    assert studio.state is State.IDLE


def test_a_session_of_another_teacher_is_refused(done: Studio, tmp_path: Path) -> None:
    done.export()
    log = json.loads((tmp_path / "session.json").read_text())
    (tmp_path / "session.json").write_text(json.dumps({**log, "teacher": "another"}))
    with pytest.raises(ConfigError, match="another"):
        done.open_session()


def test_what_was_saved_is_what_the_lessons_open(done: Studio, tiny_teacher: Teacher, cpu: Runtime) -> None:
    folder, said = done.save(), list[str]()
    config = RECIPE.recover.but(ipc=1, steps=1)
    found = lessons.images_for(tiny_teacher, config, runtime=cpu, saved=folder, say=said.append)
    assert found.id == CondensedSet.load(folder).id
    assert str(folder) in said[0]
    other = replace(tiny_teacher, net=copy.deepcopy(tiny_teacher.net))
    with torch.no_grad():
        next(other.net.parameters()).add_(1)
    fresh = lessons.images_for(other, config, runtime=cpu, saved=folder, say=said.append)
    assert fresh.origin["teacher"] == other.id
    assert "another teacher" in said[1]
    none = lessons.images_for(tiny_teacher, config, runtime=cpu, saved=folder / "nowhere", say=said.append)
    assert none.id != found.id
    assert len(said) == 2


def test_saliency_is_the_gradient_of_the_cross_entropy(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    pixels, label = tiny_data.val.take(torch.tensor([3]))[0], int(tiny_data.val.labels[3])
    seen = closeup(tiny_teacher, pixels, label, runtime=cpu)
    image = tiny_teacher.spec.normalize(pixels[None])
    probabilities = tiny_teacher.net(image).softmax(1)[0]
    torch.testing.assert_close(seen.probabilities, probabilities.detach())
    net, step, found = copy.deepcopy(tiny_teacher.net).double(), 1e-5, torch.zeros(8, 8)
    with torch.no_grad():  # central differences, pixel by pixel
        for channel, row, column in np.ndindex(3, 8, 8):
            moved = image.double().repeat(2, 1, 1, 1)
            moved[0, channel, row, column] += step
            moved[1, channel, row, column] -= step
            up, down = -net(moved).log_softmax(1)[:, label]
            found[row, column] = max(found[row, column], abs(float(up - down)) / (2 * step))
    torch.testing.assert_close(seen.saliency, found / found.max(), atol=1e-3, rtol=0)
    assert seen.likeliest(3)[0][1] == float(probabilities.max())
    assert label in [index for index, _ in seen.likeliest(1)]


def test_a_point_that_was_left_behind_finds_home(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime) -> None:
    config = RecoverConfig(ipc=2, group_images=2, steps=80, flip=0)
    live = LiveMap(tiny_teacher, tiny_data, per_class=5, runtime=cpu)
    recovery = Recovery(tiny_teacher, plan(config, tiny_teacher.spec), config, runtime=cpu)
    for _ in recovery:
        pass
    live.place(recovery.images, LAST_ITERATIONS)
    real = len(live)
    assert accuracy(recovery.predict(), recovery.targets) == 1
    live._live.coordinates[real:] = live._live.coordinates[real:][::-1].copy()  # each in another's place
    live.place(recovery.images, ITERATIONS)
    centres = np.stack([live.real[(live.labels == label).numpy()].mean(0) for label in range(5)])
    nearest = ((live.moving[:, None] - centres) ** 2).sum(2).argmin(1)
    assert (nearest == recovery.targets.numpy()).mean() >= 0.9


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0081, "8.1 ms"), (0.25, "0.25 s"), (12.3, "12 s"), (59.7, "1 min 0 s"), (3723, "1 h 2 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_seconds(seconds) == words


def test_the_pace_is_that_of_the_present_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace()
    assert pace.words(10, 100) == ""
    now[0] = 4.0
    assert pace.words(30, 100) == " · 0.2 s a step, 14 s left"
    assert pace.forget() == ""
    now[0] = 1000.0  # after a long pause
    assert pace.words(31, 100) == ""
    now[0] = 1002.0
    assert pace.words(41, 100) == " · 0.2 s a step, 12 s left"
