"""What is left of a grid: counted part by part, judged by like runs of the store."""

import pytest
from small_runs import BASE, SPARSE, WARM

from sre2l_core.runs.forecast import forecast, tried
from sre2l_core.runs.notes import Note
from sre2l_core.runs.store import Store


def by_kind(recipes, store):
    return {each.kind: each for each in forecast(recipes, store)}


def noted(store, recipe, **seconds):
    """Say how long the stages of a run took."""
    path = store.note(recipe)
    note = Note.read(path)
    Note(note.recipe, note.parts, seconds).write(path)


def test_parts_that_runs_share_count_once(store):
    found = by_kind([BASE, WARM, SPARSE], store)
    assert {kind: (each.there, each.missing) for kind, each in found.items()} == {
        "teacher": (1, 0), "condensed": (2, 0), "labels": (1, 0), "score": (3, 0),
    }  # fmt: skip
    found = by_kind([BASE, BASE.but(recover={"steps": 9}), WARM.but(recover={"steps": 9})], store)
    assert {kind: each.missing for kind, each in found.items()} == {
        "teacher": 0, "condensed": 1, "labels": 1, "score": 2,
    }  # fmt: skip


def test_time_grows_with_iterations_images_and_epochs(store):
    steps, ipc = BASE.recover.steps, BASE.recover.ipc
    noted(store, BASE, squeeze=2.0, recover=10.0, relabel=3.0, validate=4.0)
    noted(store, SPARSE, recover=30.0, validate=8.0)
    noted(store, WARM)
    more = BASE.but(recover={"steps": 3 * steps, "ipc": 2 * ipc})
    found = by_kind([BASE, more], store)
    assert found["condensed"].seconds == pytest.approx(6 * (10 + 30) / 2)
    assert found["labels"].seconds == pytest.approx(2 * 3)
    assert found["score"].seconds == pytest.approx(2 * (4 + 8) / 2)
    assert found["teacher"].seconds == 0.0
    assert len(found["condensed"].measured) == 2
    size = sum(path.stat().st_size for path in store.places(BASE).labels.rglob("*") if path.is_file())
    assert found["labels"].bytes == pytest.approx(2 * size)


def test_other_data_and_networks_allow_no_estimate(store):
    noted(store, BASE, squeeze=2.0, recover=10.0, relabel=3.0, validate=4.0)
    for other in (BASE.but(data={"resolution": 16}), BASE.but(squeeze={"backbone_options": {"depth": 1, "width": 4}})):
        assert by_kind([other], store)["condensed"].seconds is None
    other = BASE.but(validate={"student_options": {"depth": 1, "width": 4}})
    assert by_kind([other], store)["score"].seconds is None
    held = by_kind([BASE.but(data={"holdout": 0.2})], store)  # other teachers, of nearly as many images
    assert held["teacher"].seconds == pytest.approx(2.0)


def test_an_empty_store_is_looked_at_and_not_made(tmp_path):
    found = by_kind([BASE], Store(tmp_path / "new"))
    assert {kind: each.seconds for kind, each in found.items()} == dict.fromkeys(found)
    assert not (tmp_path / "new").exists()


def test_notes_that_cannot_be_read_judge_nothing(store):
    for path in store.folder.glob("run-*.json"):
        path.write_text("{")
    assert by_kind([BASE.but(recover={"steps": 9})], store)["condensed"].seconds is None


def test_what_was_never_timed_is_tried_once_and_what_was_timed_is_not(store):
    asked = []

    def trial(recipe):
        asked.append(recipe)
        return {"teacher": (4.0, 100.0), "condensed": (6.0, 200.0), "labels": (1.0, 10.0), "score": (2.0, 50.0)}

    other = BASE.but(squeeze={"backbone": "resnet10", "backbone_options": {"width": 4}})
    twice = other.but(recover={"steps": 2 * other.recover.steps})
    found = {part.kind: part for part in forecast([BASE, other, twice], store, trial)}
    assert len(asked) == 1
    assert (found["teacher"].seconds, found["teacher"].tried, found["teacher"].measured) == (4.0, True, set())
    assert found["condensed"].seconds == 9.0  # the longer one was tried; the other takes half of that
    assert found["score"].bytes > 0
    found = {part.kind: part for part in forecast([BASE.but(recover={"steps": 9})], store, trial)}
    assert len(asked) == 1
    assert not found["condensed"].tried


def test_a_trial_measures_on_made_up_images_and_says_nothing_where_it_cannot(cpu, tmp_path):
    found = tried(BASE, seconds=0.01, runtime=cpu)
    assert set(found) == {"teacher", "condensed", "labels", "score"}
    assert all(seconds > 0 and size > 0 for seconds, size in found.values())
    assert tried(BASE.but(data={"data": "folder", "data_root": tmp_path / "nowhere"}), runtime=cpu) == {}
