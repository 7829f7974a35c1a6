"""Several networks as one, whose logits are averaged: how teachers label together (G-VBSM, CVPR 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from sre2l_core import backbones
from sre2l_core.config import network_of
from sre2l_core.errors import ConfigError

SEPARATOR = "+"


class Committee(nn.Module):
    """Networks of the same classes and images, with the share of each in what they say together."""

    def __init__(self, networks: Sequence[nn.Module], named: str, shares: Sequence[float] = ()) -> None:
        """Named as in the option of `committee`; shares sum to 1, and are equal if not given."""
        super().__init__()
        self.networks, self.named = nn.ModuleList(networks), named
        self.shares = tuple(shares) or (1 / len(networks),) * len(networks)

    def forward(self, images: Tensor) -> Tensor:
        """Images `[B, C, H, W]` -> mean logits `[B, num_classes]`, weighted by the shares, in float32."""
        said = [share * net(images).float() for net, share in zip(self.networks, self.shares, strict=True)]
        return torch.stack(said).sum(0)


def committee(
    num_classes: PositiveInt,
    channels: PositiveInt,
    resolution: PositiveInt,
    *,
    networks: str = "resnet10+convnet",
) -> nn.Module:
    """Networks with equal shares, each written as `NAME:OPTION=VALUE`, with a plus between them."""
    named = [network_of(text) for text in networks.split(SEPARATOR)]
    if any(name == "committee" for name, _ in named):
        raise ConfigError(f"a committee has no committee among its networks (got {networks!r}).")
    sizes = ("num_classes", "channels", "resolution")
    if given := [option for _, options in named for option in options if option in sizes]:
        raise ConfigError(f"{given[0]} comes from the dataset: leave it out of a network's options (got {networks!r}).")
    shape = {"num_classes": num_classes, "channels": channels, "resolution": resolution}
    asked: list[tuple[str, dict[str, Any]]] = [(name, {**options, **shape}) for name, options in named]
    return Committee([backbones.build(name, **options) for name, options in asked], networks)


PLUGINS = {"committee": committee}
