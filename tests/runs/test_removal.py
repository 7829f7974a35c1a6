"""Deleting: what goes along, what stays, what is refused, and what a kill in the middle leaves."""

import re
import shutil

import pytest
from small_runs import BASE, SPARSE, WARM, key

from sre2l_core import storage
from sre2l_core.errors import ArtifactError, ConfigError, InUseError
from sre2l_core.runs import removal
from sre2l_core.runs.listing import Listing
from sre2l_core.runs.removal import planned, remove


def names(folder):
    return {path.name for path in folder.iterdir()}


def every_file(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_what_others_may_need(store):
    before = names(store.folder)
    gone = remove(store.folder, [key(store, WARM)])
    place = store.places(WARM)
    assert before - names(store.folder) == {place.score.name, place.log.name, store.note(WARM).name}
    assert gone.runs == (key(store, WARM),)
    assert Listing(store.folder).unneeded() == []
    assert store.finished(BASE)
    assert not store.finished(WARM)


def test_pruning_with_it_frees_what_it_alone_needed(store):
    plan = planned(Listing(store.folder), [key(store, SPARSE)], prune=True)
    place = store.places(SPARSE)
    assert [part.folder for part in plan.parts] == [place.score, place.condensed]
    doomed = [place.score, place.condensed, place.log, store.note(SPARSE)]
    sizes = [file.stat().st_size for path in doomed for file in (path.rglob("*") if path.is_dir() else [path])]
    folders = sum(file.stat().st_size for path in doomed if path.is_dir() for file in path.rglob("*") if file.is_dir())
    assert plan.bytes == sum(sizes) - folders
    remove(store.folder, [key(store, SPARSE)], prune=True)
    assert not any(path.exists() for path in doomed)
    assert set(Listing(store.folder).runs) == {key(store, BASE), key(store, WARM)}


def test_a_part_takes_all_that_depends_on_it_and_nothing_else(store):
    labels = store.places(BASE).labels.name
    assert set(planned(Listing(store.folder), [labels]).runs) == {key(store, BASE), key(store, WARM)}
    remove(store.folder, [labels])
    assert set(Listing(store.folder).runs) == {key(store, SPARSE)}
    assert [part.folder for part in Listing(store.folder).unneeded()] == [store.places(BASE).condensed]
    teacher = store.places(BASE).teacher.name
    remove(store.folder, [teacher])
    assert names(store.folder) == {"store.json"}


def test_a_run_whose_teacher_was_deleted_is_made_again(store, cpu):
    """By hand, without this command: what it was made from is missing."""
    before = (store.places(WARM).score / "artifact.json").read_bytes()
    shutil.rmtree(store.places(WARM).teacher)
    assert store.finished(WARM)  # its score needs nobody
    fresh = WARM.but(validate={"temperature": 3.0})
    store.make(fresh, runtime=cpu)  # the same seed gives the same teacher, whose images and labels are there
    assert (store.places(WARM).score / "artifact.json").read_bytes() == before


def test_what_is_in_use_is_refused_and_nothing_is_lost(store):
    before = every_file(store.folder)
    with storage.held(store.places(BASE).score), pytest.raises(InUseError, match="this very process"):
        remove(store.folder, [store.places(BASE).teacher.name])
    assert every_file(store.folder) == before


def test_a_run_that_is_under_way_is_not_deleted_behind_its_back(store, cpu):
    fresh = BASE.but(recover={"steps": 9})

    def look(event):
        if event.stage == "recover":
            with pytest.raises(InUseError):
                remove(store.folder, [key(store, fresh)])

    store.make(fresh, runtime=cpu, on_step=look)
    assert store.finished(fresh)
    assert store.note(fresh).exists()


def test_what_came_meanwhile_is_not_deleted_unasked(store, cpu):
    agreed = planned(Listing(store.folder), [store.places(BASE).labels.name])
    store.make(BASE.but(validate={"temperature": 3.0}), runtime=cpu)
    before = every_file(store.folder)
    with pytest.raises(ArtifactError, match=r"changed meanwhile\. Nothing was deleted"):
        remove(store.folder, [store.places(BASE).labels.name], expected=agreed)
    assert every_file(store.folder) == before


def test_files_of_ones_own_and_what_lies_elsewhere_are_never_deleted(store, tmp_path):
    mine = store.places(SPARSE).condensed / "thesis.txt"
    mine.write_text("precious")
    with pytest.raises(ArtifactError, match=r"not its own: thesis\.txt\. Nothing was deleted"):
        remove(store.folder, [store.places(SPARSE).condensed.name])
    assert store.finished(SPARSE)
    elsewhere = tmp_path / "elsewhere"
    store.places(BASE).labels.rename(elsewhere)
    store.places(BASE).labels.symlink_to(elsewhere)
    before = every_file(elsewhere)
    with pytest.raises(ArtifactError, match="leads out of"):
        remove(store.folder, [store.places(BASE).labels.name])
    assert every_file(elsewhere) == before
    with pytest.raises(ConfigError):
        remove(store.folder, ["../elsewhere"])


def test_a_kill_in_the_middle_leaves_a_store_that_makes_sense(store, monkeypatch, cpu):
    def killed(path):
        next(path.rglob("*.safetensors"), path / "artifact.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(removal.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(store.folder, [store.places(BASE).labels.name])
    monkeypatch.undo()
    listing = Listing(store.folder)
    assert [path.name[:9] for path in listing.strays()] == [".deleted-"]
    store.make(BASE, runtime=cpu)
    assert store.finished(BASE)
    remove(store.folder, prune=True)
    assert Listing(store.folder).strays() == []
    assert not list(store.folder.glob(".deleted-*"))


def test_a_run_folder_goes_as_a_whole_but_for_what_is_not_ours(store, tmp_path):
    run, places = tmp_path / "mine" / "demo", store.places(BASE)
    for kind in ("teacher", "condensed", "labels", "score"):
        shutil.copytree(getattr(places, kind), run / kind)
    for name in ("log.csv", "condensed.png", "notes.txt"):
        (run / name).write_text("x")
    shutil.copytree(run, tmp_path / "mine" / "other")
    (tmp_path / "mine" / "other" / "notes.txt").unlink()
    remove(tmp_path / "mine", ["demo/score"])
    assert names(run) == {"teacher", "condensed", "labels", "log.csv", "condensed.png", "notes.txt"}
    remove(tmp_path / "mine", ["demo"])
    assert names(run) == {"notes.txt"}
    remove(tmp_path / "mine", ["other"])
    assert names(tmp_path / "mine") == {"demo"}


def test_nothing_to_do_is_nothing(store):
    before = every_file(store.folder)
    assert not remove(store.folder, prune=True)
    assert every_file(store.folder) == before
    assert re.fullmatch("[0-9a-f]{12}", key(store, SPARSE))
