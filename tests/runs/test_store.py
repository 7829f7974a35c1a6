"""A store of runs: what is shared, what is found, and folders that are none."""

from collections import Counter

import pytest

from sre2l_core import presets, storage
from sre2l_core.artifacts import Score
from sre2l_core.errors import ArtifactError
from sre2l_core.runs.pipeline import Places, run
from sre2l_core.runs.store import Store

SMALL = presets.get("digits/smoke").but(
    data={"resolution": 8}, validate={"seeds": 1, "against": (), "hard_labels": False}
)


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


def test_what_a_run_depends_on_is_also_in_its_artifacts(tmp_path, cpu):
    """A hash is only a name: the folders hold the settings, and refuse others."""
    store = Store(tmp_path)
    store.make(SMALL, runtime=cpu)
    place = store.places(SMALL)
    assert isinstance(place, Places)
    assert storage.read_manifest(place.condensed)["request"]["config"] == SMALL.recover.model_dump(mode="json")
    with pytest.raises(ArtifactError, match="holds another run"):
        run(SMALL.but(recover={"steps": 9}), place, runtime=cpu)
