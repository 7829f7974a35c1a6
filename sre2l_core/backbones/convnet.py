"""The ConvNet of the dataset-condensation literature (Zhao et al. 2021), with BatchNorm in place of InstanceNorm.

`convnet4` is the network of the time and memory comparison (Table 1).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sre2l_core.errors import ConfigError

Depth = Annotated[int, Field(gt=0, le=12)]
Width = Annotated[int, Field(gt=0, le=4096)]


class ConvNet(nn.Module):
    """`depth` blocks of 3x3 convolution, BatchNorm, ReLU and 2x2 mean pooling, then a linear classifier."""

    def __init__(self, num_classes: int, channels: int, resolution: int, depth: int, width: int) -> None:
        """All blocks have `width` channels; each halves the resolution, rounding down."""
        super().__init__()
        blocks: list[nn.Module] = []
        for inputs in (channels, *[width] * (depth - 1)):
            blocks += [
                nn.Conv2d(inputs, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.AvgPool2d(2),
            ]
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width * (resolution >> depth) ** 2, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` -> logits `[B, num_classes]`."""
        logits: Tensor = self.classifier(self.features(images).flatten(1))
        return logits


def convnet(
    num_classes: PositiveInt,
    channels: PositiveInt,
    resolution: PositiveInt,
    *,
    depth: Depth = 3,
    width: Width = 128,
) -> nn.Module:
    """A ConvNet of any depth and width; raises `ConfigError` where halving leaves no pixel."""
    if resolution < 2**depth:
        raise ConfigError(
            f"a ConvNet of depth {depth} halves its images {depth} times and needs at least {2**depth} pixels, "
            f"got resolution {resolution}. Use "
            + (f"depth <= {resolution.bit_length() - 1}." if resolution > 1 else "a resolution of at least 2.")
        )
    return ConvNet(num_classes, channels, resolution, depth, width)


def convnet3(num_classes: PositiveInt, channels: PositiveInt, resolution: PositiveInt) -> nn.Module:
    """Three blocks of 128 channels, the literature's choice for 32x32 images."""
    return convnet(num_classes, channels, resolution, depth=3)


def convnet4(num_classes: PositiveInt, channels: PositiveInt, resolution: PositiveInt) -> nn.Module:
    """Four blocks of 128 channels, the literature's choice for 64x64 images."""
    return convnet(num_classes, channels, resolution, depth=4)


PLUGINS = {"convnet": convnet, "convnet3": convnet3, "convnet4": convnet4}
