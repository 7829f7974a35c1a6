"""Statistics of what enters each BatchNorm layer, and their distance to the running ones (Equation 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class LayerStats:
    """Mean and biased variance [S, C] of one layer's input in each of S groups, float32, with the layer itself."""

    mean: Tensor
    var: Tensor
    layer: _BatchNorm


@dataclass(frozen=True)
class BatchNormStats:
    """Filled layer by layer, in the order of the forward pass."""

    layers: list[LayerStats] = field(default_factory=list)

    def joined(self) -> Tensor:
        """[2, S, C] means and variances of all C channels of all layers side by side."""
        return torch.stack([torch.cat([s.mean for s in self.layers], 1), torch.cat([s.var for s in self.layers], 1)])


def batchnorms(net: nn.Module) -> list[_BatchNorm]:
    """The network's BatchNorm layers with running statistics, in definition order; SyncBatchNorm included."""
    return [m for m in net.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


@contextmanager
def bn_statistics(net: nn.Module, groups: int = 1) -> Iterator[BatchNormStats]:
    """Collect the statistics of every BatchNorm input during one forward pass; hooks are removed even after an error.

    Args:
        net: any network; inputs of its BatchNorm layers are [B, C, ...] or [B, C].
        groups: the batch holds so many equal groups, one after the other; statistics are taken within each.
    """
    stats = BatchNormStats()

    def note(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(layer, _BatchNorm)
        mean, var = _BatchStatistics.apply(inputs[0], groups)
        stats.layers.append(LayerStats(mean, var, layer))

    # Before the layer, not after it: running statistics are those of its input.
    hooks = [layer.register_forward_pre_hook(note) for layer in batchnorms(net)]
    try:
        yield stats
    finally:
        for hook in hooks:
            hook.remove()


def running_statistics(stats: BatchNormStats) -> Tensor:
    """[2, 1, C] running means and variances of all C channels of all layers, in the order of the forward pass."""
    layers = stats.layers
    mean, var = _joined(s.layer.running_mean for s in layers), _joined(s.layer.running_var for s in layers)
    return torch.stack([mean, var])[:, None]


def layer_distances(
    stats: BatchNormStats, normalize: bool = False, variance: float = 1.0, targets: Tensor | None = None
) -> Tensor:
    """||mean - running mean||_2 + ||variance - running variance||_2 of each layer, the summands of Equation 7.

    Plain L2 norms over channels, not squared, biased variance, as in the reference code.

    Args:
        stats: collected during a forward pass.
        normalize: divide each norm by the norm of the running statistic, which makes layers and networks comparable.
        variance: factor on the norms of variances.
        targets: [2, S, C] means and variances that stand in for the running ones.

    Returns:
        [L, S] layers in forward order, groups; float32, or float64 where the statistics are.
    """
    # PyTorch's running variance is the unbiased one. Over the thousands of values of a channel the two are alike.
    layers = stats.layers
    found = stats.joined()
    wanted = (running_statistics(stats) if targets is None else targets).to(found)
    # All layers side by side, [2, S, all channels]: one product sums the squares of each, whatever their number.
    member = _membership(tuple(s.mean.shape[1] for s in layers), found.device).to(found)
    # In bf16 a sum of squares keeps two or three digits: too few for a loss that falls slowly.
    with torch.autocast(found.device.type, enabled=False):
        distances: Tensor = ((found - wanted).square() @ member).clamp_min(_TINY).sqrt()
        if normalize:
            # The means that a network has never updated are zero.
            distances = distances / (wanted.square() @ member).sqrt().clamp_min(1e-6)
    return (distances[0] + variance * distances[1]).transpose(0, 1)


_TINY = 1e-24
"""Square of the smallest distance: its root still has a gradient, which is zero."""


def _joined(buffers: Iterable[Tensor | None]) -> Tensor:
    return torch.cat([buffer for buffer in buffers if buffer is not None])


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _membership(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """[sum of sizes, L] float32: 1 where a channel belongs to a layer; a constant where a step is compiled."""
    return _blocks(sizes, device)


@lru_cache(maxsize=8)  # made anew in every step, it would be sent to the device in every step
def _blocks(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    columns: Tensor = torch.block_diag(*(torch.ones(size, 1) for size in sizes))
    return columns.to(device)


class _BatchStatistics(torch.autograd.Function):
    """Mean and biased variance over all but the channels, with the backward pass in closed form.

    With M values per channel, d mean / d x = 1 / M and d var / d x = 2 (x - mean) / M: one multiply-add. Autograd would
    go over the activations several times and keep copies of them; they are most of a step's memory.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        # A loop, although groups could be one more dimension: BatchNorm's kernel takes no such dimension.
        statistics = [_mean_and_variance(part) for part in x.detach().chunk(groups)]
        mean, var = (torch.stack(values) for values in zip(*statistics, strict=True))
        ctx.save_for_backward(x, mean)
        ctx.groups = groups
        return mean, var

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        x, mean = ctx.saved_tensors
        grad_mean, grad_var = grads
        count = x.numel() // (mean.shape[1] * ctx.groups)
        grouped = x.unflatten(0, (ctx.groups, -1))
        shape = (ctx.groups, 1, -1, *(1 for _ in grouped.shape[3:]))
        slope = (grad_var * (2 / count)).view(shape)
        offset = (grad_mean / count).view(shape) - slope * mean.view(shape)
        # Slope and offset are one number per channel and worth float32; the product over all pixels is not.
        grad = torch.addcmul(offset.to(x.dtype), grouped, slope.to(x.dtype))
        return grad.flatten(0, 1), None


def _mean_and_variance(x: Tensor) -> tuple[Tensor, Tensor]:
    """[C] mean and biased variance of [B, C, ...], summed in float32 (float64 if `x` is)."""
    wide = torch.promote_types(x.dtype, torch.float32)
    if torch.compiler.is_compiling() or x.device.type not in ("cpu", "cuda"):
        var, mean = torch.var_mean(x.to(wide), (0, *range(2, x.ndim)), correction=0)
        return mean, var
    # BatchNorm's own kernel reads bf16 and channels-last input as they are: 10 to 40 times faster than var_mean on a
    # CPU. Its sums have the type of the running statistics it wants to update: here a scratch that nobody reads.
    scratch = x.new_empty(2, x.shape[1], dtype=wide)
    return torch.batch_norm_update_stats(x, scratch[0], scratch[1], 0.0)
