"""Fourier coefficients against the same formulas in numpy, and what only they promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sre2l_core.config import RecoverConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.parametrisations.fourier import Fourier

CPU = torch.device("cpu")
SQUARE_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
"""Of the covariance of colours in natural images, as in the code published with "Feature Visualization"."""


def spec_of(channels, size):
    return DatasetSpec("any", ("a", "b"), channels, size, (0.4, 0.5, 0.6)[:channels], (0.2, 0.25, 0.3)[:channels])


def fourier(channels=3, size=8, **settings):
    return Fourier(spec_of(channels, size), RecoverConfig(**settings), CPU)


def draw(*shape, spread=1.0):
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def images_by_formula(values, channels, size, decay, natural):
    """Coefficients to pixels in float64, term by term as the design has it."""
    z = values.double().numpy()
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    scale = size / np.maximum(np.hypot(fy, fx), 1 / size) ** decay
    plain = np.fft.irfft2((z[..., 0] + 1j * z[..., 1]) * scale, s=(size, size)) / 4
    if natural and channels == 3:
        matrix = SQUARE_ROOT / max(np.linalg.norm(SQUARE_ROOT[:, column]) for column in range(3))
        plain = np.einsum("ij,bjhw->bihw", matrix, plain)
    pixels = 1 / (1 + np.exp(-plain))
    mean, std = (np.array(v)[:channels, None, None] for v in ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)))
    return (pixels - mean) / std


@pytest.mark.parametrize(("channels", "size"), [(3, 8), (3, 9), (1, 16), (1, 7)])
@pytest.mark.parametrize(("decay", "colors"), [(1.0, "natural"), (0.0, "separate"), (1.7, "natural")])
def test_images_by_formula(channels, size, decay, colors):
    values = draw(2, channels, size, size // 2 + 1, 2, spread=0.3)
    made = fourier(channels, size, fourier_decay=decay, fourier_colors=colors).to_images(values)
    expected = images_by_formula(values, channels, size, decay, colors == "natural")
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.numpy(), expected, atol=2e-5)


def test_one_coefficient_is_one_wave():
    values = torch.zeros(1, 1, 16, 9, 2)
    values[0, 0, 0, 2, 0] = 0.1
    pixels = fourier(1, 16).to_images(values)[0, 0] * 0.2 + 0.4
    wave = 0.1 * (16 / (2 / 16)) * 2 / 16**2 * np.cos(2 * np.pi * 2 * np.arange(16) / 16) / 4
    np.testing.assert_allclose(pixels.numpy(), np.tile(1 / (1 + np.exp(-wave)), (16, 1)), atol=1e-6)


def test_grey_images_have_no_colours_to_mix():
    values = draw(1, 1, 8, 5, 2)
    natural, separate = (fourier(1, fourier_colors=colors).to_images(values) for colors in ("natural", "separate"))
    assert natural.equal(separate)


def test_noise_is_nearly_grey_or_cloudy_and_smooth():
    rng = torch.Generator().manual_seed(3)
    for spread, least, most in ((0.01, 0.0, 0.02), (1.0, 0.1, 0.5)):
        pixels = fourier(3, 32, fourier_spread=spread).noise(rng) * torch.tensor([0.2, 0.25, 0.3])[:, None, None]
        deviation = pixels.std(dim=(1, 2)).mean()
        assert least < deviation < most
        neighbours = (pixels[:, :, 1:] - pixels[:, :, :-1]).square().mean().sqrt()
        assert neighbours < deviation  # of white noise it is 1.41 times the deviation


def test_starts_near_black_and_white_are_moved_to_what_the_sigmoid_reaches():
    spec, made = spec_of(3, 8), fourier()
    pixels = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).mul(255).round().to(torch.uint8)
    pixels[0, :, :2], pixels[0, :, 2:4] = 0, 255
    again = spec.denormalize(made.to_images(made.from_images(spec.normalize(pixels))))
    torch.testing.assert_close(again, (pixels / 255).clamp(0.01, 0.99), atol=1e-5, rtol=0)


def test_it_stays_float32_under_autocast():
    values = draw(1, 3, 8, 5, 2)
    plain = fourier().to_images(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert fourier().to_images(values).equal(plain)


def test_the_learning_rate_is_in_units_of_that_of_pixels():
    config = RecoverConfig(lr=0.2, fourier_lr=0.25)
    assert fourier().rate(config) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fourier_lr", 0), ("fourier_lr", -1.0), ("fourier_decay", -0.1), ("fourier_decay", 5), ("fourier_spread", -1),
        ("fourier_spread", float("inf")), ("fourier_colors", "sepia"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_the_field(field, value):
    with pytest.raises(ConfigError, match=rf"RecoverConfig\.{field}"):
        RecoverConfig(**{field: value})
