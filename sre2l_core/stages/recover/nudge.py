"""Directed weight nudging: a teacher of each group's own, a little way off: groups differ (DWA, NeurIPS 2024)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sre2l_core.runtime import Runtime


def nudged(net: nn.Module, images: Tensor, targets: Tensor, length: float, steps: int, runtime: Runtime) -> nn.Module:
    """A copy of `net` that went up the cross-entropy of `images`: K times w <- w + (rho / K) g / ||g||.

    Args:
        net: frozen, in evaluation mode; it stays as it is.
        images: [G, C, H, W] normalised, what the recovery starts from.
        targets: [G] class indices.
        length: rho, of the whole way in the space of all weights.
        steps: K.
        runtime: where the network lies.
    """
    copied = copy.deepcopy(net).requires_grad_(True)
    weights = list(copied.parameters())
    for _ in range(steps):
        loss = F.cross_entropy(runtime.forward(copied, images).float(), targets)
        slopes = torch.autograd.grad(loss, weights)
        norm = torch.stack([slope.norm() for slope in slopes]).norm().clamp_min(1e-12)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                weight.add_(slope * (length / steps / norm))
    return copied.requires_grad_(False)
