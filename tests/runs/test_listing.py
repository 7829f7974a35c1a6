"""What is found in stores and run folders: from notes, and from manifests where there are none."""

import shutil

import pytest
from small_runs import BASE, SPARSE, WARM, key

from sre2l_core import presets, storage
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.runs.listing import Listing
from sre2l_core.runs.parts import varying


def without_notes(store):
    for path in store.folder.glob("run-*.json"):
        path.unlink()
    return Listing(store.folder)


def test_notes_say_what_each_run_asked_for(store):
    listing = Listing(store.folder)
    assert set(listing.runs) == {key(store, recipe) for recipe in (BASE, WARM, SPARSE)}
    run = listing.runs[key(store, WARM)]
    assert run.settings == WARM.settings()
    assert varying(list(listing.runs.values())) == ["recover.alpha_bn", "validate.temperature", "store_labels"]
    assert [part.kind for part in run.parts] == ["teacher", "condensed", "labels", "score"]
    assert [part.kind for part in listing.runs[key(store, SPARSE)].parts] == ["teacher", "condensed", "score"]
    row = run.score.row("condensed", "soft")
    middle = 100 * sum(row.last) / 2
    assert run.state.startswith(f"{middle:.1f} ± ")
    assert run.state.endswith("%, n = 2")


def test_what_was_made_from_what_is_the_same_with_and_without_notes(store):
    noted = Listing(store.folder)
    bare = without_notes(store)
    assert set(bare.runs) == set(noted.runs)
    assert bare.parents == noted.parents
    assert len(bare.parents) == 6  # two sets of images, one of labels, three scores
    ours = bare.runs[key(store, SPARSE)]
    assert ours.settings["recover.alpha_bn"] == 0.5
    assert ours.settings["validate.temperature"] == SPARSE.validate.temperature
    assert (ours.settings["data.data"], ours.settings["data.resolution"]) == ("digits", 8)
    assert [part.kind for part in ours.parts] == ["teacher", "condensed", "score"]


def test_everything_is_needed_until_a_run_is_gone(store):
    listing = Listing(store.folder)
    assert listing.unneeded() == []
    (teacher,) = listing.children()
    assert [part.kind for part in listing.made_from(teacher)] == ["condensed"] * 2 + ["labels"] + ["score"] * 3
    assert {run.name for run in listing.runs_with(listing.find("labels"))} == {key(store, BASE), key(store, WARM)}
    store.note(SPARSE).unlink()
    shutil.rmtree(store.places(SPARSE).score)
    listing = Listing(store.folder)
    assert [part.folder for part in listing.unneeded()] == [store.places(SPARSE).condensed]
    assert listing.strays() == [store.places(SPARSE).log]


def test_a_run_that_was_only_begun_needs_what_it_will_be_made_from(store, cpu):
    fresh = BASE.but(recover={"steps": 9})

    def stop(event):
        if event.stage == "recover":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make(fresh, runtime=cpu, on_step=stop)
    run = Listing(store.folder).runs[key(store, fresh)]
    assert run.state == "unfinished: no condensed yet"
    assert Listing(store.folder).unneeded() == []


def test_who_works_there_is_said(store):
    with storage.held(store.places(BASE).condensed):
        assert "this very process" in Listing(store.folder).runs[key(store, BASE)].parts[1].state


def test_a_run_folder_and_a_folder_of_them(store, tmp_path):
    """As `sre2l run --out` makes them: the parts of one run in a folder."""
    places = store.places(BASE)
    for number in (1, 2):
        for kind in ("teacher", "condensed", "labels", "score"):
            shutil.copytree(getattr(places, kind), tmp_path / "mine" / f"run{number}" / kind)
    shutil.rmtree(tmp_path / "mine" / "run2" / "score")
    listing = Listing(tmp_path / "mine")
    assert set(listing.runs) == {"run1", "run2"}
    assert listing.runs["run1"].settings["recover.alpha_bn"] == BASE.recover.alpha_bn
    assert listing.runs["run2"].state == "unfinished: no score yet"
    assert listing.unneeded() == []
    assert [part.name for part in listing.made_from(listing.find("run1/condensed"))] == ["run1/labels", "run1/score"]
    assert set(Listing(tmp_path / "mine" / "run1").runs) == {"run1"}
    shutil.copytree(store.folder, tmp_path / "mine" / "paper")
    assert Listing(tmp_path / "mine").notes == [f"{tmp_path / 'mine' / 'paper'} is a store of runs: look there"]


def test_names_may_be_short_and_unknown_ones_are_answered(store):
    listing = Listing(store.folder)
    name = key(store, SPARSE)
    assert listing.find(name[:6]) == listing.runs[name]
    assert listing.find("labels-").kind == "labels"
    with pytest.raises(ConfigError, match=f"unknown run or part .* 'labels0'.*{store.places(BASE).labels.name}"):
        listing.find("labels0")
    for ambiguous in ("score-", ""):
        with pytest.raises(ConfigError, match="Known"):
            listing.find(ambiguous)
    with pytest.raises(ConfigError, match="unknown run or part"):
        listing.find("../store")


def test_a_note_that_is_damaged_or_leads_elsewhere_is_named_and_the_run_is_found_all_the_same(store):
    store.note(BASE).write_text("{")
    body = {**storage.read_json(store.note(WARM)), "parts": {"teacher": "../precious", "score": "score-0"}}
    storage.write_json(store.note(WARM), body)
    listing = Listing(store.folder)
    assert len(listing.notes) == 2
    for recipe, reason in ((BASE, "is damaged"), (WARM, "names parts that are none")):
        assert [note for note in listing.notes if reason in note and store.note(recipe).name in note]
    assert set(listing.runs) == {key(store, recipe) for recipe in (BASE, WARM, SPARSE)}
    assert listing.runs[key(store, WARM)].settings["validate.temperature"] == 2.0
    assert listing.unneeded() == []


def test_what_cannot_be_listed_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="there is no folder"):
        Listing(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="holds no runs"):
        Listing(tmp_path)
    storage.write_json(tmp_path / "store.json", {"kind": "store of runs", "format": 2})
    with pytest.raises(ArtifactError, match="written by a newer"):
        Listing(tmp_path)


def test_a_part_of_a_newer_version_is_listed_with_its_reason(store):
    path = store.places(BASE).score / "artifact.json"
    storage.write_json(path, {**storage.read_json(path), "format": 99})
    run = Listing(store.folder).runs[key(store, BASE)]
    assert run.score is None
    assert "format 99" in run.state
    assert presets.Recipe.of(storage.read_json(store.note(BASE))["recipe"]) == BASE
