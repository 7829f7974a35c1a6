"""BatchNorm input statistics against numpy, and their closed-form gradient against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sre2l_core.bn_stats import BatchNormStats, LayerStats, batchnorms, bn_statistics, layer_distances

SHAPES = [(6, 4), (6, 4, 5), (6, 4, 3, 5)]


def noise(shape, seed=0):
    return 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def norm_for(shape):
    layer = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](shape[1])
    layer.running_mean.copy_(torch.linspace(-1, 1, shape[1]))
    layer.running_var.copy_(torch.linspace(0.5, 2, shape[1]))
    return layer.eval()


def collect(net, x, groups=1):
    with bn_statistics(net, groups) as stats:
        net(x)
    return stats.layers


@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_biased_variance_of_each_group(shape, groups):
    x = noise(shape)
    (layer,) = collect(norm_for(shape), x, groups)
    for index, part in enumerate(np.split(x.numpy().astype(np.float64), groups)):
        values = np.moveaxis(part, 1, 0).reshape(shape[1], -1)
        np.testing.assert_allclose(layer.mean[index], values.mean(1), rtol=1e-5)
        np.testing.assert_allclose(layer.var[index], values.var(1), rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_closed_form_gradient_is_that_of_autograd(shape, groups):
    x = noise(shape).requires_grad_()
    (layer,) = collect(norm_for(shape), x, groups)
    weights = [noise(layer.mean.shape, seed) for seed in (1, 2)]
    found = torch.autograd.grad((layer.mean * weights[0]).sum() + (layer.var.sqrt() * weights[1]).sum(), x)[0]
    exact = x.detach().double().requires_grad_()
    parts = [part.transpose(0, 1).flatten(1) for part in exact.chunk(groups)]
    mean = torch.stack([part.mean(1) for part in parts])
    std = torch.stack([part.var(1, correction=0).sqrt() for part in parts])
    expected = torch.autograd.grad((mean * weights[0]).sum() + (std * weights[1]).sum(), exact)[0]
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-5)


def test_every_batchnorm_with_running_statistics_in_forward_order():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.BatchNorm1d(4)
            self.untracked = nn.BatchNorm2d(4, track_running_stats=False)
            self.sync = nn.SyncBatchNorm(4)
            self.first = nn.BatchNorm2d(4)

        def forward(self, x):
            return self.last(self.sync(self.untracked(self.first(x) + 1)).mean((2, 3)) * 2)

    net = Net().eval()
    assert batchnorms(net) == [net.last, net.sync, net.first]
    layers = collect(net, noise((6, 4, 3, 5)))
    assert [layer.layer for layer in layers] == [net.first, net.sync, net.last]
    assert [layer.mean.shape for layer in layers] == [(1, 4)] * 3


@pytest.mark.parametrize("normalize", [False, True])
def test_distances_are_plain_norms_over_channels(normalize):
    layers = [norm_for(shape) for shape in SHAPES]
    made = [
        LayerStats(noise((2, 4), 2 * i), noise((2, 4), 2 * i + 1).abs(), layer) for i, layer in enumerate(layers, 1)
    ]
    found = layer_distances(BatchNormStats(made), normalize)
    assert found.shape == (3, 2)
    rm, rv = np.linspace(-1, 1, 4), np.linspace(0.5, 2, 4)
    units = [np.sqrt((r**2).sum()) if normalize else 1 for r in (rm, rv)]
    for row, stats in enumerate(made):
        for group in range(2):
            off = np.sqrt(((stats.mean[group].numpy() - rm) ** 2).sum()) / units[0]
            off += np.sqrt(((stats.var[group].numpy() - rv) ** 2).sum()) / units[1]
            assert found[row, group].item() == pytest.approx(off, rel=1e-5)


@pytest.mark.parametrize("normalize", [False, True])
def test_networks_in_float64_are_measured_in_float64(normalize):
    net = nn.Sequential(*(norm_for(SHAPES[2]) for _ in range(2))).double()
    x = noise(SHAPES[2]).double().requires_grad_()
    with bn_statistics(net, 2) as stats:
        net(x)
    found = layer_distances(stats, normalize)
    assert found.dtype == torch.float64
    rm, rv = net[0].running_mean.numpy(), net[0].running_var.numpy()
    units = [np.sqrt((r**2).sum()) if normalize else 1 for r in (rm, rv)]
    for group, part in enumerate(np.split(x.detach().numpy(), 2)):
        off = np.sqrt(((part.mean((0, 2, 3)) - rm) ** 2).sum()) / units[0]
        off += np.sqrt(((part.var((0, 2, 3)) - rv) ** 2).sum()) / units[1]
        assert found[0, group].item() == pytest.approx(off, rel=1e-12)

    def distances(pixels):
        with bn_statistics(net, 2) as stats:
            net(pixels)
        return layer_distances(stats, normalize)

    assert torch.autograd.gradcheck(distances, (x,))


def test_hooks_go_after_an_exception():
    net = nn.Sequential(nn.BatchNorm2d(4), nn.Linear(9, 2)).eval()
    with pytest.raises(RuntimeError), bn_statistics(net) as stats:
        net(noise((6, 4, 3, 5)))
    assert len(stats.layers) == 1
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_statistics_are_float32_under_autocast():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    x = 30 + noise((64, 3, 8, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (layer,) = collect(net, x.requires_grad_())
        assert net[0](x).dtype == torch.bfloat16
        exact = net[0](x).double()
    assert layer.mean.dtype == layer.var.dtype == torch.float32
    torch.testing.assert_close(layer.mean[0].double(), exact.mean((0, 2, 3)), rtol=1e-5, atol=0)
    torch.testing.assert_close(layer.var[0].double(), exact.var((0, 2, 3), correction=0), rtol=1e-4, atol=0)
