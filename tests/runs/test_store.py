"""A store of runs: what is shared, what is found, and folders that are none."""

from collections import Counter

import pytest

from sre2l_core import presets, storage
from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.committee import members
from sre2l_core.errors import ArtifactError, DivergenceError
from sre2l_core.runs.notes import Note
from sre2l_core.runs.pipeline import Places, run
from sre2l_core.runs.store import Store, key_of

SMALL = presets.get("digits/smoke").but(
    data={"resolution": 8}, validate={"seeds": 1, "against": (), "hard_labels": False}
)
LATER = ("data_root", "holdout", "holdout_seed")
"""Settings of the data that are not in the name of a teacher: where the data lies, what came later and is not used."""


def after(store, recipe, cpu):
    """The stages that a run had to do."""
    events = []
    store.make(recipe, runtime=cpu, on_step=events.append)
    return {event.stage for event in events}


def test_runs_share_what_they_have_in_common(tmp_path, cpu):
    store = Store(tmp_path / "store")
    assert after(store, SMALL, cpu) == {"squeeze", "recover", "relabel", "validate"}
    assert after(store, SMALL, cpu) == set()
    assert after(store, SMALL.but(validate={"temperature": 2.0}), cpu) == {"validate"}
    assert after(store, SMALL.but(relabel={"seed": 1}), cpu) == {"relabel", "validate"}
    assert after(store, SMALL.but(recover={"alpha_bn": 0.5}), cpu) == {"recover", "relabel", "validate"}
    assert after(Store(tmp_path / "store"), SMALL.but(store_labels=False), cpu) == {"validate"}
    kinds = Counter(path.parent.name.partition("-")[0] for path in store.folder.glob("*/artifact.json"))
    assert kinds == {"teacher": 1, "condensed": 2, "labels": 3, "score": 5}
    recipes = [SMALL, SMALL.but(recover={"alpha_bn": 0.5}), SMALL.but(recover={"alpha_bn": 0.6})]
    assert store.parts(recipes) == {"teacher": (1, 1), "condensed": (2, 3), "score": (2, 3)}


def test_a_run_in_a_store_is_that_of_a_folder(tmp_path, cpu):
    alone = run(SMALL, tmp_path / "alone", runtime=cpu).score
    place = Store(tmp_path / "store").make(SMALL, runtime=cpu)
    assert Score.load(place.score).rows == alone.rows


def test_an_interrupted_run_goes_on(tmp_path, cpu):
    store = Store(tmp_path)

    def stop(event):
        if event.stage == "recover" and event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make(SMALL, runtime=cpu, on_step=stop)
    assert not store.finished(SMALL)
    assert after(Store(tmp_path), SMALL, cpu) == {"recover", "relabel", "validate"}
    assert store.finished(SMALL)


def test_every_setting_that_a_part_depends_on_gives_it_another_place(tmp_path):
    store, first = Store(tmp_path), Store(tmp_path).places(SMALL)
    changes = {
        "data": {"num_classes": 3}, "squeeze": {"lr": 0.01}, "recover": {"ipc": 3}, "relabel": {"flip": 0.5},
        "validate": {"lr": 0.5},
    }  # fmt: skip
    parts = ("teacher", "teacher", "condensed", "labels", "score")
    for (stage, change), part in zip(changes.items(), parts, strict=True):
        other = store.places(SMALL.but(**{stage: change}))
        order = ["teacher", "condensed", "labels", "score", "log"]
        same = [name for name in order if getattr(first, name) == getattr(other, name)]
        assert same == order[: order.index(part)]
    assert store.places(SMALL.but(store_labels=False)).score != first.score


def test_a_data_set_is_the_same_wherever_it_lies_and_a_folder_of_pictures_is_not(tmp_path):
    store = Store(tmp_path)
    moved = {"data": {"data_root": tmp_path}}
    assert store.places(SMALL) == store.places(SMALL.but(**moved))
    folder = presets.get("folder")
    assert store.places(folder).teacher != store.places(folder.but(**moved)).teacher


