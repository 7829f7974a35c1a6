"""Curves in a store: experts are runs, found again; what is leak-free has seen no other class."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import workloads

from sre2l_core import presets
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.commands.runs import listed
from sre2l_core.continual import ContinualConfig, arrivals
from sre2l_core.errors import ConfigError
from sre2l_core.presets.recipe import smoke
from sre2l_core.runs import continual
from sre2l_core.runs.listing import Listing
from sre2l_core.runs.parts import Curve
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runs.removal import planned, remove
from sre2l_core.runs.store import Store

RECIPE = smoke(presets.get("digits")).but(
    data={"num_classes": 4, "resolution": 8},
    squeeze={"epochs": 1, "batch_size": 128},
    validate={"seeds": 1, "against": (), "hard_labels": False, "eval_every": 10},
    store_labels=False,
)
TWO = ContinualConfig(steps=2, order=("2", "0", "3", "1"))


def test_the_references_setting_is_one_run_and_a_score_for_each_step(tmp_path, cpu):
    store = Store(tmp_path)
    curve = continual.curve(RECIPE, TWO, store, runtime=cpu)
    assert [(point.arrived, point.seen, point.score.images) for point in curve] == [((2, 0), 2, 4), ((3, 1), 4, 8)]
    assert [path.name.split("-")[0] for path in sorted(tmp_path.iterdir())].count("teacher") == 1
    place = continual.place(RECIPE, TWO, store)
    assert sorted(path.name for path in place.iterdir()) == ["step-1", "step-2"]
    assert [continual.finished(RECIPE, TWO, store, step) for step in (1, 2, 3)] == [True, True, False]
    events = []
    assert continual.curve(RECIPE, TWO, store, runtime=cpu, on_step=events.append) == curve
    assert events == []


def test_what_is_leak_free_knows_its_own_classes_and_serves_every_memory(tmp_path, cpu):
    store, leak_free = Store(tmp_path), TWO.but(leak_free=True)
    curve = continual.curve(RECIPE, leak_free, store, runtime=cpu)
    assert [point.score.images for point in curve] == [4, 8]
    teachers = [Teacher.load(path) for path in tmp_path.glob("teacher-*")]
    assert {teacher.spec.classes for teacher in teachers} == {("0", "2"), ("1", "3")}
    assert {CondensedSet.load(path).spec.classes for path in tmp_path.glob("condensed-*")} == {("0", "2"), ("1", "3")}
    stages = []
    real = continual.curve(
        RECIPE, leak_free.but(memory="random"), store, runtime=cpu, on_step=lambda event: stages.append(event.stage)
    )
    assert set(stages) == {"validate"}
    assert [point.score.images for point in real] == [4, 8]


@pytest.mark.parametrize("leak_free", [False, True])
def test_a_baselines_memory_holds_real_images(tmp_path, cpu, leak_free):
    config = TWO.but(memory="random", leak_free=leak_free)
    given = continual.prepared(RECIPE, config, Store(tmp_path), runtime=cpu).experts
    assert len(given) == (2 if leak_free else 1)
    data = load_data(RECIPE.data)
    for expert in given:
        assert expert.images.spec.classes == expert.teacher.spec.classes
        for image, label in zip(expert.images.images, expert.images.labels.tolist(), strict=True):
            own = data.train_rows[data.spec.classes.index(expert.images.spec.classes[label])]
            assert (data.train.images[own] == image).flatten(1).all(1).any()
        assert expert.images.labels.bincount().tolist() == [RECIPE.recover.ipc] * expert.images.spec.num_classes


def test_curves_that_differ_lie_apart(tmp_path):
    store = Store(tmp_path)
    kinds = [
        TWO,
        TWO.but(leak_free=True),
        TWO.but(memory="random"),
        TWO.but(steps=1),
        TWO.but(budget=5),
        TWO.but(seed=1),
    ]
    places = {continual.place(recipe, kind, store) for kind in kinds for recipe in (RECIPE, RECIPE.seeded(1))}
    assert len(places) == 2 * len(kinds)
    moved = RECIPE.but(data={"data_root": tmp_path})
    assert continual.place(moved, TWO, store) == continual.place(RECIPE, TWO, store)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"memory": "radnom"}, "unknown start 'radnom'. Did you mean 'random'"),
        ({"steps": 5, "order": None}, "4 classes cannot arrive in 5 steps"),
        ({"steps": 3, "leak_free": True}, "Take at most 2 steps"),
        ({"order": ("2", "0", "3", "9")}, "unknown class id of digits '9'"),
    ],
)
def test_nothing_is_made_of_what_is_refused(tmp_path, cpu, asked, said):
    store = Store(tmp_path / "store")
    with pytest.raises(ConfigError) as raised:
        continual.curve(RECIPE, TWO.but(**asked), store, runtime=cpu)
    assert said in str(raised.value)
    assert not (tmp_path / "store").exists()


def test_both_settings_agree_where_all_classes_arrive_at_once(tmp_path, cpu):
    """One step: the teacher of the step has seen everything, and so has the reference's."""
    store, at_once = Store(tmp_path), ContinualConfig(steps=1)
    curves = [continual.curve(RECIPE, at_once.but(leak_free=free), store, runtime=cpu) for free in (False, True)]
    data = load_data(RECIPE.data)
    assert arrivals(data.spec, at_once)[0] == curves[0][0].arrived
    images = [CondensedSet.load(path).images for path in tmp_path.glob("condensed-*")]
    assert all(torch.equal(images[0], other) for other in images[1:])
    assert curves[0][0].score.last == curves[1][0].score.last


