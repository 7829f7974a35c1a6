"""Fourier coefficients scaled like natural images, in decorrelated colours: steps are smooth instead of noisy.

Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017, on preconditioning: the same minima, another
steepest direction. *Departs from the paper*, which optimises pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core.config import RecoverConfig
from sre2l_core.data.spec import DatasetSpec

NATURAL = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""A square root of the covariance of colours in natural images (ImageNet), as feature visualisation uses it."""
CONTRAST = 4.0
"""Divides the inverse transform, so that steps of one size suit pixels and coefficients alike."""
EDGE = 0.01
"""Pixels of a start this near to black or white are moved to there: the sigmoid reaches neither."""


class Fourier:
    """Values [B, C, H, W // 2 + 1, 2] are real and imaginary parts of half a spectrum, divided by its natural size.

    An image is sigmoid(M irfft2(values * scale) / 4) in units of [0, 1], with scale = sqrt(H W) / frequency^decay and M
    a square root of the covariance of colours. The sigmoid keeps pixels in range. All of it is float32.
    """

    def __init__(self, spec: DatasetSpec, config: RecoverConfig, device: torch.device) -> None:
        self._spec, self._spread = spec, config.fourier_spread
        height, width = spec.size
        down, right = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
        frequency = (down.square() + right.square()).sqrt().clamp_min(1 / max(height, width))
        scale = (height * width) ** 0.5 / frequency**config.fourier_decay / CONTRAST
        colors = torch.tensor(NATURAL) if config.fourier_colors == "natural" and spec.channels == 3 else None
        colors = torch.eye(spec.channels) if colors is None else colors / colors.norm(dim=0).max()
        self._scale, self._colors, self._decorrelate = (part.to(device) for part in (scale, colors, colors.inverse()))
        self._mean, self._std = (torch.tensor(values, device=device)[:, None, None] for values in (spec.mean, spec.std))

    def to_images(self, values: Tensor) -> Tensor:
        """Scale, transform back, mix the colours, squash."""
        with torch.autocast(values.device.type, enabled=False):
            plain = torch.fft.irfft2(torch.view_as_complex(values) * self._scale, s=self._spec.size)
            return (_mix(self._colors, plain).sigmoid() - self._mean) / self._std

    def from_images(self, images: Tensor) -> Tensor:
        """The way back; what a real spectrum cannot have, such as an imaginary mean, becomes zero."""
        pixels = (images.float() * self._std + self._mean).clamp(EDGE, 1 - EDGE)
        plain = _mix(self._decorrelate, pixels.logit())
        return torch.view_as_real(torch.fft.rfft2(plain) / self._scale)

    def noise(self, generator: torch.Generator) -> Tensor:
        """The image of coefficients N(0, spread^2)."""
        shape = (1, self._spec.channels, *self._scale.shape, 2)
        values = torch.empty(shape).normal_(0, self._spread, generator=generator)
        return self.to_images(values.to(self._scale.device))[0]

    def bound(self, values: Tensor) -> None:
        """Nothing: the sigmoid bounds the pixels."""

    def rate(self, config: RecoverConfig) -> float:
        """`lr` times `fourier_lr`."""
        return config.lr * config.fourier_lr


def _mix(matrix: Tensor, images: Tensor) -> Tensor:
    """A matrix [C, C] times the colours of every pixel [B, C, H, W]."""
    return (matrix @ images.flatten(2)).view_as(images)


PLUGINS = {"fourier": Fourier}
