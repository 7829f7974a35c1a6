"""The drawn lesson set: what it holds, that it is the same everywhere, and that it is neither trivial nor hopeless."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from sre2l_core.data import drawings, load
from sre2l_core.errors import ConfigError


@pytest.fixture(scope="module")
def drawn():
    return load("drawings")


def test_spec(drawn):
    assert drawn.spec.class_names == drawn.spec.classes
    assert drawn.spec.classes == (
        "sun", "rainbow", "tree", "flower", "house", "car", "boat", "fish", "heart", "umbrella",
    )  # fmt: skip
    assert (drawn.spec.channels, drawn.spec.size) == (3, (32, 32))
    assert drawn.train.labels.bincount().tolist() == [100] * 10
    assert drawn.val.labels.bincount().tolist() == [50] * 10


def test_statistics_are_those_of_the_training_part(drawn):
    pixels = drawn.train.images.double() / 255
    assert drawn.spec.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=2e-3)
    assert drawn.spec.std == pytest.approx(pixels.transpose(0, 1).flatten(1).std(1, correction=0).tolist(), abs=2e-3)


def test_a_picture_depends_on_its_class_and_number_only(drawn):
    again = drawings.picture(3, 7)
    np.random.default_rng(0).random()
    assert np.array_equal(np.asarray(again), np.asarray(drawings.picture(3, 7)))
    own = drawn.train.images[drawn.train.labels == 3]
    assert np.array_equal(np.asarray(again), own[7].permute(1, 2, 0).numpy())
    last = drawn.val.images[drawn.val.labels == 3][-1]
    assert np.array_equal(np.asarray(drawings.picture(3, 149)), last.permute(1, 2, 0).numpy())


def test_no_picture_comes_twice_and_the_parts_share_none(drawn):
    both = torch.cat([drawn.train.images, drawn.val.images]).flatten(1)
    assert len(both.unique(dim=0)) == len(both)


def test_the_seed_changes_nothing(drawn):
    assert torch.equal(load("drawings", seed=7).val.images, drawn.val.images)


def test_colours_are_those_of_the_things(drawn):
    """In the middle of the picture: suns and hearts have little blue, trees are green, hearts are red."""
    middle = drawn.train.images[:, :, 12:20, 12:20].double().mean((2, 3))
    red, green, blue = torch.stack([middle[drawn.train.labels == label].mean(0) for label in range(10)]).unbind(1)
    sun, tree, heart = (drawn.spec.classes.index(name) for name in ("sun", "tree", "heart"))
    assert blue[sun] < 0.7 * red[sun]
    assert green[tree] > 1.15 * max(red[tree], blue[tree])
    assert red[heart] > 1.5 * max(green[heart], blue[heart])


def test_colours_alone_do_not_tell_the_classes_apart(drawn):
    """The nearest mean colour errs often, the nearest training image now and then: shapes have to be learnt."""

    def errors(train, val, labels):
        nearest = torch.cdist(val.double(), train.double()).argmin(1)
        return (labels[nearest] != drawn.val.labels).double().mean()

    colours = [split.images.double().mean((2, 3)) for split in (drawn.train, drawn.val)]
    pixels = [split.images.flatten(1) for split in (drawn.train, drawn.val)]
    assert errors(*colours, drawn.train.labels) > 0.4
    assert 0.03 < errors(*pixels, drawn.train.labels) < 0.3


def test_another_resolution_is_a_bilinear_resize_of_the_same_images(drawn):
    larger = load("drawings", resolution=48)
    expected = interpolate(drawn.val.images.float(), (48, 48), mode="bilinear").round()
    assert (larger.val.images - expected).abs().max() <= 1


def test_a_subset_keeps_the_images_of_its_classes(drawn):
    some = load("drawings", classes=["heart", "tree"])
    assert some.spec.classes == ("tree", "heart")
    assert torch.equal(some.val.images[some.val.labels == 0], drawn.val.images[drawn.val.labels == 2])


def test_unknown_class():
    with pytest.raises(ConfigError, match=r"unknown class 'hart'.*Did you mean 'heart'"):
        load("drawings", classes=["hart", "tree"])
