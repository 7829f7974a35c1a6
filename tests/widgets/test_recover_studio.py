"""RecoverStudio and SideBySide without a front end."""

import io
import json
import os
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.figures import colours
from sre2l_core.figures.svg import Drawing
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.stages.recover.replay import replay
from sre2l_core.widgets import RecoverStudio, SideBySide
from sre2l_core.worker import Run, State

CONFIG = RecoverConfig(ipc=1, steps=40, crop_scale=(0.3, 1.0), flip=0)
SOON = 60.0


@pytest.fixture
def studio(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime, tmp_path: Path) -> Iterator[RecoverStudio]:
    studio = RecoverStudio(tiny_teacher, CONFIG, data=tiny_data, runtime=cpu, folder=tmp_path)
    yield studio
    studio.close()


def after(studio: RecoverStudio, step: int) -> None:
    deadline = time.monotonic() + SOON
    while (studio.event is None or studio.event.step < step) and time.monotonic() < deadline:
        time.sleep(0.001)


def retuned(studio: RecoverStudio) -> RecoverStudio:
    """A long run, changed five times while it runs, paused once, and stopped."""
    studio.steps = 100_000
    studio.start()
    after(studio, 3)
    studio.controls["alpha_bn"].set_state({"index": 0})
    studio.crop_scale = (0.5, 0.75)
    after(studio, studio.event.step + 3)
    studio.pause()
    studio.change(lr=0.05, roll=(-1, 1))
    studio.resume()
    after(studio, studio.event.step + 3)
    studio.alpha_tv = 0.001
    after(studio, studio.event.step + 3)
    studio.stop()
    assert studio.wait(SOON) is State.STOPPED
    return studio


def test_shows_the_noise_before_a_run(studio: RecoverStudio, tiny_teacher: Teacher, cpu: Runtime) -> None:
    assert studio.state is State.IDLE
    groups = plan(CONFIG, tiny_teacher.spec)
    start = Recovery(tiny_teacher, groups, CONFIG, runtime=cpu).pixels()
    assert torch.equal(studio._snapshots[0][1], start)
    assert "noise" in studio._view._caption.value
    assert studio.error == ""


def test_recovers_as_without_a_panel(studio: RecoverStudio, tiny_teacher: Teacher, cpu: Runtime) -> None:
    studio.start()
    assert studio.wait(SOON) is State.FINISHED
    plain = replay(tiny_teacher, CONFIG, runtime=cpu)
    assert torch.equal(studio.recovery.pixels(), plain.pixels())
    assert torch.equal(studio.condensed().images, plain.pixels())
    assert studio.error == ""
    for part in ("cross-entropy", "R_BN", "recognises"):
        assert part in studio.status
    assert [step for step, _ in studio.curves["loss"]] == list(range(1, 41))
    assert "Loss by term" in studio._charts.losses.value
    assert "mismatch of 2 layers" in studio._charts.layers.value
    assert "of it." in studio._view.crop_caption.value


def test_changes_are_logged_marked_and_replayed(studio: RecoverStudio, tiny_teacher: Teacher, cpu: Runtime) -> None:
    log = json.loads(json.dumps(retuned(studio).log))
    assert [change["field"] for change in log["changes"]] == ["alpha_bn", "crop_scale", "lr", "roll", "alpha_tv"]
    steps = [change["step"] for change in log["changes"]]
    assert steps == sorted(steps)
    assert steps[0] >= 3
    assert studio._charts.losses.value.count("sre-mark") == 5
    config = RecoverConfig.of(log["config"])
    assert (config.alpha_bn, config.steps) == (1.0, 100_000)
    again = replay(tiny_teacher, config, log["changes"], until=log["steps"], runtime=cpu)
    assert torch.equal(again.pixels(), studio.recovery.pixels())
    without = replay(tiny_teacher, config, until=log["steps"], runtime=cpu)
    assert not torch.equal(without.pixels(), studio.recovery.pixels())


