"""A step of MTT, held to a linear classifier whose gradients are written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sre2l_core.backbones import build
from sre2l_core.studies.trajectories import trajectory_loss, trajectory_step


def test_the_loss_and_its_gradient_are_those_of_the_unrolled_formula(cpu):
    random = torch.Generator().manual_seed(0)
    images = torch.randn(6, 1, 2, 2, generator=random)
    labels = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    start = {"1.weight": torch.randn(3, 4, generator=random), "1.bias": torch.zeros(3)}
    target = {name: value + 0.1 * torch.randn(value.shape, generator=random) for name, value in start.items()}

    def unrolled(pixels, lr):
        weight, bias = start["1.weight"], start["1.bias"]
        for _ in range(4):
            x = pixels.flatten(1)
            wrong = ((x @ weight.T + bias).softmax(1) - labels) / len(x)
            weight, bias = weight - lr * wrong.T @ x, bias - lr * wrong.sum(0)
        away = ((weight - target["1.weight"]) ** 2).sum() + ((bias - target["1.bias"]) ** 2).sum()
        return away / sum(((start[name] - target[name]) ** 2).sum() for name in start)

    found = []
    for loss in (
        lambda x, lr: trajectory_loss(net, start, target, x, labels, steps=4, lr=lr, runtime=cpu), unrolled
    ):  # fmt: skip
        pixels, lr = images.clone().requires_grad_(), torch.tensor(0.5, requires_grad=True)
        value = loss(pixels, lr)
        found.append([value, *torch.autograd.grad(value, [pixels, lr])])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_student_that_goes_nowhere_is_as_far_away_as_it_began(cpu):
    net = build("convnet", num_classes=2, resolution=8, depth=2, width=4, seed=0)
    start = {name: value.detach() for name, value in net.named_parameters()}
    target = {name: value + 1 for name, value in start.items()}
    images, lr = torch.randn(4, 3, 8, 8), torch.tensor(0.0)
    labels = torch.eye(2)[[0, 1, 0, 1]]
    loss = trajectory_loss(net, start, target, images, labels, steps=3, lr=lr, runtime=cpu)
    assert float(loss.detach()) == pytest.approx(1.0)


def test_a_step_moves_the_images_and_nothing_else(cpu):
    net = build("convnet", num_classes=2, resolution=8, depth=2, width=4, seed=0)
    before = {name: value.clone() for name, value in net.named_parameters()}
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    old, labels = images.detach().clone(), torch.eye(2)[[0, 1, 0, 1]]
    assert trajectory_step(net, images, labels, steps=2, runtime=cpu) > 0
    assert not images.equal(old)
    assert all(value.equal(before[name]) for name, value in net.named_parameters())
