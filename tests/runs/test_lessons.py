"""Beginnings for the notebooks."""

from dataclasses import replace

import pytest

from sre2l_core import presets
from sre2l_core.artifacts import Teacher
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.runs import lessons
from sre2l_core.runtime import Runtime


def test_a_lesson_has_the_settings_of_its_preset() -> None:
    assert lessons.recipe("digits") == presets.get("digits")
    seeded = lessons.recipe("digits", seed=7)
    assert [seeded.squeeze.seed, seeded.recover.seed, seeded.relabel.seed, seeded.validate.seed] == [7, 7, 7, 7]


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_a_fast_lesson_is_the_same_but_short(name: str) -> None:
    root = "nowhere" if name.startswith("folder") else ""
    full, fast = presets.over(presets.get(name), root), lessons.recipe(name, data_root=root, fast=True)
    assert (fast.squeeze.epochs, fast.recover.ipc, fast.recover.steps) == (3, 2, 20)
    assert (fast.validate.epochs, fast.validate.seeds) == (3, 2)
    fast.check()
    lengths = {"epochs", "warmup_epochs", "ipc", "steps", "seeds"}
    for part in ("data", "squeeze", "recover", "relabel", "validate"):
        before, after = getattr(full, part).model_dump(), getattr(fast, part).model_dump()
        assert {field for field in before if before[field] != after[field]} <= lengths
    assert fast.relabel == full.relabel


def test_fast_never_makes_anything_longer() -> None:
    fast = lessons.recipe("digits/smoke", fast=True)
    assert (fast.squeeze.epochs, fast.recover.ipc, fast.recover.steps) == (2, 2, 4)
    assert (fast.validate.epochs, fast.validate.seeds) == (2, 2)


def test_a_teacher_is_squeezed_as_the_recipe_says(tiny_data: Dataset, cpu: Runtime) -> None:
    squeeze = SqueezeConfig(backbone="convnet", backbone_options={"depth": 2, "width": 8}, epochs=2)
    recipe = replace(presets.get("digits"), squeeze=squeeze)
    teacher = lessons.teacher_for(recipe, data=tiny_data, runtime=cpu)
    assert isinstance(teacher, Teacher)
    assert teacher.spec == tiny_data.spec
    assert teacher.origin["config"]["epochs"] == 2
