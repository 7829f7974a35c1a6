"""Explorer and SmallMultiples: choose, open, turn a knob, run again, grow, export; thousands of runs; refusals."""

import csv
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from small_runs import BASE, SPARSE, WARM, key
from widget_tree import inside

from sre2l_core import Teacher
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.presets import repeated
from sre2l_core.runs.store import Store
from sre2l_core.widgets import Explorer, SmallMultiples
from sre2l_core.widgets.exploring.chart import TARGETS
from sre2l_core.worker import State


@pytest.fixture
def panel(store, cpu):
    made = Explorer(store.folder, runtime=cpu)
    yield made
    made.close()


def shown(panel):
    return "\n".join(str(widget.value) for widget in inside(panel) if type(widget).__name__ == "HTML")


def find(panel, css):
    return next(widget for widget in inside(panel) if css in getattr(widget, "_dom_classes", ()))


def test_it_begins_with_the_best_run_open_and_axes_of_what_varies(panel, store):
    best = max(panel.points.points, key=lambda point: point.mean)
    assert panel.opened.name == best.runs[0]
    assert panel.knobs.knob.value in panel.points.varying
    assert panel.knobs.value.value
    choosers = panel._chart.choosers
    assert set(choosers["x"].options) == {"recover.alpha_bn", "validate.temperature", "store_labels", "top-1 (%)"}
    assert choosers["y"].value == "top-1 (%)"
    page = shown(panel)
    assert best.runs[0] in page
    assert "Its neighbour: fewest settings differ" in page
    assert "BatchNorm mismatch" in page
    assert panel.error == ""
    assert repr(panel) == f"<Explorer of {store.folder}: 3 runs, 3 points>"


def test_choosers_are_attributes_of_the_chart_and_unknown_ones_are_named(panel):
    panel.choose(x="validate.temperature", hue=None, facet="recover.alpha_bn")
    drawing = panel.picture()
    assert "validate.temperature" in drawing
    assert "recover.alpha_bn 0.5" in drawing
    ElementTree.fromstring(drawing)
    with pytest.raises(ConfigError, match=r"Did you mean 'recover\.alpha_bn'"):
        panel.choose(x="recover.alpha_b")
    with pytest.raises(ConfigError, match="unknown chooser"):
        panel.choose(colour="recover.alpha_bn")
    assert panel._chart.quantity("x") == "validate.temperature"
    panel._chart.choosers["y"].value = "recover.alpha_bn"
    assert panel.picture().count("recover.alpha_bn") >= 2  # on the y axis, and a chart for each


def test_a_click_opens_and_the_keyboard_walks(panel, store):
    for number, button in enumerate(panel._chart._spots.buttons):
        button.click()
        (target,) = panel._chart._targets[number]
        assert panel.opened.name in panel.points.points[target].runs
        assert f"point {target}: " in button.tooltip
    for number in range(3):
        panel._chart.number.value = number
        assert panel.opened.name in panel.points.points[number].runs
        assert f"Point {number}, run {panel.opened.name}" in shown(panel)


def test_run_again_with_a_knob_turned_adds_a_point(panel, store, cpu):
    panel.open_run(key(store, BASE)[:8])
    panel.knobs.knob.value = "validate.temperature"
    assert panel.knobs.value.value == str(BASE.validate.temperature)
    panel.knobs.value.value = "3"
    find(panel, "sre-start").click()
    assert panel.wait(60) is State.FINISHED
    assert panel.error == ""
    fresh = BASE.but(validate={"temperature": 3.0})
    assert store.finished(fresh)
    assert panel.opened.name == key(store, fresh)
    assert len(panel.points.points) == 4
    assert "validate" in panel.status
    panel.turn("recover.steps", 3)
    assert (panel.knobs.knob.value, panel.knobs.value.value) == ("recover.steps", "3")
    panel.start()
    panel.wait(60)
    assert len(panel.points.points) == 5
    panel.reset()
    assert "ready" in find(panel, "sre-status").value


def test_the_same_value_finds_the_run(panel, store):
    panel.open_run(key(store, WARM))
    panel.start()
    assert panel.wait(60) is State.FINISHED
    assert (len(panel.points.points), panel.opened.name, panel.error) == (3, key(store, WARM), "")


def test_runs_that_others_made_come_with_refresh(panel, store, cpu):
    for recipe in repeated(BASE.but(recover={"steps": 5}), 1):
        store.make(recipe, runtime=cpu)
    find(panel, "sre-refresh").click()
    assert len(panel.points.points) == 4


@pytest.mark.parametrize("typed", ["two", "-1", "1, 2", "", "[1"])
def test_a_value_that_cannot_be_is_said_and_nothing_runs(panel, store, typed):
    panel.open_run(key(store, BASE))
    panel.knobs.knob.value, panel.knobs.value.value = "recover.alpha_bn", typed
    panel.start()
    panel.wait(60)
    assert panel.state is State.FAILED
    assert "alpha_bn" in panel.error
    assert len(panel.points.runs) == 3
    assert len(list(store.folder.glob("run-*.json"))) == 3