def test_the_frame_shows_the_crop_of_the_last_step(studio: RecoverStudio) -> None:
    studio.watched = 2
    studio.start()
    studio.wait(SOON)
    box = studio.recovery.views(39).box[2].tolist()
    assert f"Image 3 (cat): the last step saw {box[2] * box[3] / 64:.0%}" in studio._view.crop_caption.value


def test_confidences_and_mismatch_are_those_of_the_teacher(studio: RecoverStudio) -> None:
    studio.start()
    studio.wait(SOON)
    probabilities, distances = studio.recovery.measure()
    torch.testing.assert_close(probabilities, studio.recovery.predict())
    assert distances.shape == (2, 1)
    sure = probabilities.gather(1, studio.recovery.targets[:, None])[:, 0].tolist()
    for name, p in zip(("ant", "bee", "cat", "dog", "eel"), sure, strict=True):
        assert f"<title>{name}: {p:.1%}" in studio._view._cells.value


def test_the_timeline_goes_back_and_returns(studio: RecoverStudio) -> None:
    studio.start()
    studio.wait(SOON)
    live = studio._view.image.value
    assert studio._timeline.slider.max == 40
    assert studio._timeline.when.value == "the end, after step 40"
    studio._timeline.slider.set_state({"value": 5})
    assert studio._timeline.when.value == "after step 5"
    assert studio._view.image.value != live
    studio._timeline.slider.set_state({"value": 40})
    assert studio._view.image.value == live


def test_looking_back_is_not_disturbed_by_the_run(studio: RecoverStudio) -> None:
    studio.steps = 6_000
    studio.start()
    while studio._timeline.slider.max < 1:
        after(studio, studio.event.step + 50 if studio.event else 50)
    studio._timeline.slider.set_state({"value": 0})
    shown = studio._view.image.value
    after(studio, studio.event.step + 50)
    time.sleep(0.3)
    assert studio._view.image.value == shown
    assert "after step 0" in studio._timeline.when.value


def test_classes_images_and_starts_are_chosen_between_runs(studio: RecoverStudio) -> None:
    studio.only_classes = ("bee", "dog")
    assert studio._classes.value == ["bee", "dog"]
    studio.ipc = 3
    studio.start()
    assert studio.wait(SOON) is State.FINISHED
    assert studio.condensed().labels.tolist() == [1, 3] * 3
    studio._classes.set_state({"value": ["ant"]})
    assert studio.only_classes == ("ant",)
    studio.init = "real"
    assert "from the data" in studio._view._caption.value
    studio.start()
    assert studio.wait(SOON) is State.FINISHED
    assert studio.condensed().labels.tolist() == [0] * 3
    with pytest.raises(ConfigError, match="at least one"):
        studio.only_classes = ()
    with pytest.raises(ConfigError, match="eel"):
        studio.only_classes = ("eeel",)


def test_an_empty_choice_in_the_browser_is_refused(studio: RecoverStudio) -> None:
    studio._classes.set_state({"value": []})
    assert "at least one class" in studio.error
    assert studio._classes.value == list(studio.only_classes) == ["ant", "bee", "cat", "dog", "eel"]


def test_one_of_several_teachers(tiny_teacher: Teacher, cpu: Runtime) -> None:
    studio = RecoverStudio({"first": tiny_teacher, "second": tiny_teacher}, CONFIG, runtime=cpu)
    assert studio.controls["init"].options == ("noise",)
    studio._teacher.set_state({"index": 1})
    assert studio._chosen == "second"
    with pytest.raises(ConfigError, match="second"):
        studio.teacher = "secnd"
    studio.close()


