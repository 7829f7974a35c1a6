"""The paper's: an image is its pixels, clamped to black and white after every step."""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core.config import RecoverConfig
from sre2l_core.data.spec import DatasetSpec


class Pixels:
    """Values [B, C, H, W] are the normalised pixels themselves (Equation 5)."""

    def __init__(self, spec: DatasetSpec, config: RecoverConfig, device: torch.device) -> None:
        self._shape = (spec.channels, *spec.size)
        self._bounds = spec.bounds(device)

    def to_images(self, values: Tensor) -> Tensor:
        """The values."""
        return values

    def from_images(self, images: Tensor) -> Tensor:
        """The images, which a step will bring within bounds where they are not."""
        return images

    def noise(self, generator: torch.Generator) -> Tensor:
        """N(0, 1) in normalised space."""
        return torch.empty(self._shape).normal_(generator=generator)

    def bound(self, values: Tensor) -> None:
        """Clamp to black and white."""
        values.clamp_(*self._bounds)

    def rate(self, config: RecoverConfig) -> float:
        """`lr` (Tables 7c, 7d and 10b)."""
        return config.lr


PLUGINS = {"pixels": Pixels}
