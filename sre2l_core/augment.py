"""RandAugment (Cubuk et al., 2020): a few of fourteen operations on each view, all of one strength, drawn as data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sre2l_core.counter_random import CounterRandom

STRONGEST = 10.0
"""Of the paper's scale, on which an operation has the strength that is written in `OPERATIONS`."""


Operation = Callable[[Tensor, float, int], Tensor]
"""From pixels [B, C, S, S] uint8, strength 0..1 and way -1 or 1."""


@dataclass(frozen=True)
class Drawn:
    """The operations of N views, one after the other."""

    numbers: Tensor
    """[N, K] int64: which of `OPERATIONS`."""
    signs: Tensor
    """[N, K] int64: -1 or 1, the way of those that have two."""
    strength: float
    """0..10, of all."""

    def __getitem__(self, rows: Tensor | slice) -> Drawn:
        return Drawn(self.numbers[rows], self.signs[rows], self.strength)


def draw_operations(random: CounterRandom, count: int, strength: float) -> Drawn | None:
    """`count` operations for each image, drawn with equal chances and replacement; None for none."""
    if not count:
        return None
    names = [f"operation {place}" for place in range(count)]
    numbers = np.stack([(random.uniform(name) * len(OPERATIONS)).astype(np.int64) for name in names], axis=1)
    signs = np.stack([np.where(random.uniform(f"{name} way") < 0.5, -1, 1) for name in names], axis=1)
    return Drawn(torch.from_numpy(numbers), torch.from_numpy(signs), strength)


def transformed(views: Tensor, drawn: Drawn, bounds: tuple[Tensor, Tensor] | None) -> Tensor:
    """Views [B, C, S, S] after their operations, which see them as pixels of 8 bits, as those of the paper do.

    Args:
        views: normalised.
        drawn: of these B views.
        bounds: normalised values of black and white, each [C, 1, 1].
    """
    if bounds is None:
        raise ValueError("RandAugment needs to know black and white: give render the bounds of the dataset.")
    low, high = (bound.to(views) for bound in bounds)
    pixels = ((views - low) / (high - low)).clamp(0, 1).mul(255).round().to(torch.uint8)
    for place in range(drawn.numbers.shape[1]):
        numbers, signs = drawn.numbers[:, place], drawn.signs[:, place]
        # Views with the same operation go through it together: an image's pixels do not depend on its neighbours'.
        for number, sign in {*zip(numbers.tolist(), signs.tolist(), strict=True)}:
            rows = ((numbers == number) & (signs == sign)).to(views.device)
            pixels[rows] = OPERATIONS[number](pixels[rows], drawn.strength / STRONGEST, sign)
    return low + (high - low) * pixels.to(views) / 255


def _same(pixels: Tensor, strength: float, sign: int) -> Tensor:
    return pixels


def _colour(name: str) -> Operation:
    """An operation that blends with something plainer: as it is at 1, from 0.1 to 1.9 at full strength."""
    return lambda pixels, strength, sign: getattr(_torchvision(), name)(pixels, 1 + sign * 0.9 * strength)


def _affine(angle: float = 0, shift: tuple[float, float] = (0, 0), shear: tuple[float, float] = (0, 0)) -> Operation:
    """A movement whose angle in degrees, shift in sizes of the view and slope are those of full strength."""

    def move(pixels: Tensor, strength: float, sign: int) -> Tensor:
        way = sign * strength
        height, width = pixels.shape[-2:]
        return _torchvision().affine(  # type: ignore[no-any-return]
            pixels,
            angle=way * angle,
            translate=[round(way * shift[0] * width), round(way * shift[1] * height)],
            scale=1.0,
            shear=[math.degrees(math.atan(way * slope)) for slope in shear],
            fill=GREY,
        )

    return move


def _posterized(pixels: Tensor, strength: float, sign: int) -> Tensor:
    return _torchvision().posterize(pixels, 8 - round(4 * strength))  # type: ignore[no-any-return]


def _solarized(pixels: Tensor, strength: float, sign: int) -> Tensor:
    return _torchvision().solarize(pixels, 255 * (1 - strength))  # type: ignore[no-any-return]


def _stretched(name: str) -> Operation:
    return lambda pixels, strength, sign: getattr(_torchvision(), name)(pixels)


def _torchvision() -> Any:
    from torchvision.transforms.v2 import functional  # here: it takes a second, and few views need it

    return functional


GREY = 128
"""What lies outside of a view that was moved."""
OPERATIONS: tuple[Operation, ...] = (
    _same,
    _stretched("autocontrast"),
    _stretched("equalize"),
    _affine(angle=30),
    _solarized,
    _colour("adjust_saturation"),
    _posterized,
    _colour("adjust_contrast"),
    _colour("adjust_brightness"),
    _colour("adjust_sharpness"),
    _affine(shear=(0.3, 0)),
    _affine(shear=(0, 0.3)),
    _affine(shift=(0.45, 0)),
    _affine(shift=(0, 0.45)),
)
"""The fourteen of the paper, with the strengths of AutoAugment (Cubuk et al., 2019)."""
