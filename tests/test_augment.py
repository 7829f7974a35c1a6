"""RandAugment: each operation as Pillow has it, drawn evenly, the same whatever stands beside a view."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from sre2l_core.augment import OPERATIONS, Drawn, draw_operations, transformed
from sre2l_core.config import RelabelConfig
from sre2l_core.counter_random import CounterRandom
from sre2l_core.views import draw, render

BOUNDS = (torch.full((3, 1, 1), -2.0), torch.full((3, 1, 1), 2.0))
NAMES = ("same", "autocontrast", "equalize", "rotate", "solarize", "color", "posterize", "contrast", "brightness",
         "sharpness", "shear x", "shear y", "shift x", "shift y")  # fmt: skip


@pytest.fixture(scope="module")
def pixels():
    small = torch.randint(30, 220, (6, 3, 6, 6), generator=torch.Generator().manual_seed(0)).float()
    large = torch.nn.functional.interpolate(small, (24, 24), mode="bilinear")
    return large.round().to(torch.uint8)


def by_pillow(image, name, strength, sign):
    """One operation as the authors of AutoAugment have it."""
    factor = 1 + sign * 0.9 * strength
    enhanced = {"color": "Color", "contrast": "Contrast", "brightness": "Brightness", "sharpness": "Sharpness"}
    if name in enhanced:
        return getattr(ImageEnhance, enhanced[name])(image).enhance(factor)
    return {
        "same": lambda: image,
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "solarize": lambda: ImageOps.solarize(image, int(255 * (1 - strength))),
        "posterize": lambda: ImageOps.posterize(image, 8 - round(4 * strength)),
    }[name]()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("number", [n for n, name in enumerate(NAMES) if name[:5] not in ("rotat", "shear", "shift")])
def test_colours_change_as_in_pillow(pixels, number, sign):
    seen = OPERATIONS[number](pixels, 0.6, sign)
    for image, found in zip(pixels, seen, strict=True):
        expected = by_pillow(Image.fromarray(image.permute(1, 2, 0).numpy()), NAMES[number], 0.6, sign)
        off = np.abs(np.asarray(expected, dtype=int) - found.permute(1, 2, 0).numpy())
        assert off.max() <= 2


def test_movements_move_as_far_as_they_say(pixels):
    right = OPERATIONS[NAMES.index("shift x")](pixels, 0.5, 1)
    far = round(0.45 * 0.5 * 24)
    assert right[..., far:].equal(pixels[..., :-far])
    assert (right[..., :far] == 128).all()
    down = OPERATIONS[NAMES.index("shift y")](pixels, 0.5, -1)
    assert down[:, :, :-far].equal(pixels[:, :, far:])
    bar = torch.full((1, 3, 41, 41), 128, dtype=torch.uint8)
    bar[:, :, :, 20] = 255
    slope = 0.3 * 0.8
    leaning = OPERATIONS[NAMES.index("shear x")](bar, 0.8, 1)[0, 0].argmax(1).float()
    assert abs(abs(leaning[0] - leaning[-1]) - 40 * slope) <= 2
    angle = np.radians(30 * 0.5)
    turned = OPERATIONS[NAMES.index("rotate")](bar, 0.5, 1)[0, 0, 5:36].argmax(1).float()
    assert abs(abs(turned[0] - turned[-1]) - 30 * np.tan(angle)) <= 2


def test_all_fourteen_are_drawn_as_often():
    drawn = draw_operations(CounterRandom(3, 0, np.arange(7000)), 2, 6.0)
    assert len(OPERATIONS) == len(NAMES) == 14
    for place in range(2):
        assert stats.chisquare(drawn.numbers[:, place].bincount(minlength=14).numpy()).pvalue > 1e-4
    assert abs(drawn.signs.float().mean()) < 0.05
    assert drawn[torch.arange(3)].strength == 6.0
    assert draw_operations(CounterRandom(3, 0, np.arange(3)), 0, 6.0) is None


def test_a_view_does_not_depend_on_its_neighbours_and_stays_between_black_and_white(pixels):
    views = (pixels / 255 * 4 - 2).repeat(5, 1, 1, 1)
    drawn = draw_operations(CounterRandom(0, 0, np.arange(30)), 2, 9.0)
    together = transformed(views, drawn, BOUNDS)
    alone = torch.cat([transformed(views[row : row + 1], drawn[row : row + 1], BOUNDS) for row in range(30)])
    assert together.equal(alone)
    assert together.min() >= -2
    assert together.max() <= 2
    unchanged = Drawn(torch.zeros(30, 1, dtype=torch.int64), torch.ones(30, 1, dtype=torch.int64), 9.0)
    torch.testing.assert_close(transformed(views, unchanged, BOUNDS), views, atol=1e-5, rtol=0)


def test_views_are_rendered_with_it_before_they_are_mixed(pixels):
    images = pixels / 255 * 4 - 2
    config = RelabelConfig(augment=1, augment_strength=9, mix="mixup", crop="none", flip=0)
    params = draw(config, seed=1, epoch=0, ids=torch.arange(6), size=(24, 24))
    changed = transformed(images, params.operations, BOUNDS)
    share = params.weight[:, None, None, None]
    expected = share * changed + (1 - share) * changed[params.partner]
    seen = render(images, torch.arange(6), params, size=24, bounds=BOUNDS)
    torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="black and white"):
        render(images, torch.arange(6), params, size=24)


def test_grey_pictures_go_through_all_operations():
    grey = torch.randint(256, (14, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
    every = Drawn(torch.arange(14)[:, None], torch.ones(14, 1, dtype=torch.int64), 6.0)
    seen = transformed(grey, every, (torch.zeros(1, 1, 1), torch.ones(1, 1, 1)))
    assert seen.shape == grey.shape
    assert seen.isfinite().all()
