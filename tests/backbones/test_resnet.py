"""ResNets against torchvision's, and the paper's layer counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from sre2l_core.backbones import build
from sre2l_core.errors import ConfigError


def batch_norm_sizes(model: nn.Module) -> list[int]:
    return [module.num_features for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize(("name", "layers", "channels"), [("resnet18", 20, 4_800), ("resnet50", 53, 26_560)])
@pytest.mark.parametrize("resolution", [64, 224])
def test_batch_norm_layers(name: str, layers: int, channels: int, resolution: int) -> None:
    with torch.device("meta"):
        sizes = batch_norm_sizes(build(name, num_classes=200, resolution=resolution))
    assert (len(sizes), sum(sizes)) == (layers, channels)
    assert sizes[0] == 64


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_same_parameters_as_torchvision(name: str) -> None:
    with torch.device("meta"):
        own = build(name, num_classes=1000, resolution=224).state_dict()
        twin = models.get_model(name, weights=None).state_dict()
    assert {key: value.shape for key, value in own.items()} == {key: value.shape for key, value in twin.items()}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_same_logits_as_torchvision(name: str) -> None:
    own = build(name, num_classes=5, resolution=32, stem="224", seed=0)
    twin = models.get_model(name, weights=None, num_classes=5)
    twin.load_state_dict(own.state_dict())
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own(images), twin(images))


def test_small_stem_is_the_surgery_of_the_reference() -> None:
    own = build("resnet18", num_classes=5, resolution=64, seed=0)
    twin = models.resnet18(num_classes=5)
    twin.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    twin.maxpool = nn.Identity()
    twin.load_state_dict(own.state_dict())
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(own(images), twin(images))


@pytest.mark.parametrize(
    ("resolution", "stem", "kernel", "pools"),
    [
        (127, "auto", 3, False),
        (128, "auto", 7, True),
        (224, "small", 3, False),
        (64, "224", 7, True),
    ],
)
def test_stem_follows_resolution(resolution: int, stem: str, kernel: int, pools: bool) -> None:
    with torch.device("meta"):
        model = build("resnet10", num_classes=2, resolution=resolution, stem=stem)
    assert model.conv1.kernel_size == (kernel, kernel)
    assert isinstance(model.maxpool, nn.MaxPool2d) == pools


def test_initial_convolutions_are_he_normal_by_fan_out() -> None:
    weight = build("resnet10", num_classes=2, resolution=32, seed=0).layer4[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (weight.shape[0] * 9)) ** 0.5, rel=0.01)


def test_width_scales_every_stage() -> None:
    with torch.device("meta"):
        sizes = batch_norm_sizes(build("resnet10", num_classes=2, resolution=32, width=12))
    # Stem, then per stage two convolutions and, where the stage halves the resolution, a shortcut.
    assert sizes == [12, 12, 12, 24, 24, 24, 48, 48, 48, 96, 96, 96]


@pytest.mark.parametrize("options", [{"resolution": 64}, {"width": 32}, {"channels": 1}])
def test_weights_that_cannot_fit_are_refused_before_anything_is_loaded(options: dict[str, int]) -> None:
    sizes = {"num_classes": 1000, "resolution": 224} | options
    with pytest.raises(ConfigError, match="fit resnet18 with the '224' stem, width 64 and 3 channels"):
        build("resnet18", weights="IMAGENET1K_V1", **sizes)
