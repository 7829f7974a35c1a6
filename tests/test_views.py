"""Views: drawn numbers against their distributions, applied ones against slice + interpolate."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional as F
from torchvision.transforms import RandomResizedCrop

from sre2l_core.config import MixedViewConfig, RecoverConfig, RelabelConfig, ViewConfig
from sre2l_core.errors import ConfigError
from sre2l_core.views import ViewParams, _largest_crop, apply, draw, matrices, mix, render

ROW_FIELDS = ("box", "flip", "roll")
DRAWS = 20_000


def noise(count, height, width, channels=3, dtype=torch.float32):
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=dtype)


def drawn(config, count=DRAWS, size=(64, 64), seed=5, epoch=2):
    return draw(config, seed=seed, epoch=epoch, ids=torch.arange(count), size=size)


def plain(count, box, flip=False, roll=(0, 0)):
    """The same unmixed view for every row."""
    return ViewParams(
        torch.tensor([box] * count),
        torch.tensor([flip] * count),
        torch.tensor([roll] * count),
        torch.arange(count),
        torch.ones(count),
        torch.zeros(count, 4),
    )


def twin(images, params, size, black=None):
    """Pad, slice, interpolate, flip, roll: one image after the other."""
    border = 70
    black = torch.zeros(images.shape[1]) if black is None else black
    views = []
    for row, image in enumerate(images):
        top, left, height, width = params.box[row].tolist()
        padded = F.pad(image - black[:, None, None], (border,) * 4) + black[:, None, None]
        crop = padded[None, :, border + top : border + top + height, border + left : border + left + width]
        view = F.interpolate(crop, (size, size), mode="bilinear", align_corners=False, antialias=True)[0]
        view = view.flip(2) if params.flip[row] else view
        views.append(view.roll(params.roll[row].tolist(), (1, 2)))
    return torch.stack(views)


@pytest.mark.parametrize("size", [5, 16, 31])
@pytest.mark.parametrize("crop", ["resized", "none"])
def test_apply_is_slice_interpolate_flip_and_roll(crop, size):
    images = noise(40, 16, 13)
    params = drawn(ViewConfig(crop=crop, roll=(-7, 9)), 40, (16, 13))
    exact = twin(images.double(), params, size)  # float32 interpolate is off by 4e-6 itself
    torch.testing.assert_close(apply(images, params, size=size).double(), exact, atol=1e-6, rtol=0)


@pytest.mark.parametrize("crop", ["resized", "padded"])
@pytest.mark.parametrize("size", [8, 28, 32, 64, 96])
def test_weights_are_those_of_double_precision_to_the_last_bit(crop, size):
    settings = ViewConfig(crop=crop, roll=(-3, 3))
    views = draw(settings, seed=5, epoch=1, ids=torch.arange(1000), size=(size, size))
    _, columns = matrices(views.geometry, (size, size), size)
    _, left, _, width, _, right, flip = views.geometry.numpy().T[:, :, None]
    place = (np.arange(size) - right) % size
    place = np.where(flip, size - 1 - place, place)
    scale, pixel = width / size, np.arange(size)
    centre = (left + (place + 0.5) * scale - 0.5)[:, :, None]
    expected = np.maximum(1 - np.abs(centre - pixel) / np.maximum(scale, 1)[:, :, None], 0)
    expected *= (pixel >= left[:, :, None]) & (pixel < (left + width)[:, :, None])
    expected /= np.maximum(expected.sum(2, keepdims=True), 1e-9)
    assert columns.equal(torch.from_numpy(expected.astype(np.float32)))


def test_padded_crops_show_black_outside_the_image():
    images, black = noise(40, 8, 8), torch.tensor([-2.0, 3.0, 0.5])
    params = drawn(ViewConfig(crop="padded", padding=3, roll=(0, 2)), 40, (8, 8))
    assert (params.box[:, :2] != 0).any()
    views = apply(images, params, size=8, black=black)
    torch.testing.assert_close(views, twin(images, params, 8, black), atol=1e-6, rtol=0)
    torch.testing.assert_close(apply(images, params, size=8), twin(images, params, 8), atol=1e-6, rtol=0)


def test_gradients_of_pixels():
    params = drawn(ViewConfig(crop_scale=(0.3, 1), roll=(0, 2)), 3, (5, 6))
    images = noise(3, 5, 6, channels=2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda pixels: apply(pixels, params, size=4), (images,))


def test_only_what_the_crop_shows_gets_a_gradient():
    images = noise(2, 8, 8).requires_grad_()
    apply(images, plain(2, (2, 3, 4, 5), flip=True, roll=(1, 3)), size=8).sum().backward()
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 3:8] = True
    assert (images.grad[:, :, inside] > 0).all()
    assert (images.grad[:, :, ~inside] == 0).all()


@given(st.permutations(range(30)), st.integers(1, 30), st.integers(0, 2**63 - 1), st.integers(0, 10_000))
def test_a_view_depends_on_seed_epoch_and_id_alone(order, count, seed, epoch):
    ids = torch.tensor(order[:count]) * 7919
    config = MixedViewConfig(mix="cutmix", roll=(-3, 3))
    together = draw(config, seed=seed, epoch=epoch, ids=ids, size=(9, 12))
    for row, image in enumerate(ids):
        alone = draw(config, seed=seed, epoch=epoch, ids=image[None], size=(9, 12))
        for name in (*ROW_FIELDS, "weight", "paste"):
            assert getattr(together, name)[row].equal(getattr(alone, name)[0])


@pytest.mark.parametrize("other", [{"seed": 6}, {"epoch": 3}, {"seed": 2, "epoch": 5}])
def test_another_seed_or_epoch_gives_other_views(other):
    config = RelabelConfig(mix="mixup", roll=(-3, 3), shuffle=2, augment=1)
    first, again, second = drawn(config, 50), drawn(config, 50), drawn(config, 50, **other)
    assert first.operations.numbers.equal(again.operations.numbers)
    assert not first.operations.numbers.equal(second.operations.numbers)
    for name in {field.name for field in fields(ViewParams)} - {"operations"}:
        assert getattr(first, name).equal(getattr(again, name))
        if name != "paste":
            assert not getattr(first, name).equal(getattr(second, name)), name


@given(
    st.tuples(st.floats(0.02, 1), st.floats(0.02, 1)).map(sorted),
    st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)).map(sorted),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 1000),
)
@example([0.5, 1.0], [0.25, 0.25], (1, 2), 0)
def test_crops_lie_inside_and_keep_area_and_ratio(scale, ratio, size, seed):
    config = ViewConfig(crop_scale=tuple(scale), crop_ratio=tuple(ratio))
    (height, width), box = size, drawn(config, 60, size, seed).box.double()
    top, left, h, w = box.unbind(1)
    assert (box[:, :2] >= 0).all()
    assert ((top + h <= height) & (left + w <= width) & (h >= 1) & (w >= 1)).all()
    whole = (box == torch.tensor(torchvision_gives_up(size, ratio))).all(1)
    share = height * width
    assert (whole | ((h + 0.5) * (w + 0.5) >= scale[0] * share)).all()
    assert (whole | ((h - 0.5) * (w - 0.5) <= scale[1] * share)).all()
    assert (whole | ((w + 0.5) / (h - 0.5) >= ratio[0])).all()
    assert (whole | ((w - 0.5) / (h + 0.5) <= ratio[1])).all()


def torchvision_gives_up(size, ratio):
    """What torchvision takes where no crop fits: none does here, at four times the area of the image."""
    _, _, h, w = RandomResizedCrop.get_params(torch.empty(1, *size), [4.0, 4.0], list(ratio))
    (height, width), h, w = size, max(h, 1), max(w, 1)  # it may round a side to 0, and centres that
    return [(height - h) // 2, (width - w) // 2, h, w]


@given(
    st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)).map(sorted), st.tuples(st.integers(1, 300), st.integers(1, 300))
)
def test_where_no_crop_fits_it_is_torchvisions_choice(ratio, size):
    expected = torchvision_gives_up(size, ratio)
    found = _largest_crop(size, tuple(ratio)).tolist()
    assert [found[:2], found[2:]] == [[(size[0] - expected[2]) // 2, (size[1] - expected[3]) // 2], expected[2:]]


def test_a_shape_that_never_fits_becomes_the_largest_crop_in_the_middle():
    box = drawn(ViewConfig(crop_scale=(1, 1), crop_ratio=(5, 5)), 20, (10, 12)).box
    assert box.unique(dim=0).tolist() == [[4, 0, 2, 12]]
    box = drawn(ViewConfig(crop_scale=(1, 1), crop_ratio=(5, 5)), 20, (10, 120)).box
    assert box.unique(dim=0).tolist() == [[0, 35, 10, 50]]


def test_wide_images_are_cropped_as_often_and_as_far_as_by_torchvision():
    size, count = (20, 120), 4000
    image = torch.empty(1, *size)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(count)])
    ours = drawn(ViewConfig(), count, size).box
    gave_up = [(box == torch.tensor([0, 46, 20, 27])).all(1).double().mean().item() for box in (ours, theirs)]
    assert min(gave_up) > 0.3
    assert abs(gave_up[0] - gave_up[1]) < 5 * (2 * 0.25 / count) ** 0.5
    for column in range(4):
        assert stats.ks_2samp(ours[:, column].numpy(), theirs[:, column].numpy()).pvalue > 1e-4


def test_crop_flip_and_roll_are_independent_and_follow_their_distributions():
    size = 4000  # large, so that rounding to pixels does not matter
    params = drawn(ViewConfig(crop_scale=(0.1, 0.5), flip=0.3, roll=(-4, 3)), size=(size, size))
    top, left, h, w = params.box.double().numpy().T
    quantities = {
        "area": (h * w / size**2 - 0.1) / 0.4,
        "ratio": np.log(w / h * 4 / 3) / np.log(16 / 9),
        "top": top / (size - h),
        "left": left / (size - w),
    }
    for name, values in quantities.items():
        assert stats.kstest(values, "uniform").pvalue > 1e-4, name
    flips = params.flip.double().mean()
    assert abs(flips - 0.3) < 5 * (0.3 * 0.7 / DRAWS) ** 0.5
    for axis in range(2):
        values, counts = params.roll[:, axis].unique(return_counts=True)
        assert values.tolist() == list(range(-4, 4))
        assert stats.chisquare(counts.numpy()).pvalue > 1e-4
    following = drawn(ViewConfig(crop_scale=(0.1, 0.5), roll=(-4, 3)), size=(size, size), epoch=3).box[:, 0]
    columns = [*quantities.values(), params.flip.numpy(), *params.roll.numpy().T, following.numpy()]
    correlation = np.corrcoef(np.stack([column.astype(float) for column in columns])) - np.eye(len(columns))
    assert np.abs(correlation).max() < 5 / DRAWS**0.5


def test_padded_crops_reach_every_offset_equally_often():
    box = drawn(ViewConfig(crop="padded", padding=2), size=(8, 9)).box
    assert box[:, 2:].unique(dim=0).tolist() == [[8, 9]]
    for axis in range(2):
        values, counts = box[:, axis].unique(return_counts=True)
        assert values.tolist() == [-2, -1, 0, 1, 2]
        assert stats.chisquare(counts.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("alpha", [0.8, 1.0, 3.0])
def test_mixup_shares_are_beta_distributed(alpha):
    params = drawn(MixedViewConfig(mix="mixup", mix_alpha=alpha))
    share = params.weight.double().numpy()
    assert stats.kstest(share, stats.beta(alpha, alpha).cdf).pvalue > 1e-4
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
    assert (params.paste == 0).all()


def test_cutmix_pastes_squares_whose_area_is_what_the_image_loses():
    params = drawn(MixedViewConfig(mix="cutmix"))
    top, left, bottom, right = params.paste.double().unbind(1)
    height, width = bottom - top, right - left
    torch.testing.assert_close(1 - params.weight.double(), height * width, atol=1e-6, rtol=0)
    # A square of side s = sqrt(1 - lambda) at a uniform centre loses s^2/4 per axis; 1 - lambda ~ U(0, 1).
    assert (height * width).mean().item() == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=5 * 0.3 / DRAWS**0.5)
    whole = (top > 0) & (left > 0) & (bottom < 1) & (right < 1)
    torch.testing.assert_close(height[whole], width[whole], atol=1e-6, rtol=0)
    centre = ((top + bottom) / 2)[(height < 0.1) & whole]
    assert stats.kstest(centre.numpy(), "uniform", args=(0.05, 0.9)).statistic < 0.15
    assert (params.paste >= 0).all()
    assert (params.paste <= 1).all()


@pytest.mark.parametrize("kind", ["none", "cutmix", "mixup"])
@pytest.mark.parametrize("size", [5, 16, 31])
def test_shares_are_those_of_the_pixels(kind, size):
    params = drawn(MixedViewConfig(mix=kind), 300)
    shown = mix(torch.ones(300, 1, size, size), torch.zeros(300, 1, size, size), params)
    torch.testing.assert_close(params.shares(size), shown.mean((1, 2, 3)), atol=1e-6, rtol=0)
    assert params.shares(size).dtype == torch.float32


def test_partners_are_drawn_uniformly_among_the_ids():
    ids = torch.tensor([3, 50, 7, 900])
    partners = torch.cat(
        [draw(MixedViewConfig(mix="mixup"), seed=0, epoch=e, ids=ids, size=(8, 8)).partner for e in range(500)]
    )
    values, counts = partners.unique(return_counts=True)
    assert values.tolist() == sorted(ids.tolist())
    assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_without_mixing_every_image_is_its_own_partner():
    for config in (ViewConfig(), MixedViewConfig()):
        params = drawn(config, 10)
        assert not params.mixed
        assert params.partner.equal(torch.arange(10))
        assert (params.weight == 1).all()


def mixed_twin(own, other, params):
    """CutMix and Mixup, pixel by pixel."""
    out, size = own.clone(), own.shape[-1]
    for row in range(len(own)):
        top, left, bottom, right = (round(float(share) * size) for share in params.paste[row])
        for y in range(size):
            for x in range(size):
                if params.paste[row].any():
                    if top <= y < bottom and left <= x < right:
                        out[row, :, y, x] = other[row, :, y, x]
                else:
                    share = float(params.weight[row])
                    out[row, :, y, x] = share * own[row, :, y, x] + (1 - share) * other[row, :, y, x]
    return out


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_mix_by_loops_over_pixels(kind):
    own, other = noise(12, 9, 9), noise(12, 9, 9).flip(0)
    params = drawn(MixedViewConfig(mix=kind), 12)
    torch.testing.assert_close(mix(own, other, params), mixed_twin(own, other, params), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["none", "cutmix", "mixup"])
@pytest.mark.parametrize("crop", ["resized", "padded"])
def test_render_mixes_the_views_of_images_and_partners(kind, crop, tiny_spec):
    pixels = torch.randint(0, 256, (13, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    mean, std = torch.tensor(tiny_spec.mean)[:, None, None], torch.tensor(tiny_spec.std)[:, None, None]
    images, black = (pixels / 255 - mean) / std, (-mean / std).flatten()
    params = drawn(MixedViewConfig(crop=crop, mix=kind), 13, (8, 8))
    every_view = twin(images, params, 8, black)
    expected = mixed_twin(every_view, every_view[params.partner], params)
    ids = torch.tensor([12, 0, 5, 5])
    found = render(pixels, ids, params, size=8, black=black, prepare=tiny_spec.normalize)
    torch.testing.assert_close(found, expected[ids], atol=3e-6, rtol=0)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_view_of_an_image_of_several_shows_a_crop_of_one_of_them(parts):
    config = RecoverConfig(crop_scale=(0.3, 1.0), formation=parts)
    box = drawn(config, count=4000, size=(24, 24)).box
    side = 24 // parts
    first, last = box[:, :2] // side, (box[:, :2] + box[:, 2:] - 1) // side
    assert first.equal(last)
    place = first[:, 0] * parts + first[:, 1]
    assert stats.chisquare(place.bincount(minlength=parts**2).numpy()).pvalue > 1e-4
    alone = drawn(config.but(formation=1), count=4000, size=(side, side)).box
    assert (box[:, :2] % side).equal(alone[:, :2])  # the same crop, in one of the parts
    assert box[:, 2:].equal(alone[:, 2:])


def test_parts_that_do_not_fit_an_image_are_refused():
    with pytest.raises(ConfigError, match="formation=3 must divide the height and width of the images, 64 x 64"):
        drawn(RecoverConfig(formation=3), count=2)
    with pytest.raises(ConfigError, match="needs crop='resized' or 'none'"):
        drawn(RelabelConfig(formation=2, crop="padded"), count=2)
    with pytest.raises(ConfigError, match="shuffle=5 must divide"):
        drawn(RelabelConfig(shuffle=5), count=2)


@pytest.mark.parametrize("side", [2, 3])
def test_patches_are_put_in_another_order_before_the_crop(side):
    images = noise(50, 12, 12)
    params = drawn(RelabelConfig(shuffle=side, crop="none", flip=0), count=50, size=(12, 12))
    seen = render(images, torch.arange(50), params, size=12)
    step = 12 // side
    for image, view, order in zip(images, seen, params.order.tolist(), strict=True):
        assert sorted(order) == list(range(side**2))
        for place, source in enumerate(order):
            (r, c), (i, j) = divmod(place, side), divmod(source, side)
            patch = image[:, i * step : (i + 1) * step, j * step : (j + 1) * step]
            assert torch.allclose(view[:, r * step : (r + 1) * step, c * step : (c + 1) * step], patch, atol=1e-6)
    assert len({tuple(order) for order in params.order.tolist()}) > 15
    assert drawn(RelabelConfig(), count=2).order is None


def test_what_is_not_asked_for_is_not_drawn_and_rows_stay_rows():
    params = drawn(RelabelConfig(shuffle=2, augment=2), count=9, size=(8, 8))
    rows = torch.tensor([7, 2])
    assert params[rows].order.equal(params.order[rows])
    assert params[rows].operations.numbers.equal(params.operations.numbers[rows])
    assert drawn(ViewConfig(), count=9).operations is None