def test_looking_writes_nothing(tmp_path):
    store = Store(tmp_path / "new")
    assert not store.finished(SMALL)
    assert store.parts([SMALL])["score"] == (0, 1)
    assert not (tmp_path / "new").exists()


def test_folders_that_hold_something_else_are_refused(tmp_path, cpu):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ArtifactError, match=r"holds thesis\.txt, and no store\.json: it is no store of runs"):
        Store(tmp_path)
    with pytest.raises(ArtifactError, match="is not a folder"):
        Store(tmp_path / "thesis.txt")
    Store(tmp_path / "store").make(SMALL, runtime=cpu)
    with pytest.raises(ArtifactError, match="no store of runs"):
        Store(next((tmp_path / "store").glob("teacher-*")))


@pytest.mark.parametrize("mark", [{"format": 2}, {"format": "1"}, {"format": True}, {"format": -3}, {}])
def test_stores_of_newer_versions_are_refused(tmp_path, mark):
    storage.write_json(tmp_path / "store.json", mark)
    with pytest.raises(ArtifactError, match=r"format .* this version knows 1.*Update the package"):
        Store(tmp_path)


def test_a_damaged_mark_is_no_reason_to_delete_the_store(tmp_path):
    (tmp_path / "store.json").write_text('{"kind": "store of')
    with pytest.raises(ArtifactError, match=r"store\.json is damaged\. Copy that of another store"):
        Store(tmp_path)


def test_a_setting_of_later_gives_old_runs_no_new_names(tmp_path):
    """What was hashed before there was `holdout` is hashed as long as nothing is held out."""
    values, places = SMALL.to_json(), Store(tmp_path).places(SMALL)
    before = {name: value for name, value in values["data"].items() if name not in LATER}
    assert places.teacher.name == f"teacher-{key_of(before, SMALL.squeeze.request())}"
    held = [Store(tmp_path).places(SMALL.but(data={"holdout": share})).teacher for share in (0.1, 0.2)]
    assert len({places.teacher, *held}) == 3


def test_a_note_says_what_a_run_asked_for_how_long_it_took_and_why_it_failed(tmp_path, cpu):
    store = Store(tmp_path)

    def fail(event):
        if event.stage == "recover":
            raise DivergenceError("the loss became nan")

    with pytest.raises(DivergenceError):
        store.make(SMALL, runtime=cpu, on_step=fail)
    first = Note.read(store.note(SMALL))
    assert first.failure == "the loss became nan"
    assert first.seconds.keys() == {"squeeze", "recover"}
    places = store.make(SMALL, runtime=cpu)
    note = Note.read(store.note(SMALL))
    assert presets.Recipe.of(note.recipe) == SMALL
    assert note.parts == {name: getattr(places, name).name for name in ("teacher", "condensed", "labels", "score")}
    assert note.failure == ""
    assert note.seconds["recover"] > first.seconds["recover"] > 0  # what was done before counts
    assert note.seconds.keys() == {"squeeze", "recover", "relabel", "validate"}
    warm = SMALL.but(validate={"temperature": 2.0}, store_labels=False)
    store.make(warm, runtime=cpu)
    assert Note.read(store.note(warm)).seconds.keys() == {"validate"}
    assert "labels" not in Note.read(store.note(warm)).parts


def test_a_run_of_an_older_version_gets_its_note_when_it_is_found(tmp_path, cpu):
    store = Store(tmp_path)
    store.make(SMALL, runtime=cpu)
    store.note(SMALL).unlink()
    assert after(store, SMALL, cpu) == set()
    assert presets.Recipe.of(Note.read(store.note(SMALL)).recipe) == SMALL


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: path.write_text("{"), "is damaged. Delete this file"),
        (
            lambda path: storage.write_json(path, {"kind": "run", "format": 2}),
            r"format 2, expected 1\). Use the version",
        ),
        (lambda path: storage.write_json(path, {"kind": "run", "format": 1}), "no note of a run"),
    ],
)
def test_notes_that_cannot_be_read_are_named(tmp_path, write, told):
    write(tmp_path / "run-0.json")
    with pytest.raises(ArtifactError, match=told):
        Note.read(tmp_path / "run-0.json")