def test_export_writes_what_is_shown(panel, store, tmp_path):
    paths = {kind: panel.export(kind, tmp_path) for kind in ("csv", "tex", "png", "svg")}
    rows = list(csv.DictReader(paths["csv"].read_text(encoding="utf-8").splitlines()))
    assert sorted(float(row["recover.alpha_bn"]) for row in rows) == [0.5, 1.0, 1.0]
    assert paths["tex"].read_text(encoding="utf-8").startswith("\\begin{tabular}")
    assert ElementTree.parse(paths["svg"]).getroot().tag.endswith("svg")
    with Image.open(paths["png"]) as written:
        assert written.width > 500
    with pytest.raises(ConfigError, match="unknown format 'pdf'"):
        panel.export("pdf")
    panel.knobs.format.value = "svg"
    find(panel, "sre-export").click()
    assert (store.folder / "explorer.svg").exists()
    assert "explorer.svg" in panel.knobs.said.value


def test_images_of_several_values_grow_at_the_same_time(panel, store):
    panel.open_run(key(store, BASE))
    panel.knobs.knob.value, panel.knobs.value.value = "recover.alpha_bn", "0, 1, 10"
    find(panel, "sre-grow").click()
    (grown,) = panel._grown.children
    assert grown.wait(60) is State.FINISHED
    assert grown.titles == ["alpha_bn 0", "alpha_bn 1", "alpha_bn 10"]
    panel.knobs.knob.value, panel.knobs.value.value = "validate.temperature", "1, 2"
    find(panel, "sre-grow").click()
    assert "choose a setting of it, such as recover.alpha_bn" in panel.knobs.said.value
    assert panel._grown.children == (grown,)


def test_small_multiples_start_from_the_same_noise_and_differ_in_the_end(store, cpu):
    teacher = Teacher.load(store.places(BASE).teacher)
    panel = SmallMultiples(teacher, BASE.recover, {"alpha_bn": [0, 1], "crop": ["resized", "none"]}, runtime=cpu)
    assert panel.titles == [
        "alpha_bn 0, crop resized",
        "alpha_bn 0, crop none",
        "alpha_bn 1, crop resized",
        "alpha_bn 1, crop none",
    ]
    assert panel.picture() is None
    panel.start()
    assert panel.wait(60) is State.FINISHED
    pixels = [recovery.pixels() for recovery in panel.stage.recoveries.values()]
    assert not any((one != other).sum() == 0 for one, other in pairwise(pixels))
    assert panel._view.value.count("<img") == 4
    assert panel.picture().width > 100
    panel.close()


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({}, "from 2 to 24 settings"),
        ({"alpha_bn": [1]}, "from 2 to 24 settings"),
        ({"alpha_bn": range(25)}, "from 2 to 24 settings"),
        ({"seed": [1, 2]}, "seed cannot differ"),
        ({"alpha_nb": [1, 2]}, "Did you mean 'alpha_bn'"),
        ({"alpha_bn": [-1, 2]}, "alpha_bn"),
    ],
)
def test_grids_that_cannot_grow_are_refused(grid, told, store, cpu):
    with pytest.raises(ConfigError, match=told):
        SmallMultiples(Teacher.load(store.places(BASE).teacher), BASE.recover, grid, runtime=cpu)


def test_a_folder_without_runs_is_refused_and_an_empty_store_is_not(tmp_path, cpu):
    with pytest.raises(ArtifactError, match="holds no runs"):
        Explorer(tmp_path, runtime=cpu)
    Store(tmp_path).begin()
    panel = Explorer(tmp_path, runtime=cpu)
    assert panel.error == ""
    assert "Click a point" in shown(panel)
    with pytest.raises(ConfigError, match="no run is open"):
        _ = panel.opened
    panel.start()
    panel.wait(60)
    assert "no run is open" in panel.error
    panel.close()


def test_a_run_whose_teacher_is_gone_opens_and_says_so(panel, store):
    import shutil

    shutil.rmtree(store.places(SPARSE).teacher)
    panel.open_run(key(store, SPARSE))
    assert "no BatchNorm bars" in shown(panel)
    with pytest.raises(ConfigError, match="unknown run"):
        panel.open_run("nobody")
    with pytest.raises(ConfigError, match="unknown run"):
        panel.open_run("")


def test_three_thousand_runs_are_few_widgets_and_all_can_be_reached(thousands, cpu):
    panel = Explorer(thousands.folder, runtime=cpu)
    assert len(panel.points.points) == 1500
    assert len(panel._chart._spots.buttons) <= TARGETS
    assert sum(1 for _ in inside(panel)) <= TARGETS + 80
    reached = {number for numbers in panel._chart._targets for number in numbers}
    assert reached == set(range(1500))
    assert len(panel._chart._picture.value) < 400_000
    crowd = max(range(len(panel._chart._targets)), key=lambda n: len(panel._chart._targets[n]))
    panel._chart._spots.buttons[crowd].click()
    assert len(panel._chart.here.options) == len(panel._chart._targets[crowd])
    other = panel._chart._targets[crowd][-1]
    panel._chart.here.value = other
    assert panel.opened.name in panel.points.points[other].runs
    panel.close()


def test_nothing_is_left_open(panel):
    panel.close()
    panel.close()
    assert not panel.start()
    assert isinstance(panel.points.folder, Path)
