"""What panels keep: pictures, tables, sessions, animations; said beside the buttons, also where it cannot be done."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from sre2l_core import presets, theory
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig, RelabelConfig, ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.figures import animation
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.widgets import (
    BoundsPanel,
    EmbeddingPanel,
    PipelinePanel,
    RecoverStudio,
    RelabelPanel,
    ShortRecovery,
    SideBySide,
    SqueezePanel,
    Studio,
    ValidatePanel,
)
from sre2l_core.worker import State

SOON = 60.0
SMALL = {"depth": 2, "width": 8}
RECOVER = RecoverConfig(ipc=1, steps=20, flip=0, crop_scale=(0.5, 1.0))
STUDENTS = ValidateConfig(
    students=("convnet",), student_options=SMALL, epochs=2, batch_size=4, seeds=2, against=("random",), eval_every=1
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def studio(tiny_teacher: Teacher, tiny_data: Dataset, cpu: Runtime, tmp_path: Path) -> Iterator[Studio]:
    recipe = presets.get("digits").but(recover=RECOVER.model_dump(), relabel={"epochs": 2}, validate=STUDENTS)
    studio = Studio(tiny_teacher, tiny_data, recipe, per_class=4, runtime=cpu, folder=tmp_path / "kept")
    yield studio
    studio.close()


@pytest.fixture
def done(studio: Studio) -> Studio:
    studio.start()
    assert studio.wait(SOON) is State.FINISHED
    return studio


def press(panel: Any, css: str) -> str:
    """Click a button of the row; what is said beside it."""
    button = next(one for one in panel.kept.children if css in one._dom_classes)
    button.click()
    return str(panel.kept.said.value)


def made(
    tmp_path: Path, teacher: Teacher, condensed: CondensedSet, data: Dataset, cpu: Runtime
) -> dict[str, Callable[[], Any]]:
    """Every other panel with a row of its own, to be made."""
    recipe = presets.get("digits/smoke").but(data={"num_classes": 5}, squeeze={"epochs": 1, "warmup_epochs": 0})
    labels = LiveLabels(teacher, condensed, RelabelConfig(epochs=2), runtime=cpu)
    sets = {"some": condensed, "more": condensed}
    return {
        "squeeze": lambda: SqueezePanel(data, recipe.squeeze, runtime=cpu),
        "recover_studio": lambda: RecoverStudio(teacher, RECOVER, runtime=cpu, folder=tmp_path),
        "side_by_side": lambda: SideBySide(teacher, RECOVER, {"crop": "none"}, runtime=cpu, folder=tmp_path),
        "relabel": lambda: RelabelPanel(teacher, condensed, RelabelConfig(epochs=2), runtime=cpu),
        "validate": lambda: ValidatePanel(condensed, labels, data, STUDENTS, teacher=teacher, runtime=cpu),
        "embedding": lambda: EmbeddingPanel(teacher, data, RECOVER, per_class=4, runtime=cpu),
        "pipeline": lambda: PipelinePanel(recipe, runtime=cpu),
        "bounds": lambda: BoundsPanel(theory.measure(teacher, sets, (1.0, 3.0), draws=1, runtime=cpu)),
    }


TABLES = {"relabel": "label_costs", "validate": "score", "pipeline": "score", "bounds": "bounds"}
KEPT = ("squeeze", "recover_studio", "side_by_side", "relabel", "validate", "embedding", "pipeline", "bounds")


@pytest.mark.parametrize("name", KEPT)
def test_each_panel_keeps_its_picture_and_its_table(
    name: str, tiny_teacher: Teacher, tiny_condensed: CondensedSet, tiny_data: Dataset, cpu: Runtime, tmp_path: Path
) -> None:
    panel = made(tmp_path, tiny_teacher, tiny_condensed, tiny_data, cpu)[name]()
    panel.kept.folder.value = str(tmp_path / "kept")
    if name not in ("pipeline", "bounds"):  # these have a picture from the beginning
        assert "nothing to see yet" in press(panel, "sre-save-picture")
    if name != "bounds":  # it runs nothing
        if name in TABLES:
            assert 'role="alert"' in press(panel, "sre-save-table")
        panel.start()
        assert panel.wait(SOON) is State.FINISHED
    assert f"{name}.svg, {name}.png are in" in press(panel, "sre-save-picture")
    drawing = ElementTree.parse(tmp_path / f"kept/{name}.svg").getroot()
    with Image.open(tmp_path / f"kept/{name}.png") as picture:
        assert picture.size == pytest.approx((2 * float(drawing.get("width")), 2 * float(drawing.get("height"))), abs=1)
        assert len(picture.getcolors(1 << 24)) > 8
    if name in TABLES:
        assert f"{TABLES[name]}.md, {TABLES[name]}.csv, {TABLES[name]}.tex are in" in press(panel, "sre-save-table")
        rows = list(csv.reader(io.StringIO((tmp_path / f"kept/{TABLES[name]}.csv").read_text(encoding="utf-8"))))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
    else:
        assert not [one for one in panel.kept.children if "sre-save-table" in one._dom_classes]
    panel.close()


def test_nothing_recovered_yet_is_said_by_every_button(studio: Studio, tmp_path: Path) -> None:
    said = {css: press(studio, css) for css in ("sre-save", "sre-export", "sre-save-picture", "sre-save-table")}
    assert all('role="alert"' in words for words in said.values())
    assert "press Start" in said["sre-export"]
    assert "Train a student on this" in said["sre-save-table"]
    assert "press Export first" in press(studio, "sre-open")
    assert not (tmp_path / "kept").exists()
    assert studio.error == "", "it stands beside the button, and nowhere else"


@pytest.mark.parametrize("css", ["sre-save", "sre-export", "sre-save-picture"])
def test_a_folder_that_cannot_be_written_is_said_in_place_of_the_last_success(
    done: Studio, tmp_path: Path, css: str
) -> None:
    assert "kept" in press(done, css)
    (tmp_path / "file").write_text("")
    done.kept.folder.value = str(tmp_path / "file" / "below")
    said = press(done, css)
    assert "cannot write there" in said
    assert "kept" not in said
    with pytest.raises(ArtifactError, match=r"cannot write|not made by"):
        {"sre-save": done.save, "sre-export": done.export, "sre-save-picture": done.save_picture}[css]()


def test_the_picture_of_the_studio_has_all_that_is_to_be_seen(done: Studio, tmp_path: Path) -> None:
    done.bench.start()
    done.bench.wait(SOON)
    done.save_picture()
    drawing = ElementTree.parse(tmp_path / "kept/studio.svg").getroot()
    words = "\n".join("".join(text.itertext()) for text in drawing.iter(f"{SVG}text"))
    for part in (
        "Recovered images", "Loss (terms unweighted)", "BatchNorm mismatch by layer", "live t-SNE", "Top-1 on real",
        "eel", "step 20, α_BN 1, crop 0.5–1", "1. tiny, step 20", "the teacher recognises",
    ):  # fmt: skip
        assert part in words
    assert len(list(drawing.iter(f"{SVG}image"))) == 1
    live = (tmp_path / "kept/studio.png").read_bytes()
    done._timeline.slider.value = 0
    done.save_picture()
    assert "After step 0" in (tmp_path / "kept/studio.svg").read_text(encoding="utf-8")
    assert (tmp_path / "kept/studio.png").read_bytes() != live


def test_what_students_learnt_is_kept_try_by_try(done: Studio, tmp_path: Path) -> None:
    for temperature in (1.0, 20.0):
        done.bench.temperature = temperature
        done.bench.start()
        assert done.bench.wait(SOON) is State.FINISHED
    paths = done.save_tables()
    assert [path.name for path in paths] == ["students.md", "students.csv", "students.tex"]
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text(encoding="utf-8"))))
    assert [(row["try"], float(row["temperature"])) for row in rows] == [("1", 1.0), ("2", 20.0)]
    trial = done.bench.trials[0]
    assert float(rows[0]["condensed"]) == pytest.approx(sum(trial.condensed) / 2)
    assert [float(value) for value in rows[0]["random_values"].split()] == pytest.approx(trial.random, abs=1e-3)
    assert r"condensed (\%)" in paths[2].read_text(encoding="utf-8")


def test_the_kind_of_animation_is_chosen_beside_the_button(
    done: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "session.webp" in press(done, "sre-export")
    done._kind.value = "gif"
    assert "session.gif" in press(done, "sre-export")
    monkeypatch.setattr(animation, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    done._kind.value = "mp4"
    said = press(done, "sre-export")
    assert "MP4 needs an encoder" in said
    assert "session.gif" not in said
    assert not (tmp_path / "kept/session.mp4").exists()
    assert json.loads((tmp_path / "kept/session.json").read_text())["steps"] == 20
    with pytest.raises(ConfigError, match="Known: gif, mp4, webp"):
        done.export(kind="avi")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"step": 3, "field": "alpha_bn", "new": "much"}, "alpha_bn"),
        ({"step": 3, "field": "no_such", "new": 1}, "no_such"),
        ({"step": -1, "field": "lr", "new": 1}, "in order"),
        ({"step": "x", "field": "lr", "new": 1}, "step, field and new"),
        ({"step": 3, "field": 4, "new": 1}, "step, field and new"),
    ],
)
def test_a_session_whose_changes_are_none_is_refused_before_it_begins(
    done: Studio, tmp_path: Path, change: dict[str, Any], error: str
) -> None:
    done.export()
    path = tmp_path / "kept/session.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "changes": [change]}))
    before = done.recovery
    assert error in press(done, "sre-open")
    assert done.recovery is before, "what was there stays"


def test_a_panel_without_a_row_keeps_its_picture_as_well(tiny_teacher: Teacher, cpu: Runtime, tmp_path: Path) -> None:
    panel = ShortRecovery(tiny_teacher, RECOVER, steps=4, runtime=cpu)
    assert [path.name for path in panel.save_picture(tmp_path)] == ["short_recovery.svg", "short_recovery.png"]
    with pytest.raises(RuntimeError, match="no table"):
        panel.save_tables(tmp_path)
    panel.close()
