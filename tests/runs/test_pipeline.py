"""The whole pipeline: what it makes, what it does again and what not, what it refuses before any work is done."""

import pytest
from stand_ins import write_pictures

from sre2l_core import presets
from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.config import DataConfig
from sre2l_core.data import load
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import check, load_data, run
from sre2l_core.stages.labels import LiveLabels, SoftLabels


@pytest.fixture(scope="module")
def recipe():
    smoke = presets.get("digits/smoke")
    return smoke.but(data={"resolution": 8}, validate={"seeds": 1})


@pytest.fixture(scope="module")
def made(recipe, cpu, tmp_path_factory):
    """A run, its folder, its events and what it said."""
    folder, events, said = tmp_path_factory.mktemp("run"), [], []
    return run(recipe, folder, runtime=cpu, on_step=events.append, say=said.append), folder, events, said


def test_each_stage_leaves_its_folder(made):
    outcome, folder, _, said = made
    assert Teacher.load(folder / "teacher").id == outcome.teacher.id == outcome.labels.teacher_id
    assert CondensedSet.load(folder / "condensed").id == outcome.condensed.id == outcome.labels.condensed_id
    assert isinstance(outcome.labels, SoftLabels)
    assert Score.load(folder / "score").rows == outcome.score.rows
    assert len(outcome.data.val) == 72
    assert len(said) == 4


def test_what_the_loader_left_out_is_said_first(tmp_path):
    write_pictures(tmp_path, {"cats": 3, "dogs": 3})
    (tmp_path / "cats" / "moving.gif").write_bytes(b"GIF89a")
    said = []
    data = load_data(DataConfig(data="folder", data_root=tmp_path), said.append)
    assert said == [f"folder: left out: 1 .gif files (first {tmp_path}/cats/moving.gif)"]
    assert said == [f"folder: {note}" for note in data.notes]


def test_events_of_all_stages_arrive_and_are_logged(made):
    _, folder, events, _ = made
    totals = {"squeeze": 18, "recover": 4, "relabel": 2, "validate": 10}
    assert {event.stage: event.step for event in events} == totals
    text = (folder / "log.csv").read_text()
    assert text.startswith("stage,note,step,metric,value\n")
    assert all(f"\n{stage}," in text for stage in ("squeeze", "recover", "validate"))


def test_a_second_call_only_reads(made, recipe, cpu):
    outcome, folder, _, _ = made
    events = []
    again = run(recipe, folder, runtime=cpu, on_step=events.append)
    assert not {"squeeze", "validate"} & {event.stage for event in events}
    assert again.score.rows == outcome.score.rows


def test_the_same_seed_gives_the_same_result_and_another_does_not(made, recipe, cpu, tmp_path):
    outcome = made[0]
    assert run(recipe, tmp_path / "same", runtime=cpu).condensed.id == outcome.condensed.id
    assert run(recipe.seeded(1), tmp_path / "other", runtime=cpu).condensed.id != outcome.condensed.id


def test_labels_on_the_fly_give_the_students_of_stored_ones(made, recipe, cpu, tmp_path):
    exact = recipe.relabel.but(codec="fp16", batch_size=4)
    live = run(recipe.but(relabel=exact, store_labels=False), tmp_path, runtime=cpu)
    assert isinstance(live.labels, LiveLabels)
    assert not (tmp_path / "labels").exists()
    # fp16 rounds the stored logits: a prediction may flip, a student may not become another one.
    stored = made[0].score.row("condensed", "soft").last[0]
    assert live.score.row("condensed", "soft").last[0] == pytest.approx(stored, abs=0.03)


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("squeeze", {"backbone": "deit_tiny", "backbone_options": {}}, "no BatchNorm"),
        ("squeeze", {"backbone_options": {"depth": 4}}, "needs at least 16 pixels"),
        ("squeeze", {"backbone": "nothing"}, "unknown backbone"),
        ("recover", {"only_classes": ("9",)}, "unknown class id '9'"),
        ("relabel", {"codec": "nothing"}, "unknown codec"),
        ("relabel", {"codec_options": {"k": 3}}, "field 'k'"),
        ("relabel", {"epochs": 1}, "2 epochs on labels of 1"),
        ("validate", {"students": ("convnet", "nothing")}, "unknown backbone 'nothing'"),
        ("validate", {"student_options": {"colour": 1}}, "unknown convnet option"),
    ],
)
def test_what_a_late_stage_would_refuse_is_refused_at_once(recipe, cpu, tmp_path, stage, changes, message):
    wrong = recipe.but(**{stage: changes})
    with pytest.raises(ConfigError, match=message):
        run(wrong, tmp_path / "run", runtime=cpu)
    assert not (tmp_path / "run").exists()


def test_a_network_without_batchnorm_may_be_used_without_its_term(recipe):
    alone = recipe.squeeze.but(backbone="deit_tiny", backbone_options={})
    spec = load("digits", resolution=8).spec
    check(recipe.but(squeeze=alone, recover={"alpha_bn": 0.0}), spec)


def test_a_file_is_no_place_for_a_run(recipe, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="is not a folder"):
        run(recipe, tmp_path / "file")


def test_data_is_loaded_as_configured():
    data = load_data(DataConfig(data="digits", classes=("3", "5"), resolution=12))
    assert (data.spec.classes, data.spec.size) == (("3", "5"), (12, 12))
    assert Recipe().data == DataConfig()
