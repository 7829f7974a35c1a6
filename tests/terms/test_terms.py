"""The loss terms of Equations 5-7 against formulas in numpy, on statistics of a forward pass written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch.nn import functional as F

from sre2l_core.bn_stats import bn_statistics
from sre2l_core.config import RecoverConfig
from sre2l_core.terms import ForwardPass, active, all_terms
from sre2l_core.terms.cross_entropy import cross_entropy
from sre2l_core.terms.r_bn import r_bn
from sre2l_core.terms.r_l2 import r_l2
from sre2l_core.terms.r_tv import r_tv

G = 5


def views(groups=1, seed=0):
    return torch.randn(groups * G, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def forward_pass(teacher, pixels, groups=1, **settings):
    with bn_statistics(teacher.net, groups) as stats:
        logits = teacher.net(pixels)
    return ForwardPass(pixels, logits, torch.arange(len(pixels)) % G, stats, groups, RecoverConfig(**settings))


def bn_inputs(net, pixels):
    """What enters each BatchNorm of the depth-2 ConvNet, and its logits."""
    w, x, inputs = {name: tensor.double() for name, tensor in net.state_dict().items()}, pixels.double(), []
    for conv, norm in ((0, 1), (4, 5)):
        x = F.conv2d(x, w[f"features.{conv}.weight"], w[f"features.{conv}.bias"], padding=1)
        inputs.append(x)
        shape = (1, -1, 1, 1)
        mean, var = (w[f"features.{norm}.running_{name}"].view(shape) for name in ("mean", "var"))
        x = (x - mean) / (var + 1e-5).sqrt() * w[f"features.{norm}.weight"].view(shape)
        x = F.avg_pool2d(F.relu(x + w[f"features.{norm}.bias"].view(shape)), 2)
    return inputs, x.flatten(1) @ w["classifier.weight"].T + w["classifier.bias"]


def r_bn_twin(net, pixels, first, normalize):
    total = 0.0
    for layer, (norm, x) in enumerate(zip((net.features[1], net.features[5]), bn_inputs(net, pixels)[0], strict=True)):
        values = x.numpy().transpose(1, 0, 2, 3).reshape(x.shape[1], -1)
        for found, running in ((values.mean(1), norm.running_mean), (values.var(1), norm.running_var)):
            unit = np.linalg.norm(running) if normalize else 1.0
            total += (first if layer == 0 else 1.0) * np.linalg.norm(found - running.numpy()) / unit
    return total


@pytest.mark.parametrize("first", [1.0, 10.0, 0.0])
@pytest.mark.parametrize("normalize", [False, True])
def test_r_bn_by_formula_within_each_group(tiny_teacher, first, normalize):
    pixels = views(groups=3)
    forward = forward_pass(tiny_teacher, pixels, 3, first_bn_multiplier=first, normalize_bn=normalize)
    expected = [r_bn_twin(tiny_teacher.net, part, first, normalize) for part in pixels.chunk(3)]
    np.testing.assert_allclose(r_bn(forward), expected, rtol=1e-4)


def test_cross_entropy_by_formula_within_each_group(tiny_teacher):
    pixels = views(groups=3)
    logits = bn_inputs(tiny_teacher.net, pixels)[1].numpy()
    rows = -log_softmax(logits, axis=1)[np.arange(15), np.arange(15) % G]
    np.testing.assert_allclose(
        cross_entropy(forward_pass(tiny_teacher, pixels, 3)), rows.reshape(3, G).mean(1), rtol=1e-4
    )


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_r_tv_by_formula(tiny_teacher, beta):
    pixels = views(groups=2)
    x = pixels.numpy().astype(np.float64)
    total = np.zeros(len(x))
    for row in range(7):
        for column in range(7):
            down = x[:, :, row + 1, column] - x[:, :, row, column]
            right = x[:, :, row, column + 1] - x[:, :, row, column]
            total += ((down**2 + right**2) ** (beta / 2)).sum(1)
    found = r_tv(forward_pass(tiny_teacher, pixels, 2, tv_beta=beta))
    np.testing.assert_allclose(found, total.reshape(2, G).mean(1), rtol=1e-5)


def test_r_l2_by_formula(tiny_teacher):
    pixels = views(groups=2)
    expected = np.sqrt((pixels.numpy() ** 2).sum((1, 2, 3))).reshape(2, G).mean(1)
    np.testing.assert_allclose(r_l2(forward_pass(tiny_teacher, pixels, 2)), expected, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.5])
@pytest.mark.parametrize("name", all_terms())
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_terms_and_gradients_are_finite_on_constant_images(tiny_teacher, name, value, beta):
    pixels = torch.full((G, 3, 8, 8), value, requires_grad=True)
    term = all_terms()[name].function(forward_pass(tiny_teacher, pixels, tv_beta=beta)).sum()
    (gradient,) = torch.autograd.grad(term, pixels)
    assert torch.isfinite(term)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", all_terms())
def test_a_term_minimised_alone_goes_down(tiny_teacher, name):
    pixels = views().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.05)
    values = []
    for _ in range(25):
        value = all_terms()[name].function(forward_pass(tiny_teacher, pixels)).sum()
        (pixels.grad,) = torch.autograd.grad(value, pixels)
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.8 * values[0]


def test_only_terms_with_a_weight_are_active():
    assert active(RecoverConfig(alpha_bn=0.5, alpha_l2=3)) == {"ce": 1.0, "r_bn": 0.5, "r_l2": 3.0}
    assert set(active(RecoverConfig(alpha_bn=0, alpha_tv=1))) == {"ce", "r_tv"}
