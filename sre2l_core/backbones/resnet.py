"""ResNets (He et al. 2016) of any width.

Images below 128 pixels get the stem of the paper's Tiny-ImageNet and CIFAR networks: a 3x3 convolution of stride 1 and
no pooling, where the ImageNet stem would reduce the resolution to a quarter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PositiveInt
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from sre2l_core.backbones.zoo import load_weights
from sre2l_core.errors import ConfigError

Block = type[BasicBlock] | type[Bottleneck]
Width = Annotated[int, Field(gt=0, le=512)]
Stem = Annotated[Literal["auto", "224", "small"], BeforeValidator(str)]  # 224 comes as a number from a command line


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, mean over positions, linear classifier.

    Parameters bear torchvision's names, so that checkpoints can be exchanged with it.
    """

    def __init__(
        self, block: Block, depths: tuple[int, int, int, int], num_classes: int, channels: int, width: int, small: bool
    ) -> None:
        """Stage i has `depths[i]` blocks of `width * 2**i` planes; `small` keeps the resolution in the stem."""
        super().__init__()
        geometry = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, width, *geometry, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, depths[0], width, width, stride=1)
        self.layer2 = _stage(block, depths[1], width * block.expansion, width * 2, stride=2)
        self.layer3 = _stage(block, depths[2], width * 2 * block.expansion, width * 4, stride=2)
        self.layer4 = _stage(block, depths[3], width * 4 * block.expansion, width * 8, stride=2)
        self.fc = nn.Linear(width * 8 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` -> logits `[B, num_classes]`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        # A mean, because the gradient of adaptive pooling is not deterministic on GPUs.
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def _stage(block: Block, depth: int, inputs: int, planes: int, stride: int) -> nn.Sequential:
    outputs = planes * block.expansion
    shortcut = None
    if inputs != outputs:  # as everywhere with stride 2
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first = block(inputs, planes, stride, shortcut)
    return nn.Sequential(first, *(block(outputs, planes) for _ in range(depth - 1)))


def _has_small_stem(stem: Stem, resolution: int) -> bool:
    return stem == "small" or (stem == "auto" and resolution < 128)


def _standard(name: str, block: Block, depths: tuple[int, int, int, int]) -> Callable[..., nn.Module]:
    def build(
        num_classes: PositiveInt,
        channels: PositiveInt,
        resolution: PositiveInt,
        *,
        stem: Stem = "auto",
        width: Width = 64,
        weights: str | None = None,
    ) -> nn.Module:
        small = _has_small_stem(stem, resolution)
        if weights is not None and (small or width != 64 or channels != 3):
            raise ConfigError(
                f"weights {weights!r} fit {name} with the '224' stem, width 64 and 3 channels; got the "
                f"{'small' if small else '224'!r} stem (resolution {resolution}), width {width}, {channels} channels. "
                "Use those (stem='224' chooses the stem at any resolution), or leave out `weights`."
            )
        model = ResNet(block, depths, num_classes, channels, width, small)
        if weights is not None:
            load_weights(model, name, weights)
        return model

    return build


def resnet10(
    num_classes: PositiveInt,
    channels: PositiveInt,
    resolution: PositiveInt,
    *,
    stem: Stem = "auto",
    width: Width = 16,
) -> nn.Module:
    """One basic block per stage; not in the paper: small enough to squeeze ten 64x64 classes on a CPU in minutes."""
    return ResNet(BasicBlock, (1, 1, 1, 1), num_classes, channels, width, _has_small_stem(stem, resolution))


PLUGINS = {
    "resnet10": resnet10,
    "resnet18": _standard("resnet18", BasicBlock, (2, 2, 2, 2)),
    "resnet34": _standard("resnet34", BasicBlock, (3, 4, 6, 3)),
    "resnet50": _standard("resnet50", Bottleneck, (3, 4, 6, 3)),
    "resnet101": _standard("resnet101", Bottleneck, (3, 4, 23, 3)),
}