def test_the_listing_knows_curves_what_they_need_and_what_goes_with_them(tmp_path, cpu):
    store = Store(tmp_path)
    continual.curve(RECIPE, TWO, store, runtime=cpu)
    continual.curve(RECIPE, TWO.but(leak_free=True), store, runtime=cpu)
    listing = Listing(tmp_path)
    names = {config: continual.place(RECIPE, config, store).name for config in (TWO, TWO.but(leak_free=True))}
    assert set(listing.curves) == set(names.values())
    curve = listing.curves[names[TWO]]
    assert curve.settings["continual.steps"] == 2
    assert curve.state.endswith("%, n = 1")
    assert listing.unneeded() == []
    assert listing.strays() == []
    (teacher,) = [part for part in curve.parts if part.kind == "teacher"]
    assert curve.parts[-1] in listing.made_from(teacher)
    assert curve in listing.runs_with(teacher)
    leak_free = listing.curves[names[TWO.but(leak_free=True)]]
    assert len([part for part in leak_free.parts if part.kind == "teacher"]) == 2
    lines = "\n".join(listed(listing))
    assert f"{curve.name}, memory = condensed, steps = 2, leak_free = False, seed = 0: " in lines
    removal = planned(listing, [teacher.name])
    assert curve.name in removal.runs
    assert leak_free.name not in removal.runs
    remove(tmp_path, [curve.name])
    left = Listing(tmp_path)
    assert set(left.curves) == {leak_free.name}
    assert not (tmp_path / curve.name).exists()
    assert teacher.name in left.parts


def test_a_curve_half_made_without_a_note_or_with_a_damaged_one_is_listed(tmp_path, cpu):
    store = Store(tmp_path)
    continual.curve(RECIPE, TWO, store, runtime=cpu)
    place, noted = continual.place(RECIPE, TWO, store), continual.note(RECIPE, TWO, store)
    (place / "step-2" / "artifact.json").unlink()
    assert Listing(tmp_path).curves[place.name].state == "unfinished: 1 of 2 steps"
    noted.write_text("{")
    listing = Listing(tmp_path)
    assert "is damaged. Delete this file" in listing.notes[0]
    assert listing.curves[place.name].settings == {}
    noted.unlink()
    listing = Listing(tmp_path)
    assert listing.curves[place.name].state == "unfinished: 1 of 2 steps"
    assert listing.unneeded() == []
    assert isinstance(listing.find(place.name[:14]), Curve)


@pytest.mark.parametrize("leak_free", [False, True])
def test_workers_make_the_runs_and_train_the_students_of_all_steps(tmp_path, cpu, leak_free):
    config = TWO.but(leak_free=leak_free)
    alone = continual.curve(RECIPE, config, Store(tmp_path / "alone"), runtime=cpu)
    with ThreadPoolExecutor(2) as executor:
        counting = workloads.Counting(executor)
        shared = continual.curve(RECIPE, config, Store(tmp_path / "shared"), runtime=cpu, executor=counting)
    assert shared == alone
    assert [point.confusion.tolist() for point in shared] == [point.confusion.tolist() for point in alone]
    assert len([name for name in counting.names if name.startswith("teacher-")]) == 2 * leak_free
    assert len([name for name in counting.names if name.startswith(config.title)]) >= 2


@pytest.mark.parametrize("memory", ["herding", "k-center", "rded"])
def test_every_baseline_can_be_a_memory_and_its_score_says_so(tmp_path, cpu, memory):
    store, config = Store(tmp_path), TWO.but(memory=memory)
    curve = continual.curve(RECIPE, config, store, runtime=cpu)
    assert [point.score.images for point in curve] == [4, 8]
    assert {point.score.data for point in curve} == {config.title}
    (found,) = Listing(tmp_path).curves.values()
    assert found.state.endswith("%, n = 1")
    table = (continual.place(RECIPE, config, store) / "step-2" / "score.md").read_text("utf-8")
    assert config.title in table
