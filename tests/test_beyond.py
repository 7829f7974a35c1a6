"""The successors' methods: sets of classes that do not meet, and what each method changes."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from sre2l_core import paper, presets
from sre2l_core.__main__ import main
from sre2l_core.data import DatasetSpec
from sre2l_core.paper import Budget
from sre2l_core.presets import repeated, smoke
from sre2l_core.presets.beyond import HELD_OUT, METHODS, SETS, WITH_COMMITTEE
from sre2l_core.presets.tiny_imagenet import TEN, ten_from_noise
from sre2l_core.registry import catalogue
from sre2l_core.runs.store import Store
from sre2l_core.stages.recover import plan, recover


def test_sets_share_no_class_and_those_of_reports_none_that_a_recipe_was_tuned_on():
    assert all(len(set(classes)) == 10 for classes in SETS.values())
    assert not any(set(one) & set(other) for one, other in combinations(SETS.values(), 2))
    assert not any(set(TEN) & set(SETS[name]) for name in "bcd")


@pytest.mark.data
def test_sets_are_every_twentieth_class():
    root = Path(os.environ["SRE2L_DATA"]) if "SRE2L_DATA" in os.environ else pytest.skip("SRE2L_DATA is not set")
    known = sorted((root / "tiny-imagenet" / "wnids.txt").read_text().split())
    assert {name: tuple(known[first::20]) for name, first in {"a": 2, "b": 9, "c": 10, "d": 19}.items()} == SETS


@pytest.mark.parametrize("classes", SETS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_changes_recovery_and_who_teaches_and_only_the_first_set_holds_images_out(classes, method):
    changed = ten_from_noise.differences(presets.get(f"beyond-{classes}/{method}"))
    held = {"data.holdout"} if classes == "a" else set()
    several = {"squeeze.others", "relabel.label_by"} if method in WITH_COMMITTEE else set()
    recovery = {f"recover.{name}" for name in METHODS[method]}
    assert changed.keys() == {"data.classes"} | held | several | recovery


@pytest.mark.parametrize("method", METHODS)
def test_a_method_recovers_images_of_its_own(method, tiny_teacher, tiny_data, cpu):
    def images(name):
        config = presets.get(f"beyond-b/{name}").recover
        small = config.but(ipc=4, steps=min(config.steps, 4), group_images=min(config.group_images, 4))
        return recover(tiny_teacher, small, runtime=cpu, data=tiny_data).images

    found = images(method)
    assert len(found) == 4 * tiny_data.spec.num_classes
    assert not found.equal(images("sre2l" if method != "sre2l" else "rded"))


def test_the_comparison_has_all_methods_beside_random_images_and_each_set_has_one_teacher():
    beyond = paper.get("beyond", "comparisons")
    store = Store("nowhere")
    for name, columns in {"tuning": 1, "laptop": 3, "one": 3}.items():
        cells = beyond.budget(name).cells
        assert len(cells) == columns * (1 + len(METHODS))
        assert {cell.row for cell in cells} == set(beyond.numbers)
        recipes = [recipe for cell in cells for recipe in cell.recipes]
        assert len({store.places(recipe).score for recipe in recipes}) == 2 * len(cells)
        assert len({store.places(recipe).teacher for recipe in recipes}) == 2 * columns  # one alone, one committee
        first = {store.places(recipe).members[0] for recipe in recipes if recipe.squeeze.others}
        assert first < {store.places(recipe).teacher for recipe in recipes}
        held = {recipe.data.holdout for recipe in recipes}
        assert held == ({HELD_OUT} if name == "tuning" else {0.0})
        for recipe in recipes:
            plan(recipe.recover, DatasetSpec("ten", recipe.data.classes, 3, 64, (0.5,) * 3, (0.25,) * 3))


def test_it_runs_and_its_page_speaks_of_no_paper(tmp_path, capsys, monkeypatch):
    entry = paper.get("beyond", "comparisons")
    small = smoke(presets.get("digits")).but(data={"resolution": 8}, validate={"seeds": 1, "against": ()})
    cells = []
    for cell in entry.budget("laptop").cells[:3]:
        recover = cell.recipes[0].recover
        kept = {"init": recover.init, "steps": min(recover.steps, 2), "crop_curriculum": recover.crop_curriculum}
        cells.append(replace(cell, recipes=repeated(small.but(recover=kept), 2)))
    budgets = {"laptop": Budget("A moment.", tuple(cells))}
    monkeypatch.setitem(catalogue("comparisons"), "beyond", replace(entry, budgets=budgets))
    page = tmp_path / "page.md"
    line = ["compare", "beyond", "--out", str(tmp_path / "store"), "--device", "cpu", "--page", str(page)]
    assert main(line) == 0
    told = page.read_text(encoding="utf-8")
    assert told.startswith("# Beyond the paper")
    assert "`sre2l compare beyond --budget laptop`" in told
    assert "*CDA* less *random real*: set B, 10 a class" in told
    assert "in the paper" not in told
    assert main(["compare"]) == 0
    assert "beyond" in capsys.readouterr().out
    assert main(["compare", "beyont"]) == 2
    assert "Did you mean 'beyond'" in capsys.readouterr().err
