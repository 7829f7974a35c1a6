"""Losses against numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax

from sre2l_core.config import ValidateConfig
from sre2l_core.losses import accuracy, cross_entropy, hard_targets, kl_divergence, soft_label_loss


def logits(seed, rows=6, classes=9, scale=3.0):
    return scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def hard(rows=6, classes=9):
    return torch.eye(classes)[torch.arange(rows) % classes]


def kl(student, teacher, t):
    p, q = (softmax(z.numpy().astype(np.float64) / t, axis=1) for z in (teacher, student))
    return rel_entr(p, q).sum(1).mean()


def mse_ce(student, teacher, target, gamma):
    z, s = (x.numpy().astype(np.float64) for x in (student, teacher))
    return ((z - s) ** 2).mean() - gamma * (target.numpy() * log_softmax(z, axis=1)).sum(1).mean()


def gift(student, teacher, target, gamma):
    z, s, h = (x.numpy().astype(np.float64) for x in (student, torch.from_numpy(softmax(teacher.numpy(), 1)), target))
    unit = [x / np.sqrt((x**2).sum(1, keepdims=True)) for x in (z, s, h)]
    label = (1 - gamma) * unit[1] + gamma * unit[2]
    label /= np.sqrt((label**2).sum(1, keepdims=True))
    return (1 - (unit[0] * label).sum(1)).mean()


def test_every_loss_by_formula():
    student, teacher, target = logits(0), logits(1), hard()
    expected = {
        "kl": kl(student, teacher, 4),
        "kl_t2": 16 * kl(student, teacher, 4),
        "mse_ce": mse_ce(student, teacher, target, 0.3),
        "gift": gift(student, teacher, target, 0.3),
    }
    for name, value in expected.items():
        config = ValidateConfig(loss=name, temperature=4, gamma=0.3)
        assert soft_label_loss(student, teacher, target, config).item() == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_gradient_of_the_divergence_is_that_of_equation_9(temperature):
    student, teacher = logits(0).requires_grad_(), logits(1)
    (found,) = torch.autograd.grad(kl_divergence(student, teacher, temperature), student)
    difference = softmax(student.detach().numpy() / temperature, 1) - softmax(teacher.numpy() / temperature, 1)
    np.testing.assert_allclose(found, difference / temperature / len(teacher), rtol=1e-4, atol=1e-8)


def test_at_temperature_20_the_divergence_is_a_centred_squared_error():
    student, teacher = logits(0, 50, 100, 1.0), logits(1, 50, 100, 1.0)
    off = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    expected = off.square().sum(1).mean() / (2 * 100 * 20**2)
    assert kl_divergence(student, teacher, 20).item() == pytest.approx(expected.item(), rel=0.02)


def test_half_precision_inputs_are_computed_in_float32():
    student, teacher = logits(0), logits(1)
    config = ValidateConfig()
    found = soft_label_loss(student.bfloat16(), teacher.bfloat16(), hard(), config)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(kl(student.bfloat16().float(), teacher.bfloat16().float(), 20), rel=1e-4)


def test_hard_targets_share_labels_and_enter_cross_entropy():
    targets = hard_targets(torch.tensor([0, 2]), torch.tensor([1, 2]), torch.tensor([0.75, 0.4]), 3)
    torch.testing.assert_close(targets, torch.tensor([[0.75, 0.25, 0], [0, 0, 1.0]]))
    z = logits(3, 2, 3)
    expected = -(targets.numpy() * log_softmax(z.numpy(), axis=1)).sum(1).mean()
    assert cross_entropy(z, targets).item() == pytest.approx(expected, rel=1e-5)


def test_accuracy_counts_labels_among_the_k_largest():
    z = torch.tensor([[3.0, 2, 1], [1, 2, 3], [2, 3, 1], [1, 3, 2]])
    labels = torch.tensor([0, 0, 0, 2])
    assert [accuracy(z, labels, k).item() for k in (1, 2, 9)] == [0.25, 0.75, 1.0]
