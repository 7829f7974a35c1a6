import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from sre2l_core.data import load
from sre2l_core.errors import ConfigError


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_every_digit_is_in_one_split_and_a_fifth_of_each_is_held_out(digits):
    source = load_digits()
    images = torch.cat([digits.train.images, digits.val.images])[:, 0]
    labels = torch.cat([digits.train.labels, digits.val.labels])
    ours = sorted((int(label), bytes(image.numpy())) for image, label in zip(images, labels, strict=True))
    pixels = (torch.from_numpy(source.images) * 255 / 16).round().byte()
    theirs = sorted((int(label), bytes(image.numpy())) for image, label in zip(pixels, source.target, strict=True))
    assert ours == theirs
    share = digits.val.labels.bincount() / labels.bincount()
    assert ((share > 0.19) & (share < 0.21)).all()


def test_black_and_white_are_the_ends_of_the_grey_scale(digits):
    assert digits.train.images.unique().tolist() == [round(level * 255 / 16) for level in range(17)]


def test_the_split_is_the_same_for_every_seed(digits):
    assert torch.equal(load("digits", seed=7).val.images, digits.val.images)


def test_statistics_are_those_of_the_training_part(digits):
    pixels = digits.train.images.double() / 255
    assert digits.spec.mean == pytest.approx((pixels.mean().item(),), abs=5e-5)
    assert digits.spec.std == pytest.approx((pixels.std(correction=0).item(),), abs=5e-5)


def test_spec(digits):
    assert digits.name == "digits"
    assert digits.spec.classes == tuple("0123456789")
    assert (digits.spec.channels, digits.spec.size) == (1, (8, 8))


def test_another_resolution_is_a_bilinear_resize_of_the_same_images(digits):
    larger = load("digits", resolution=16)
    assert larger.spec.resolution == 16
    expected = interpolate(digits.val.images.float(), (16, 16), mode="bilinear").round()
    assert (larger.val.images - expected).abs().max() <= 1
    assert larger.val.labels.equal(digits.val.labels)


def test_a_subset_keeps_the_images_of_its_classes(digits):
    some = load("digits", classes=["7", "3"])
    assert some.spec.classes == ("3", "7")
    assert torch.equal(some.val.images[some.val.labels == 1], digits.val.images[digits.val.labels == 7])
    assert len(some.train) == digits.train.labels.bincount()[[3, 7]].sum()


def test_unknown_class():
    with pytest.raises(ConfigError, match="unknown class 'seven'"):
        load("digits", classes=["seven", "3"])
