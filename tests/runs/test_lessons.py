"""Beginnings for the notebooks."""

from dataclasses import replace
from pathlib import Path

import pytest

from sre2l_core import presets
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig, SqueezeConfig
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
    assert (fast.squeeze.epochs, fast.recover.ipc, fast.recover.steps) == (3, 2, min(full.recover.steps, 20))
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


def test_a_saved_set_that_is_damaged_is_said_and_left_alone(
    tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime, tmp_path: Path
) -> None:
    saved = replace(tiny_condensed, origin={"teacher": tiny_teacher.id})
    saved.save(tmp_path)
    config, said = RecoverConfig(ipc=1, steps=1), list[str]()
    others = {"runtime": cpu, "saved": tmp_path, "made": tiny_condensed, "say": said.append}
    assert lessons.images_for(tiny_teacher, config, **others).id == saved.id
    assert said == [f"11 images that were saved in {tmp_path}"]
    picture = next(tmp_path.rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:-1])
    assert lessons.images_for(tiny_teacher, config, **others) is tiny_condensed
    assert "cannot be opened" in said[1]
    assert picture.name in said[1]
    assert picture.exists()
