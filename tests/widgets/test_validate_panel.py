"""ValidatePanel without a front end: the same numbers as `validate`, all settings side by side."""

from collections.abc import Iterator
from functools import partial

import pytest
import waiting

from sre2l_core import LiveLabels, relabel, validate
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.runtime import Runtime
from sre2l_core.stages.rows import grid
from sre2l_core.stages.students_by_workers import Materials
from sre2l_core.studies.classroom import Classroom
from sre2l_core.widgets import ValidatePanel
from sre2l_core.worker import State

CONFIG = ValidateConfig(
    students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=4, batch_size=6, optimizer="adamw", lr=0.01,
    temperature=4.0, seeds=2, against=("random", "full"), eval_every=1,
)  # fmt: skip
SOON = 60.0
until = partial(waiting.until, within=SOON)


@pytest.fixture
def labels(tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime) -> LiveLabels:
    return LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(crop_scale=(0.5, 1.0)), runtime=cpu)


@pytest.fixture
def panel(
    tiny_condensed: CondensedSet, labels: LiveLabels, tiny_data: Dataset, tiny_teacher: Teacher, cpu: Runtime
) -> Iterator[ValidatePanel]:
    panel = ValidatePanel(tiny_condensed, labels, tiny_data, CONFIG, teacher=tiny_teacher, runtime=cpu)
    yield panel
    panel.close()


def test_the_table_is_that_of_validate(
    panel: ValidatePanel, tiny_condensed: CondensedSet, labels: LiveLabels, tiny_data: Dataset, tiny_teacher: Teacher,
    cpu: Runtime,
) -> None:  # fmt: skip
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    expected = validate(tiny_condensed, labels, tiny_data, CONFIG, teacher=tiny_teacher, runtime=cpu)
    found = {(row.data, row.labels.split(",")[0]): (row.last, row.best, row.images) for row in panel.score.rows}
    assert found == {(row.data, row.labels): (row.last, row.best, row.images) for row in expected.rows}
    assert {row.steps for row in panel.score.rows} == {8}


def test_every_student_of_the_config_is_compared_and_scores_as_in_validate(
    tiny_condensed: CondensedSet, labels: LiveLabels, tiny_data: Dataset, tiny_teacher: Teacher, cpu: Runtime
) -> None:
    config = CONFIG.but(students=("convnet", "resnet10"), student_options={"width": 8}, epochs=2, seeds=2)
    more = {"teacher": tiny_teacher, "runtime": cpu}
    panel = ValidatePanel(tiny_condensed, labels, tiny_data, config, **more, name="two students")
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    expected = validate(tiny_condensed, labels, tiny_data, config, **more)
    rows = grid(tiny_condensed, labels, tiny_data, config, **more)
    assert panel.score.rows == expected.rows
    assert [(row.data, row.labels, row.student) for row in panel.score.rows] == [
        (row.images, row.labels, row.student) for row in rows
    ]
    assert {row.student for row in panel.score.rows} == {"convnet", "resnet10"}
    assert len(panel._frame.curves) == len(rows) == 10
    panel.close()


def test_shows_curves_table_and_classes(panel: ValidatePanel) -> None:
    panel.start()
    panel.wait(SOON)
    assert panel._html["curves"].value.count("<polyline") >= 4 * 3  # of two seeds and their mean
    assert panel._html["table"].value.count("2/2") == 5
    assert panel._html["classes"].value.count("<circle") > 5
    assert set(panel.by_class) == {row["name"] for row in panel._frame.rows}
    for name, row in zip(panel.by_class, panel.score.rows, strict=True):
        assert float(panel.by_class[name].mean()) == pytest.approx(row.mean_std()[0])  # classes are of one size
    picture = panel.picture()
    assert picture.width > 300
    for name in ("curves", "classes"):
        assert panel._views[name].drawings in panel._html[name].value
        assert panel._views[name].drawings.body in picture
    for row in panel._frame.rows:
        assert f"{row['name']}: {row['mean']:.1f} ± {row['std']:.1f} %, 2/2 done" in picture


def test_each_temperature_is_a_setting(
    tiny_condensed: CondensedSet, labels: LiveLabels, tiny_data: Dataset, cpu: Runtime
) -> None:
    config = CONFIG.but(against=(), hard_labels=False, seeds=1)
    rows = grid(tiny_condensed, labels, tiny_data, config, temperatures=(1, 4), runtime=cpu)
    assert [row.name for row in rows] == ["condensed + soft, T = 1", "condensed + soft, T = 4"]
    assert [row.config.temperature for row in rows] == [1, 4]


def test_students_learn_in_turns(tiny_condensed: CondensedSet, labels: LiveLabels, tiny_data: Dataset) -> None:
    config = CONFIG.but(against=(), seeds=1)
    room = Classroom(Materials(tiny_condensed, labels, tiny_data, config, None))
    notes = [event.note.split(",")[0] for event in room]
    assert notes[:4] == ["condensed + soft"] * 2 + ["condensed + hard"] * 2
    assert len(notes) == room.total == 16


def test_a_half_finished_race_keeps_what_it_has(panel: ValidatePanel) -> None:
    panel.change(epochs=500, seeds=1)
    panel.start()
    until(lambda: panel._frame is not None and panel._frame.rows[0]["mean"] is not None)
    panel.stop()
    assert panel.wait(SOON) is State.STOPPED
    assert panel.score.rows == ()
    assert panel._frame.rows[0]["mean"] is not None


def test_too_few_stored_labels_are_said_in_the_panel(
    tiny_condensed: CondensedSet, tiny_data: Dataset, tiny_teacher: Teacher, cpu: Runtime
) -> None:
    stored = relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=2), runtime=cpu)
    panel = ValidatePanel(tiny_condensed, stored, tiny_data, CONFIG.but(against=()), runtime=cpu)
    panel.start()
    assert panel.wait(SOON) is State.FAILED
    assert "labels for 2" in panel.error
    panel.close()