def test_what_a_run_depends_on_is_also_in_its_artifacts(tmp_path, cpu):
    """A hash is only a name: the folders hold the settings, and refuse others."""
    store = Store(tmp_path)
    store.make(SMALL, runtime=cpu)
    place = store.places(SMALL)
    assert isinstance(place, Places)
    assert storage.read_manifest(place.condensed)["request"]["config"] == SMALL.recover.request()
    with pytest.raises(ArtifactError, match="holds another run"):
        run(SMALL.but(recover={"steps": 9}), place, runtime=cpu)


def test_images_alone_are_what_the_run_goes_on_from(tmp_path, cpu):
    store, recipe = Store(tmp_path / "store"), SMALL.but(recover={"seed": 7})
    places = store.make(recipe, runtime=cpu, images_only=True)
    made = (places.condensed / storage.MANIFEST).stat().st_mtime_ns
    assert (places.teacher / storage.MANIFEST).exists()
    assert not places.score.exists()
    assert not store.finished(recipe)
    assert set(Note.read(store.note(recipe)).seconds) == {"squeeze", "recover"}
    assert store.make(recipe, runtime=cpu, images_only=True) == places
    store.make(recipe, runtime=cpu)
    assert store.finished(recipe)
    assert (places.condensed / storage.MANIFEST).stat().st_mtime_ns == made
    assert set(Note.read(store.note(recipe)).seconds) == {"squeeze", "recover", "relabel", "validate"}


NAMES = {
    "digits": ("teacher-914917fba375", "condensed-0d61c2a1706d", "labels-5c25a5964e24", "score-009869c91735"),
    "tiny-imagenet/resnet18/reference": (
        "teacher-caadfc08ec8d",
        "condensed-19227cf5d958",
        "labels-978d24b59e54",
        "score-7c221a4373ba",
    ),
}
"""Of the parts of runs, as they were before there were several teachers, formation, shuffling and RandAugment."""


@pytest.mark.parametrize("name", NAMES)
def test_what_was_made_before_there_was_a_setting_is_still_found(name, tmp_path):
    places = Store(tmp_path).places(presets.get(name))
    assert (places.teacher.name, places.condensed.name, places.labels.name, places.score.name) == NAMES[name]


def test_settings_of_later_are_part_of_the_name_where_they_are_set(tmp_path):
    store, usual = Store(tmp_path), Store(tmp_path).places(SMALL)
    committee = SMALL.but(squeeze={"others": ("convnet:depth=1",)})
    assert store.places(committee).teacher != usual.teacher
    assert store.places(committee).members[0] == usual.teacher
    assert store.places(SMALL.but(recover={"small_stages": 0.5})).condensed != usual.condensed
    assert store.places(SMALL.but(recover={"small_stages": 0.5})).teacher == usual.teacher
    assert store.places(SMALL.but(relabel={"augment": 2})).labels != usual.labels


def test_a_run_with_several_teachers_takes_those_that_are_there(tmp_path, cpu):
    store, steps = Store(tmp_path), []
    committee = SMALL.but(squeeze={"others": ("convnet:depth=1:width=4",)}, recover={"teaching": "pair"})
    store.make(SMALL, runtime=cpu)
    places = store.make(committee, runtime=cpu, on_step=steps.append)
    squeezed = [event for event in steps if event.stage == "squeeze"]
    assert len(squeezed) == squeezed[-1].total  # of one network alone
    made = CondensedSet.load(places.condensed)
    assert made.origin["teachers"] == [one.id for one in members(Teacher.load(places.teacher))]
    steps.clear()
    store.make(committee.but(recover={"teaching": "turns"}), runtime=cpu, on_step=steps.append)
    assert "squeeze" not in {event.stage for event in steps}