def test_saves_a_condensed_set_with_its_history(studio: RecoverStudio) -> None:
    folder = retuned(studio).save()
    loaded = CondensedSet.load(folder)
    assert torch.equal(loaded.images, studio.recovery.pixels())
    assert loaded.origin["changes"] == studio.log["changes"]
    assert str(folder) in studio.kept.said.value


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_exports_the_session_and_an_animation(studio: RecoverStudio, tmp_path: Path, kind: str) -> None:
    studio.start()
    studio.wait(SOON)
    studio.export(tmp_path, kind)
    assert json.loads((tmp_path / "session.json").read_text()) == json.loads(json.dumps(studio.log))
    with Image.open(tmp_path / f"session.{kind}") as animation:
        assert animation.n_frames == 41
        assert animation.size == studio.snapshot().size


def test_nothing_to_save_yet_is_said(studio: RecoverStudio) -> None:
    studio._guarded(studio.save)
    assert "press Start" in studio.error


def test_frames_are_small(studio: RecoverStudio) -> None:
    studio.ipc = 10
    studio.start()
    studio.wait(SOON)
    assert len(studio._view.image.value) <= 60_000
    for part in (studio._charts.losses, studio._charts.layers, studio._view._cells):
        assert len(part.value) <= 20_000


def test_the_static_picture_is_the_last_frame(studio: RecoverStudio) -> None:
    studio.start()
    studio.wait(SOON)
    still = studio.snapshot()
    assert "image/png" in studio._repr_mimebundle_()
    small = still.resize((5 * 9 - 1, 8), Image.Resampling.NEAREST).crop((0, 0, 8, 8)).convert("RGB")
    expected = studio.recovery.pixels()[0].permute(1, 2, 0).contiguous().numpy().tobytes()
    assert small.tobytes() == expected
    assert Image.open(io.BytesIO(studio._view.image.value)).convert("RGB").crop((0, 0, 8, 8)).tobytes() == expected


def test_side_by_side_starts_from_the_same_noise_and_differs_in_one_setting(
    tiny_teacher: Teacher, cpu: Runtime
) -> None:
    pair = SideBySide(tiny_teacher, CONFIG, {"crop": "none"}, names=("crops", "whole"), runtime=cpu)
    pair.start()
    assert pair.wait(SOON) is State.FINISHED
    assert pair.error == ""
    for side, config in (("left", CONFIG), ("right", CONFIG.but(crop="none"))):
        assert torch.equal(pair.stage.of(side).pixels(), replay(tiny_teacher, config, runtime=cpu).pixels())
    assert not torch.equal(pair.stage.left.pixels(), pair.stage.right.pixels())
    assert "the last step saw 100%" in pair._views["right"].crop_caption.value
    assert pair.snapshot().width > pair.snapshot().height
    pair.close()


def test_side_by_side_is_retuned_together_but_for_what_differs(tiny_teacher: Teacher, cpu: Runtime) -> None:
    config = CONFIG.but(steps=100_000)
    pair = SideBySide(tiny_teacher, config, {"alpha_bn": 0}, runtime=cpu)
    pair.start()
    after(pair, 3)
    pair.alpha_bn = 5
    pair.crop_scale = (0.5, 0.6)
    pair.right_controls["alpha_bn"].set_state({"index": 3})
    after(pair, pair.event.step + 3)
    pair.stop()
    assert pair.wait(SOON) is State.STOPPED
    left, right = pair.stage.left, pair.stage.right
    assert left.step_count == right.step_count
    assert left.config.crop_scale == right.config.crop_scale == (0.5, 0.6)
    assert left.config.alpha_bn == 5
    assert 0 < right.config.alpha_bn == pair.right_config.alpha_bn < 5
    with pytest.raises(ConfigError, match="same noise"):
        SideBySide(tiny_teacher, config, {"seed": 1}, runtime=cpu)
    pair.close()


