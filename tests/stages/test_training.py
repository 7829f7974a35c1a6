"""Schedules, parameter groups, accumulated gradients, weight averages and evaluation against formulas."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sre2l_core.config import TrainConfig
from sre2l_core.stages.training import Trainer, build_optimizer, evaluate, lr_factor


def network(norm=False):
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        layers = [nn.Flatten(), nn.Linear(12, 5), *([nn.BatchNorm1d(5)] if norm else []), nn.Linear(5, 3)]
        return nn.Sequential(*layers)


def batch(rows=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, 2, 2, generator=generator), torch.arange(rows) % 3


def learn(trainer, images, labels, epoch=0.0):
    return trainer.step(images, lambda logits, rows: F.cross_entropy(logits, labels[rows]), epoch)


def test_the_log_of_the_tiny_imagenet_reference():
    config = TrainConfig(epochs=50, lr=0.2, warmup_epochs=5, schedule_by="epoch")
    rates = [0.2 * lr_factor(config, epoch + 0.7) for epoch in range(50)]
    assert rates[:6] == pytest.approx([0.002, 0.0416, 0.0812, 0.1208, 0.1604, 0.2])
    for epoch in range(5, 50):
        assert rates[epoch] == pytest.approx(0.1 * (1 + math.cos(math.pi * (epoch - 5) / 45)))


@pytest.mark.parametrize(("stretch", "end"), [(1, 0.0), (2, 0.5), (1.5, 0.25)])
def test_a_stretched_cosine_ends_above_zero(stretch, end):
    config = TrainConfig(epochs=20, cosine_stretch=stretch)
    assert lr_factor(config, 0) == 1
    assert lr_factor(config, 20) == pytest.approx(end)
    assert lr_factor(config, 7.5) == pytest.approx((1 + math.cos(math.pi * 7.5 / 20 / stretch)) / 2)


def test_steps_and_constants():
    step = TrainConfig(epochs=60, schedule="step")
    assert [lr_factor(step, epoch) for epoch in (0, 39.9, 40, 49.9, 50, 59.9)] == pytest.approx(
        [1, 1, 0.2, 0.2, 0.04, 0.04]
    )
    constant = TrainConfig(epochs=60, schedule="constant", warmup_epochs=10)
    assert [lr_factor(constant, epoch) for epoch in (0, 5, 10, 59)] == pytest.approx([0.01, 0.505, 1, 1])


@pytest.mark.parametrize("decay_1d", [True, False])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_decay_of_vectors_is_optional(kind, decay_1d):
    net = network(norm=True)
    config = TrainConfig(optimizer=kind, weight_decay=0.03, decay_1d=decay_1d, momentum=0.7, betas=(0.8, 0.95))
    optimizer = build_optimizer(net, config)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in net.named_parameters():
        vector = name.endswith("bias") or name == "2.weight"
        assert decay.pop(id(parameter)) == (0.03 if decay_1d or not vector else 0.0), name
    assert not decay
    expected = {"momentum": 0.7} if kind == "sgd" else {"betas": (0.8, 0.95)}
    assert all(group[key] == value for group in optimizer.param_groups for key, value in expected.items())


def test_sgd_steps_by_formula(cpu):
    config = TrainConfig(epochs=4, lr=0.3, momentum=0.6, weight_decay=0.01)
    trainer, (images, labels) = Trainer(network(), config, cpu), batch()
    twin, speed = copy.deepcopy(trainer.net), {}
    for epoch in (0.0, 1.5, 3.0):
        expected = F.cross_entropy(twin(images), labels)
        gradients = torch.autograd.grad(expected, list(twin.parameters()))
        loss, logits = learn(trainer, images, labels, epoch)
        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(logits, twin(images).detach())
        rate = 0.15 * (1 + math.cos(math.pi * epoch / 4))
        with torch.no_grad():
            for (name, parameter), gradient in zip(twin.named_parameters(), gradients, strict=True):
                speed[name] = 0.6 * speed.get(name, 0) + gradient + 0.01 * parameter
                parameter -= rate * speed[name]
        for found, parameter in zip(trainer.net.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(found, parameter)


@pytest.mark.parametrize("micro", [1, 3, 7, 50])
def test_micro_batches_add_up_to_the_batch(cpu, micro):
    images, labels = batch()
    whole = Trainer(network(), TrainConfig(lr=0.5, momentum=0), cpu)
    split = Trainer(network(), TrainConfig(lr=0.5, momentum=0, micro_batch=micro), cpu)
    for _ in range(3):
        ours, theirs = learn(whole, images, labels), learn(split, images, labels)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)
    for one, other in zip(whole.net.parameters(), split.net.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_batchnorm_sees_the_micro_batch(cpu):
    images, labels = batch(6)
    trainer = Trainer(network(norm=True), TrainConfig(micro_batch=3), cpu)
    hidden = trainer.net[1](images.flatten(1)).detach()
    learn(trainer, images, labels)
    first, second = (part.mean(0) for part in hidden.split(3))
    torch.testing.assert_close(trainer.net[2].running_mean, 0.9 * (0.1 * first) + 0.1 * second)


def test_the_average_of_weights_by_formula(cpu):
    trainer, (images, labels) = Trainer(network(norm=True), TrainConfig(lr=0.5), cpu, ema=0.2), batch()
    expected = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    for step in range(1, 9):
        learn(trainer, images, labels)
        keep = min(0.2, step / (step + 10))
        for name, value in trainer.net.state_dict().items():
            moving = value.is_floating_point()
            expected[name] = keep * expected[name] + (1 - keep) * value if moving else value.clone()
    for name, value in trainer.tested.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    assert not trainer.tested.training
    assert Trainer(network(), TrainConfig(), cpu).tested is not trainer.tested


def test_without_an_average_the_network_itself_is_tested(cpu):
    trainer = Trainer(network(), TrainConfig(), cpu)
    assert trainer.tested is trainer.net


def test_accuracies_by_counting(cpu, tiny_data, tiny_teacher):
    net = copy.deepcopy(tiny_teacher.net).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = evaluate(net, tiny_data.val, cpu, batch_size=7)
    assert net.training
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    logits = tiny_teacher.net(tiny_data.spec.normalize(tiny_data.val.images))
    right = [row.argmax().item() == label for row, label in zip(logits, tiny_data.val.labels.tolist(), strict=True)]
    assert found == {"top1": sum(right) / 25, "top5": 1.0}
    assert 0.2 < found["top1"] <= 1


def test_the_mode_is_put_back_after_an_exception(cpu, tiny_data):
    net = nn.Sequential(nn.Flatten(), nn.Linear(5, 5)).train()
    with pytest.raises(RuntimeError):
        evaluate(net, tiny_data.val, cpu)
    assert net.training
