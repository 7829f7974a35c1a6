import json

import pytest
import torch

from sre2l_core.data import DatasetSpec
from sre2l_core.errors import DataError

SPEC = DatasetSpec("toy", ("n1", "n2"), 3, 4, (0.5, 0.25, 0.0), (0.25, 0.5, 1.0), ("cat", "dog"))
GREY = DatasetSpec("grey", ("a", "b"), 1, 4, (0.5,), (0.25,))


def test_pixels_become_pixel_minus_mean_over_std_whatever_their_type():
    ends = torch.tensor([0, 255], dtype=torch.uint8).expand(3, 1, 2)
    expected = torch.tensor([[-2.0, 2.0], [-0.5, 1.5], [0.0, 1.0]])[:, None]
    assert torch.allclose(SPEC.normalize(ends), expected, atol=1e-6)
    assert torch.allclose(SPEC.normalize(ends.double() / 255), expected, atol=1e-6)
    assert SPEC.normalize(ends.double()).dtype == torch.float32


def test_every_grey_level_survives_the_way_there_and_back():
    levels = torch.arange(256, dtype=torch.uint8).expand(5, 3, 1, 256)
    assert torch.equal(SPEC.to_uint8(SPEC.normalize(levels)), levels)
    assert torch.allclose(SPEC.denormalize(SPEC.normalize(levels)) * 255, levels.float(), atol=1e-4)


def test_to_uint8_rounds_and_clamps_where_denormalize_does_neither():
    pixels = torch.tensor([-0.3, 99.6 / 255, 1.7]).expand(3, 1, 3)
    images = SPEC.normalize(pixels)
    assert SPEC.to_uint8(images)[0, 0].tolist() == [0, 100, 255]
    assert torch.allclose(SPEC.denormalize(images), pixels, atol=1e-6)


def test_denormalize_lets_gradients_through():
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    SPEC.denormalize(images).sum().backward()
    assert images.grad is not None
    assert images.grad[0, :, 0, 0].tolist() == [0.25, 0.5, 1.0]


def test_bounds_and_black_are_the_ends_of_the_visible_range():
    low, high = SPEC.bounds("cpu")
    assert low.shape == high.shape == (3, 1, 1)
    assert low.flatten().tolist() == [-2.0, -0.5, 0.0]
    assert high.flatten().tolist() == [2.0, 1.5, 1.0]
    assert torch.equal(SPEC.black, low.flatten())


def test_shape_and_names():
    assert (SPEC.num_classes, SPEC.size) == (2, (4, 4))
    assert SPEC.class_names == ("cat", "dog")
    assert GREY.class_names == ("a", "b")


def test_json_round_trip():
    assert DatasetSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


@pytest.mark.parametrize("change", [{"std": None}, {"colour": 3}])
def test_json_with_missing_or_unknown_fields_is_refused(change):
    values = {name: value for name, value in (SPEC.to_json() | change).items() if value is not None}
    with pytest.raises(DataError, match=next(iter(change))):
        DatasetSpec.from_json(values)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("n2", "n1"), "index 0 is 'n1' in 'toy' .* and 'n2' in 'other'"),
        (("n1", "n3"), "index 1 is 'n2' in 'toy' .* and 'n3' in 'other'"),
        (("n1", "n2", "n3"), r"index 2 is missing in 'toy' \(2 classes\) and 'n3' in 'other' \(3 classes\)"),
    ],
)
def test_another_class_map_is_refused_at_its_first_difference(classes, message):
    other = DatasetSpec("other", classes, 1, 8, (0.0,), (1.0,))
    with pytest.raises(DataError, match=message):
        SPEC.check_same_classes(other)


def test_the_same_class_map_may_have_other_pixels():
    SPEC.check_same_classes(DatasetSpec("other", ("n1", "n2"), 1, 8, (0.0,), (1.0,), ("x", "y")))


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": (0.5,)},
        {"std": (0.25, 0.0, 1.0)},
        {"classes": ("a", "a")},
        {"class_names": ("only one",)},
        {"resolution": 0},
        {"resolution": "4"},
        {"classes": ()},
        {"classes": ("a", 1)},
        {"classes": "ab"},
        {"channels": True},
        {"mean": (0.5, float("nan"), 0.0)},
        {"mean": 0.5},
        {"std": (0.25, 1e300, 1.0)},
        {"std": ("0.25", 0.5, 1.0)},
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changes):
    with pytest.raises(DataError, match="toy"):
        DatasetSpec.from_json(SPEC.to_json() | changes)


@pytest.mark.parametrize(
    "images", [torch.zeros(2, 1, 4, 4), torch.zeros(4, 4), torch.zeros(2, 3, 4, 4, dtype=torch.int64)]
)
def test_wrong_channels_or_dtype_are_named(images):
    with pytest.raises(DataError, match=r"toy: .*\(got"):
        SPEC.normalize(images)


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("crane, a bird", "jay"), ("crane", "jay")),
        (("crane, a bird", "crane, a machine"), ("crane (n1)", "crane (n2)")),
        ((", crane", "crane"), (", crane", "crane")),
        (("crane", "crane", "crane (n2)"), ("n1", "n2", "n3")),
    ],
)
def test_short_names_tell_classes_apart(names, short):
    classes = ("n1", "n2", "n3")[: len(names)]
    assert DatasetSpec("birds", classes, 1, 8, (0.5,), (0.5,), names).short_names == short


@pytest.mark.parametrize("values", [None, 3, "spec", []])
def test_a_description_that_is_none_is_refused(values):
    with pytest.raises(DataError, match="expected the description of a dataset"):
        DatasetSpec.from_json(values)