def test_side_by_side_compares_what_is_used_up_at_the_start(tiny_teacher: Teacher, cpu: Runtime) -> None:
    config, fourier = CONFIG.but(steps=100_000), {"parametrisation": "fourier"}
    pair = SideBySide(tiny_teacher, config, fourier, runtime=cpu)
    noise = pair.snapshot()
    assert noise.crop((0, 20, 80, 40)).tobytes() != noise.crop((noise.width - 80, 20, noise.width, 40)).tobytes()
    choice = pair.right_controls["parametrisation"]
    assert not choice.disabled
    pair.start()
    after(pair, 3)
    assert choice.disabled
    pair.change_right(parametrisation="pixels")  # by a cell: from the next start
    after(pair, pair.event.step + 3)
    assert pair.stage.right.config.parametrisation == "fourier"
    pair.stop()
    assert pair.wait(SOON) is State.STOPPED
    assert (pair.error, choice.disabled, choice.value) == ("", False, "pixels")
    pair.start()
    after(pair, 3)
    pair.stop()
    assert pair.wait(SOON) is State.STOPPED
    assert torch.equal(pair.stage.left.pixels(), pair.stage.right.pixels())
    pair.close()


def test_side_by_side_leaves_wide_images_as_a_drawing_of_few_bytes(cpu: Runtime) -> None:
    spec = DatasetSpec("wide", ("a", "b", "c"), 3, 80, (0.5,) * 3, (0.25,) * 3)
    options = {"depth": 2, "width": 2}
    teacher = Teacher(empty_network("convnet", spec, options), spec, "convnet", options)
    pair = SideBySide(teacher, RecoverConfig(ipc=1, steps=2), {"alpha_bn": 0}, runtime=cpu)
    assert pair.picture() is None
    pair.start()
    assert pair.wait(SOON) is State.FINISHED
    assert pair.error == ""
    drawn = pair.picture()
    assert isinstance(drawn, Drawing)
    assert drawn.count("data:image/jpeg") == 2
    assert len(drawn) < 100_000
    assert "image/svg+xml" in pair._repr_mimebundle_()
    pair.close()


def test_side_by_side_keeps_both_sides_and_what_made_them(tiny_teacher: Teacher, cpu: Runtime, tmp_path: Path) -> None:
    pair = SideBySide(tiny_teacher, CONFIG.but(steps=100_000), {"alpha_bn": 0}, runtime=cpu, folder=tmp_path)
    assert [side["steps"] for side in pair.log.values()] == [0, 0]
    pair._guarded(pair.save)
    assert "press Start" in pair.error
    pair.start()
    after(pair, 3)
    pair.crop_scale = (0.5, 0.6)
    pair.change_right(alpha_bn=0.5)
    after(pair, pair.event.step + 3)
    pair.stop()
    assert pair.wait(SOON) is State.STOPPED

    pair.export()
    logs = json.loads((tmp_path / "session.json").read_text())
    changed = {side: [change["field"] for change in log["changes"]] for side, log in logs.items()}
    assert changed == {"left": ["crop_scale"], "right": ["crop_scale", "alpha_bn"]}
    pair.save()
    for side, log in logs.items():
        settings = RecoverConfig.of(log["config"])
        again = replay(tiny_teacher, settings, log["changes"], until=log["steps"], runtime=cpu)
        assert torch.equal(again.pixels(), pair.stage.of(side).pixels())
        kept = CondensedSet.load(tmp_path / "condensed" / side)
        assert torch.equal(kept.images, again.pixels())
        assert kept.origin["changes"] == log["changes"]
    pair.close()


def test_side_by_side_is_animated_with_both_grids_under_their_names(
    tiny_teacher: Teacher, cpu: Runtime, tmp_path: Path
) -> None:
    pair = SideBySide(tiny_teacher, CONFIG, {"crop": "none"}, names=("crops", "whole"), runtime=cpu, folder=tmp_path)
    pair.start()
    assert pair.wait(SOON) is State.FINISHED
    pair.export(kind="gif")
    with Image.open(tmp_path / "session.gif") as animation:
        assert animation.n_frames == 41
        assert animation.size == pair.snapshot().size
    first, last = pair.frames()[0], pair.frames()[-1]
    middle, below = first.width // 2, first.height - 1
    halves = [(0, 20, middle - 12, below), (middle + 12, 20, first.width, below)]
    noise = [first.crop(half).tobytes() for half in halves]
    assert noise[0] == noise[1], "both start from the same noise"
    made = [last.crop(half).tobytes() for half in halves]
    assert made[0] != made[1] != noise[1]
    assert first.crop((0, 0, middle, 20)).getbbox() is not None, "no name over the left side"
    pair.close()


