"""ContinualPanel without a front end: the numbers of `learn`, step by step; what is clicked is shown."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.continual import ContinualConfig, Expert, Learning, forgetting, learn
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.figures.continual import forgetting_view, memory_view
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import ContinualPanel
from sre2l_core.worker import State

VIEWS = RelabelConfig(epochs=2, crop_scale=(0.5, 1.0), flip=0)
STUDENTS = ValidateConfig(
    students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=2, batch_size=4, seeds=2, lr=0.05
)
ORDER = ContinualConfig(steps=2, order=("dog", "bee", "eel", "ant", "cat"))
TITLES = ["condensed, reference's setting", "random real, reference's setting"]


@pytest.fixture
def given(tiny_data: Dataset, tiny_teacher: Teacher, tiny_condensed: CondensedSet) -> tuple:
    return tiny_data, [Expert(tiny_teacher, tiny_condensed)], ORDER, VIEWS, STUDENTS


@pytest.fixture
def panel(given: tuple, cpu: Runtime, tmp_path) -> Iterator[ContinualPanel]:
    data, experts, order, *rest = given
    both = [order, order.but(memory="random")]
    panel = ContinualPanel(
        [Learning(data, experts, one, *rest, runtime=cpu, out=tmp_path / one.memory) for one in both]
    )
    yield panel
    panel.close()


def shown(panel: ContinualPanel, view: str) -> str:
    return panel._html[view].value


def test_a_memory_can_be_looked_at_before_anything_is_learnt(panel: ContinualPanel) -> None:
    assert (panel.step, panel.shown) == (1, TITLES[0])
    assert f"{TITLES[0].replace(chr(39), '&#x27;')}: memory after step 1, 6 images" in shown(panel, "memory")
    assert "2 of dog, 2 of bee, 2 of eel" in shown(panel, "memory")
    assert "of ant" not in shown(panel, "memory")
    panel.steps[1].click()
    assert panel.step == 2
    assert "3 of ant" in shown(panel, "memory")
    assert "appears when the students of this step are done" in shown(panel, "confusion")
    with pytest.raises(RuntimeError, match="nothing to tabulate yet: start the panel first"):
        panel.tables()


def test_it_plays_all_curves_and_a_click_shows_a_step(panel: ContinualPanel, given: tuple, cpu: Runtime) -> None:
    expected = learn(*given, runtime=cpu)
    panel.start()
    assert panel.wait(60) is State.FINISHED
    assert panel.error == ""
    assert list(panel.curves) == TITLES
    assert [point.score.last for point in panel.curves[TITLES[0]]] == [point.score.last for point in expected]
    assert panel.step == 2
    assert all(title.replace("'", "&#x27;") in shown(panel, "curves") for title in TITLES)
    assert 'aria-label="confusion matrix"' in shown(panel, "confusion")
    lost = forgetting(expected)[1]
    assert f"dog {float(lost[3]):.0%}" in shown(panel, "forgetting")
    assert "Mean of 3 classes" in shown(panel, "forgetting")
    at = re.findall(r'<line x1="([\d.]+)"[^>]*sre-cursor', shown(panel, "curves"))
    panel.steps[0].click()
    assert panel.step == 1
    assert re.findall(r'<line x1="([\d.]+)"[^>]*sre-cursor', shown(panel, "curves")) != at
    assert "No class has been tested before" in shown(panel, "forgetting")
    assert [("sre-chosen" in button._dom_classes) for button in panel.steps] == [True, False]
    panel.shown = TITLES[1]
    assert "random real" in shown(panel, "memory")
    accuracy, by_class = panel.tables()["continual"], panel.tables()["forgetting"]
    assert list(accuracy.head[1:]) == ["3 classes", "5 classes"]
    assert [row[0] for row in accuracy.rows] == TITLES
    assert [row[0] for row in by_class.rows] == ["dog", "bee", "eel", "ant", "cat"]
    assert by_class.rows[0][1] == f"{100 * float(lost[3]):.1f}"
    assert by_class.rows[4][1] == "–"
    assert "Class-incremental learning" in panel.picture()


def test_what_lies_in_folders_is_found_at_once_and_can_be_played_again(panel: ContinualPanel) -> None:
    panel.start()
    panel.wait(60)
    before, events = panel.curves, []
    panel.reset()
    assert panel.curves == {title: [] for title in TITLES}
    panel.record = events.append
    panel.start()
    assert panel.wait(60) is State.FINISHED
    assert panel.curves == before
    assert len(events) == 1


def test_a_step_that_is_not_there_or_a_memory_of_another_name_is_refused(panel: ContinualPanel) -> None:
    for number in (0, 3, -1):
        with pytest.raises(ConfigError, match=f"classes arrive in 2 steps: there is no step {number}"):
            panel.step = number
    with pytest.raises(ConfigError, match=r"unknown memory 'condensed'\. Did you mean"):
        panel.shown = "condensed"
    assert (panel.step, panel.shown) == (1, TITLES[0])


def test_curves_that_cannot_be_compared_are_refused(given: tuple, cpu: Runtime) -> None:
    data, experts, order, *rest = given
    one, other, third = (
        Learning(data, experts, config, *rest, runtime=cpu)
        for config in (order, order.but(memory="random", steps=3), order.but(seed=1))
    )
    with pytest.raises(ConfigError, match=r"differ in memory or setting \(got none"):
        ContinualPanel([])
    with pytest.raises(ConfigError, match=r"differ in memory or setting \(got condensed"):
        ContinualPanel([one, third])
    with pytest.raises(ConfigError, match="the same order of classes, in the same number of steps"):
        ContinualPanel([one, other])


def test_a_score_of_an_older_version_has_no_matrix_and_the_panel_says_so(panel: ContinualPanel, tmp_path) -> None:
    panel.start()
    panel.wait(60)
    curves = {title: [replace(point, confusion=None) for point in curve] for title, curve in panel.curves.items()}
    panel._frame = panel._frame._replace(curves=curves)
    panel.step = 1
    assert "made before confusion matrices were kept" in shown(panel, "confusion")
    assert list(panel.tables()) == ["continual"]


def test_of_many_classes_the_latest_are_shown_and_the_others_counted(tiny_spec: DatasetSpec) -> None:
    names = tuple(f"class {number}" for number in range(30))
    spec = replace(tiny_spec, classes=names, class_names=names)
    labels = torch.arange(25).repeat_interleave(12)
    images = torch.zeros(len(labels), 3, 8, 8, dtype=torch.uint8)
    view = memory_view(CondensedSet(images, labels, spec), range(30), "all")
    assert view.notes == ("and 5 classes that came before", "the first 10 of each class")
    assert "12 of class 24" in view.drawings.label
    assert "class 25" not in view.drawings.label
    lost = torch.full((30,), torch.nan).double()
    lost[:25] = torch.arange(25).double() / 100
    shown = forgetting_view(lost, names, range(30))
    assert shown.notes == ("Mean of 25 classes: 12.0%.",)
    assert "class 5 5%" in shown.drawings.label
    assert "class 4 " not in shown.drawings.label
