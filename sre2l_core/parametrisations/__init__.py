"""Axis 5: what stands for an image while it is optimised. `ls` is the catalogue: the paper's pixels, or coefficients.

A file offers a class in `PLUGINS`, made from a dataset's description, a config and a device; its objects obey
`Parametrisation`. The losses, the optimiser, the crops and what is saved know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from sre2l_core.config import RecoverConfig
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.registry import lookup

SETTINGS = ("parametrisation", "fourier_decay", "fourier_spread", "fourier_colors")
"""Fields of `RecoverConfig` that say what the values are: they hold from the first step to the last."""


class Parametrisation(Protocol):
    """The way from the values that Adam moves to images, and back; image by image, so that groups stay independent."""

    def to_images(self, values: Tensor) -> Tensor:
        """Values [B, ...] -> [B, C, H, W] float32 in normalised space, differentiable, without a wait for the device.

        What is optimised as it is comes back itself, not as a copy.
        """

    def from_images(self, images: Tensor) -> Tensor:
        """Images [B, C, H, W] in normalised space -> the float32 values [B, ...] whose images are nearest to them."""

    def noise(self, generator: torch.Generator) -> Tensor:
        """One image [C, H, W] of noise, as this parametrisation begins with; `generator` is on the CPU."""

    def bound(self, values: Tensor) -> None:
        """Bring values that a step moved out of range back into it, in place."""

    def rate(self, config: RecoverConfig) -> float:
        """The peak learning rate of the values."""


Make = Callable[[DatasetSpec, RecoverConfig, torch.device], Parametrisation]


def find(name: str) -> Make:
    """The parametrisation called `name`; raises `ConfigError` naming the nearest known one."""
    found: Make = lookup("parametrisations", "parametrisation", name)
    return found


def check_same(config: RecoverConfig, saved: RecoverConfig) -> None:
    """Raise `ConfigError` where values saved under one config mean something else under another."""
    for name in SETTINGS:
        mine, theirs = getattr(config, name), getattr(saved, name)
        if mine != theirs:
            raise ConfigError(
                f"recover: the saved state has {name}={theirs!r}, this recovery {mine!r}. "
                f"Start the recovery with {name}={theirs!r} to continue that state."
            )
