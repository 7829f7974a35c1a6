"""PipelinePanel and its workbench: what is fresh, what a change makes stale, running from a stage on."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import waiting

from sre2l_core import presets
from sre2l_core.data import Dataset, load
from sre2l_core.errors import ConfigError
from sre2l_core.presets import Recipe
from sre2l_core.runs.workbench import STAGES, Workbench
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import PipelinePanel
from sre2l_core.worker import State

SOON = 60.0
until = partial(waiting.until, within=SOON)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    small = presets.get("digits/smoke")
    return replace(small, validate=small.validate.but(against=(), hard_labels=False, seeds=1))


@pytest.fixture
def bench(recipe: Recipe, cpu: Runtime) -> Workbench:
    return Workbench(recipe, runtime=cpu)


@pytest.fixture
def panel(recipe: Recipe, cpu: Runtime) -> Iterator[PipelinePanel]:
    panel = PipelinePanel(recipe, runtime=cpu)
    yield panel
    panel.close()


def states(bench: Workbench) -> list[str]:
    return [bench.freshness(stage).value for stage in STAGES]


def test_a_change_makes_everything_after_it_stale_and_undoing_it_fresh(bench: Workbench) -> None:
    assert states(bench) == ["missing"] * 4
    events = list(bench.run_from("squeeze"))
    assert list(dict.fromkeys(event.stage for event in events)) == list(STAGES)
    assert states(bench) == ["fresh"] * 4
    before = bench.recipe.recover.alpha_bn
    bench.change("recover", alpha_bn=3)
    assert states(bench) == ["fresh", "stale", "stale", "stale"]
    assert bench.why("recover") == f"alpha_bn was {before:g}"
    assert bench.why("relabel") == "recover is not fresh"
    assert bench.first_needed() == "recover"
    bench.change("recover", alpha_bn=before)
    assert states(bench) == ["fresh"] * 4
    assert bench.why("recover") == ""
    assert bench.first_needed() is None


def test_running_from_a_stage_keeps_what_came_before(bench: Workbench) -> None:
    list(bench.run_from("squeeze"))
    teacher, condensed = bench.artifact("squeeze"), bench.artifact("recover")
    bench.change("relabel", flip=0.5)
    list(bench.run_from("relabel"))
    assert bench.artifact("squeeze") is teacher
    assert bench.artifact("recover") is condensed
    assert states(bench) == ["fresh"] * 4
    bench.change("squeeze", lr=0.01)
    with pytest.raises(ConfigError, match=r"validate needs a fresh soft labels.*run from squeeze on"):
        bench.run_from("validate")
    for _ in bench.run_from("squeeze"):
        pass
    assert bench.artifact("squeeze") is not teacher


def test_settings_that_are_put_back_bring_back_what_was_made_from_them(bench: Workbench) -> None:
    list(bench.run_from("squeeze"))
    made = [bench.artifact(stage) for stage in STAGES]
    for alpha_bn in (0, 3):
        bench.change("recover", alpha_bn=alpha_bn)
        list(bench.run_from("recover"))
        assert bench.artifact("validate") is not made[3]
    bench.change("recover", alpha_bn=presets.get("digits/smoke").recover.alpha_bn)
    assert states(bench) == ["fresh"] * 4
    assert all(bench.artifact(stage) is one for stage, one in zip(STAGES, made, strict=True))
    bench.change("recover", alpha_bn=0.5)
    assert states(bench) == ["fresh", "stale", "stale", "stale"]


def test_an_older_artifact_before_it_makes_it_stale(bench: Workbench) -> None:
    list(bench.run_from("squeeze"))
    events = bench.run_from("recover")
    for event in events:
        if event.stage == "relabel":
            break
    events.close()
    assert states(bench) == ["fresh", "fresh", "stale", "stale"]
    assert bench.why("relabel") == "made before the present condensed set"


def test_settings_that_do_not_fit_are_refused(bench: Workbench) -> None:
    before = bench.recipe
    with pytest.raises(ConfigError, match="alpha_bn"):
        bench.change("recover", alpha_bn=-1)
    with pytest.raises(ConfigError, match="epochs"):
        bench.change("validate", epochs=50)  # more than there are stored labels
    with pytest.raises(ConfigError, match="squeeze"):
        bench.change("sqeeze", lr=1)
    assert bench.recipe is before


def test_buttons_and_controls_do_what_methods_do(panel: PipelinePanel) -> None:
    assert "missing" in panel._cards["squeeze"].value
    assert panel.run_buttons["recover"].disabled
    panel.start_button.click()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    assert states(panel.bench) == ["fresh"] * 4
    panel.editors["recover", "steps"].value = 6
    assert panel.bench.recipe.recover.steps == 6
    assert [row[2] for row in panel.table()] == ["fresh", "stale", "stale", "stale"]
    assert "stale" in panel._cards["validate"].value
    assert "steps was 4" in panel._cards["recover"].value
    assert panel.run_buttons["validate"].disabled
    panel.run_buttons["recover"].click()
    assert panel.wait(SOON) is State.FINISHED
    assert states(panel.bench) == ["fresh"] * 4
    panel.change_stage("recover", steps=5)
    assert panel.editors["recover", "steps"].value == 5
    picture = panel.picture()
    assert picture.width > 300
    assert [picture.count(f">{word}<") for word in ("✓ fresh", "↻ stale", "○ missing")] == [1, 3, 0]
    assert all(panel._card(stage) == panel._cards[stage].value for stage in STAGES)
    assert all(panel._card(stage).body in picture for stage in STAGES)


def test_a_refused_setting_goes_back_and_says_why(panel: PipelinePanel) -> None:
    panel.editors["validate", "epochs"].value = 50
    assert "labels" in panel.error
    assert panel.editors["validate", "epochs"].value == panel.bench.recipe.validate.epochs == 2


def test_stop_keeps_the_stages_that_are_done(panel: PipelinePanel) -> None:
    panel.change_stage("recover", steps=100_000)
    panel.start()
    until(lambda: panel.event is not None and panel.event.stage == "recover")
    panel.stop()
    assert panel.wait(SOON) is State.STOPPED
    assert states(panel.bench) == ["fresh", "missing", "missing", "missing"]


def test_data_may_be_given(tiny_data: Dataset, recipe: Recipe, cpu: Runtime) -> None:
    assert Workbench(recipe, data=tiny_data, runtime=cpu).data is tiny_data


def test_what_the_loader_left_out_is_shown_as_text(recipe: Recipe, cpu: Runtime) -> None:
    data = replace(load("digits", resolution=8), notes=("left out: 2 <b>gif</b> files",))
    panel = PipelinePanel(recipe, data=data, runtime=cpu)
    assert "left out: 2 &lt;b&gt;gif&lt;/b&gt; files" in panel._numbers.value
    panel.close()