def test_a_slider_reaches_the_recovery_in_four_calls(studio: RecoverStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of the package between the front end's message and `Recovery.retune`, without the worker's own loop."""
    calls: list[str] = []

    def noted(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def noting(self: object, **changes: object) -> object:
            own = [frame for frame in traceback.extract_stack() if f"{os.sep}sre2l_core{os.sep}" in frame.filename]
            inside = (
                "set_state",
                "_work",
                "_take_steps",
                "noting",
            )  # what waits for a message, the worker's loop, this
            calls.extend(frame.name for frame in own if frame.name not in inside)
            calls.append(f"{owner.__name__}.{name}")
            return original(self, **changes)

        monkeypatch.setattr(owner, name, noting)

    noted(Run, "retune")
    noted(Recovery, "retune")
    studio.steps = 100_000
    studio.start()
    after(studio, 3)
    studio.controls["alpha_bn"].set_state({"index": 0})
    after(studio, studio.event.step + 3)
    studio.stop()
    assert studio.wait(SOON) is State.STOPPED
    assert calls == ["heard", "change", "Run.retune", "_hand_over_changes", "Recovery.retune"]


def test_a_new_term_gets_a_slider_a_curve_and_a_legend(
    new_term: str, tiny_teacher: Teacher, cpu: Runtime, tmp_path: Path
) -> None:
    """One `register`: what the panel, the curves and the figure show of it comes from the `Term` alone."""
    studio = RecoverStudio(tiny_teacher, CONFIG, runtime=cpu, folder=tmp_path)
    slider = studio.controls["alpha_mean"]
    assert (slider.description, slider.tooltip) == ("α_mean", "weight of the mean brightness")
    assert [name for name, _ in slider.options] == [
        "off",
        "0.01",
        "0.02",
        "0.05",
        "0.1",
        "0.2",
        "0.5",
        "1",
        "2",
        "5",
        "10",
    ]
    studio.steps = 100_000
    studio.start()
    after(studio, 3)
    slider.set_state({"index": 5})
    after(studio, studio.event.step + 3)
    studio.alpha_mean = 50
    after(studio, studio.event.step + 3)
    studio.stop()
    assert studio.wait(SOON) is State.STOPPED
    assert studio.error == ""
    assert slider.value == studio.recovery.config.alpha_mean == 50
    assert [change["new"] for change in studio.log["changes"]] == [0.2, 50]
    assert len(studio.curves[new_term]) == studio.recovery.step_count - studio.log["changes"][0]["step"]
    for text in (studio.status, studio._charts.losses.value):
        assert "mean brightness" in text
    line = re.search(rf'<polyline[^>]* stroke="{colours.of_term(new_term)}"', studio._charts.losses.value)
    assert line, "no curve in the colour of the term"
    studio.close()


def test_the_choice_of_starts_depends_on_the_data(studio: RecoverStudio, tiny_teacher: Teacher, cpu: Runtime) -> None:
    assert set(studio.controls["init"].options) == set(catalogue("starts"))
    without = RecoverStudio(tiny_teacher, CONFIG, runtime=cpu, name="without data")
    assert without.controls["init"].options == ("noise",)
    assert without.error == ""
    without.close()


def test_what_lies_beyond_a_slider_is_set_in_a_cell_and_shown(studio: RecoverStudio) -> None:
    studio.lr = 20.0
    studio.roll = (-40, 3)
    assert (studio.controls["lr"].value, studio.controls["roll"].value) == (20.0, (-40, 3))
    with pytest.raises(ConfigError, match="lr"):
        studio.lr = 200.0
    assert studio.controls["lr"].value == studio.lr == 20.0


def test_a_class_that_the_teacher_does_not_know_is_refused(tiny_teacher: Teacher, cpu: Runtime) -> None:
    config = CONFIG.but(only_classes=("bee", "eeel"))
    for make in (lambda: RecoverStudio(tiny_teacher, config), lambda: SideBySide(tiny_teacher, config, {"lr": 1})):
        with pytest.raises(ConfigError, match="eel"):
            make()


def test_the_timeline_moves_everything(studio: RecoverStudio, cpu: Runtime) -> None:
    """At every moment: what `replay` up to it gives, images, confidences, mismatch and crop alike."""
    studio.watched = 2
    studio.start()
    studio.wait(SOON)
    live = everything(studio)
    studio._timeline.slider.set_state({"value": 5})
    recovery = replay(studio.teacher, RecoverConfig.of(studio.log["config"]), [], until=5, runtime=cpu)
    probabilities, distances = recovery.measure()
    sure = probabilities.gather(1, recovery.targets[:, None])[:, 0].tolist()
    for name, share in zip(("ant", "bee", "cat", "dog", "eel"), sure, strict=True):
        assert f"<title>{name}: {share:.1%}" in studio._view._cells.value
    for layer, mismatch in enumerate(distances.mean(1).tolist(), 1):
        assert f"<title>layer {layer}: {mismatch:.3g}" in studio._charts.layers.value
    box = recovery.views(4).box[2].tolist()
    assert f"step 5 saw {box[2] * box[3] / 64:.0%}" in studio._view.crop_caption.value
    shown = Image.open(io.BytesIO(studio._view.image.value)).convert("RGB").crop((0, 0, 8, 8))
    assert shown.tobytes() == recovery.pixels()[0].permute(1, 2, 0).contiguous().numpy().tobytes()
    assert f"total {dict(studio.curves['loss'])[5]:.3g}" in studio.status
    assert 'class="sre-cursor"' in studio._charts.losses.value
    assert all(old != new for old, new in zip(live, everything(studio), strict=True))
    studio._timeline.slider.set_state({"value": 0})
    assert "the first step will see" in studio._view.crop_caption.value
    studio._timeline.slider.set_state({"value": 40})
    assert everything(studio) == live


def everything(studio: RecoverStudio) -> list[object]:
    view = studio._view
    charts = studio._charts
    parts = (view.image, view._cells, view._caption, view.crop, view.crop_caption, charts.losses, charts.layers)
    return [studio.status, studio._timeline.when.value, *(part.value for part in parts)]


def test_another_image_is_watched_at_the_moment_that_is_shown(studio: RecoverStudio) -> None:
    studio.start()
    studio.wait(SOON)
    before = studio._view.crop.value
    studio._watched.set_state({"value": 4})
    assert "Image 4 (dog): the last step saw" in studio._view.crop_caption.value
    assert studio._view.crop.value != before
    studio._timeline.slider.set_state({"value": 7})
    studio._watched.set_state({"value": 2})
    assert "Image 2 (bee): step 7 saw" in studio._view.crop_caption.value


def test_every_image_has_words(studio: RecoverStudio) -> None:
    view = studio._view
    assert (view.image.tooltip, view.crop.tooltip) == ("The noise that a run starts from.", "no step was taken yet")
    studio.start()
    studio.wait(SOON)
    assert "it recognises" in view.image.tooltip
    assert view.crop.tooltip.startswith("Image 1 (ant): the last step saw")
    assert view.image.description == view.crop.description == ""  # or ipywidgets' page shows no tooltip
    studio._timeline.slider.set_state({"value": 5})
    assert view.image.tooltip.startswith("After step 5.")
