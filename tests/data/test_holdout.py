"""Holding out a part of the training images: what stays together, what is refused, who may judge."""

import pytest
import torch

from sre2l_core import presets
from sre2l_core.artifacts import Score, Teacher
from sre2l_core.config import DataConfig
from sre2l_core.data import Dataset, ResidentSplit, held_out, load
from sre2l_core.errors import ArtifactError, ConfigError, DataError
from sre2l_core.runs.pipeline import load_data, run
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.squeeze import squeeze
from sre2l_core.stages.validate import validate

SMALL = presets.get("digits/smoke").but(data={"resolution": 8}, recover={"init": "random"}, validate={"seeds": 2})


def pixels(split):
    return set(map(bytes, split.take(torch.arange(len(split))).flatten(1).numpy()))


def test_the_share_is_that_of_every_class_and_of_whole_images():
    whole, held = load("digits"), load("digits", holdout=0.25)
    counts, ours = whole.train.labels.bincount(), held.val.labels.bincount()
    assert ours.tolist() == [round(count / 4) for count in counts.tolist()]
    assert (held.train.labels.bincount() + ours).equal(counts)
    assert len(held.train_rows[3]) == held.train.labels.eq(3).sum()


def test_no_test_image_can_be_reached():
    whole, held = load("digits", resolution=16), load("digits", resolution=16, holdout=0.5)
    assert not pixels(whole.val) & (pixels(held.train) | pixels(held.val))
    assert not pixels(held.train) & pixels(held.val)


def test_the_seed_alone_decides_which_images():
    first, again, other = (load("digits", holdout=0.2, holdout_seed=seed) for seed in (1, 1, 2))
    assert pixels(first.val) == pixels(again.val) != pixels(other.val)
    recipe = presets.get("digits").but(data={"holdout": 0.2})
    assert recipe.seeded(7).data == recipe.data  # the seeds of stages and of students are others


def test_the_order_of_classes_stays_where_some_are_chosen():
    held = load_data(DataConfig(data="digits", classes=("7", "3"), holdout=0.2))
    assert held.spec.classes == ("3", "7")
    assert set(held.val.labels.tolist()) == {0, 1}


def test_a_class_of_one_image_and_a_share_that_is_none_are_refused(tiny_spec, tiny_data):
    pair = ResidentSplit(tiny_spec, tiny_data.train.images[:9], tiny_data.train.labels[:9])  # "eel" once
    with pytest.raises(DataError, match=r"fewer than two training images of class 'eel': .*classes"):
        held_out(Dataset(tiny_spec, pair, pair), 0.2)
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            held_out(tiny_data, share)
    with pytest.raises(ConfigError, match=r"DataConfig\.holdout"):
        DataConfig(holdout=1.0)


def test_all_stages_see_the_rest_and_the_table_says_who_judged(tmp_path, cpu):
    said = []
    recipe = SMALL.but(data={"holdout": 0.4, "holdout_seed": 2})
    outcome = run(recipe, tmp_path, runtime=cpu, say=said.append)
    data = load("digits", num_classes=2, resolution=8)
    judges = pixels(outcome.data.val)
    assert judges <= pixels(data.train)
    assert not judges & set(map(bytes, outcome.condensed.images.flatten(1).numpy()))  # recovery began with real images
    sentence = "40 % of the training images, held out with seed 2; the test images were not looked at"
    assert Score.load(tmp_path / "score").table().endswith(f"judged on {sentence}")
    assert any("the test images are not looked at" in line for line in said)
    with pytest.raises(ArtifactError, match=r"holds another run: holdout"):  # not the teacher of all images
        run(SMALL, tmp_path, runtime=cpu)
    assert "judged" not in run(SMALL, tmp_path / "whole", runtime=cpu).score.table()


def test_a_teacher_that_saw_the_judges_is_refused(tiny_data, tiny_condensed, cpu):
    config = SMALL.squeeze.but(batch_size=10)
    held, other = held_out(tiny_data, 0.25), held_out(tiny_data, 0.25, seed=1)
    honest = squeeze(held, config, runtime=cpu)
    settings = SMALL.validate.but(seeds=1, epochs=1, warmup_epochs=0, against=("random",), hard_labels=False)

    def score(teacher: Teacher, data: Dataset) -> Score:
        labels = LiveLabels(teacher, tiny_condensed, SMALL.relabel, runtime=cpu)
        return validate(tiny_condensed, labels, data, settings, teacher=teacher, runtime=cpu)

    assert score(honest, held).judge.startswith("25 % of the training images")
    assert score(honest, tiny_data).judge == "the validation images"
    for data in (held, other):
        with pytest.raises(DataError, match=r"trained on images that are to judge.*holdout_seed"):
            score(squeeze(tiny_data if data is held else held, config, runtime=cpu), data)
