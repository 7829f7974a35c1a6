"""The dataset-condensation ConvNet."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sre2l_core.backbones import build
from sre2l_core.errors import ConfigError


@pytest.mark.parametrize(("depth", "width", "resolution"), [(1, 4, 8), (3, 128, 32), (4, 16, 50)])
def test_parameters_by_formula(depth: int, width: int, resolution: int) -> None:
    with torch.device("meta"):
        model = build("convnet", num_classes=10, resolution=resolution, depth=depth, width=width)
    first = 9 * 3 * width + width
    deeper = (depth - 1) * (9 * width * width + width)
    norms = depth * 2 * width
    linear = width * (resolution // 2**depth) ** 2 * 10 + 10
    assert sum(p.numel() for p in model.parameters()) == first + deeper + norms + linear


@pytest.mark.parametrize("options", [{"depth": 10**30}, {"width": 10**6}, {"depth": 13}])
def test_depths_and_widths_that_no_machine_holds_are_refused_at_once(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"convnet\.(depth|width): .* less than or equal to (12|4096)"):
        build("convnet", num_classes=2, resolution=8, **options)


def test_named_depths() -> None:
    with torch.device("meta"):
        for name, depth in {"convnet3": 3, "convnet4": 4}.items():
            model = build(name, num_classes=10, resolution=32)
            assert [m.num_features for m in model.modules() if isinstance(m, nn.BatchNorm2d)] == [128] * depth
        # The size that the condensation papers print for CIFAR-10.
        assert sum(p.numel() for p in build("convnet3", num_classes=10, resolution=32).parameters()) == 320_010


def test_forward_by_formula() -> None:
    model = build("convnet", num_classes=3, channels=1, resolution=9, depth=2, width=5, seed=0).eval()
    weights = model.state_dict()
    images = torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    x = images
    for block in (0, 4):
        x = F.conv2d(x, weights[f"features.{block}.weight"], weights[f"features.{block}.bias"], padding=1)
        # Untrained BatchNorm in eval mode: mean 0, variance 1, gain 1, shift 0.
        x = F.relu(x / (1 + 1e-5) ** 0.5)
        x = (
            sum(
                x[..., i : i + 2 * (x.shape[-2] // 2) : 2, j : j + 2 * (x.shape[-1] // 2) : 2]
                for i in (0, 1)
                for j in (0, 1)
            )
            / 4
        )
    expected = x.reshape(2, -1) @ weights["classifier.weight"].T + weights["classifier.bias"]
    torch.testing.assert_close(model(images), expected)


def test_too_deep_for_the_image_says_how_deep_it_may_be() -> None:
    with pytest.raises(ConfigError, match=r"at least 16 pixels, got resolution 15\. Use depth <= 3"):
        build("convnet", num_classes=2, resolution=15, depth=4)
    with torch.device("meta"):
        assert build("convnet", num_classes=2, resolution=15, depth=3)(torch.empty(2, 3, 15, 15)).shape == (2, 2)
