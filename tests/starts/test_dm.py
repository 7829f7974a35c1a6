"""Distribution matching: an iteration is that of the formula; the set is made once and belongs to its seed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sre2l_core import starts
from sre2l_core.config import RecoverConfig, ViewConfig
from sre2l_core.errors import DivergenceError
from sre2l_core.stages.recover import recover
from sre2l_core.starts import dm

WHOLE = ViewConfig(crop="none", flip=0)


def embedded(net, images, statistics):
    """Convolution, the given mean and variance, ReLU, pooling; block by block, written out."""
    layers = [layer for layer in net[0] if hasattr(layer, "weight")]
    for (convolution, norm), (mean, var) in zip(zip(layers[::2], layers[1::2], strict=True), statistics, strict=True):
        images = F.conv2d(images, convolution.weight, convolution.bias, padding=1)
        images = (images - mean[:, None, None]) / (var[:, None, None] + norm.eps).sqrt()
        images = F.avg_pool2d((norm.weight[:, None, None] * images + norm.bias[:, None, None]).relu(), 2)
    return images.flatten(1)


def statistics_of(net, images):
    """Mean and unbiased variance of what enters each BatchNorm layer, its own statistics being used after it."""
    found, layers = [], [layer for layer in net[0] if hasattr(layer, "weight")]
    for convolution, norm in zip(layers[::2], layers[1::2], strict=True):
        images = F.conv2d(images, convolution.weight, convolution.bias, padding=1)
        found.append((images.mean((0, 2, 3)), images.var((0, 2, 3))))
        biased = images.var((0, 2, 3), correction=0)
        images = (images - found[-1][0][:, None, None]) / (biased[:, None, None] + norm.eps).sqrt()
        images = F.avg_pool2d(images.relu(), 2)
    return found


@pytest.fixture(autouse=True)
def _forget():
    dm._all.cache_clear()


def test_an_iteration_lowers_the_distance_of_mean_embeddings_by_sgd(tiny_data, tiny_spec, cpu, monkeypatch):
    monkeypatch.setattr(dm, "SIAMESE", WHOLE)
    net = dm.random_convnet(tiny_spec, 4, seed=3)
    monkeypatch.setattr(dm, "random_convnet", lambda *_: net)
    matching = dm.Matching(tiny_data, (1, 4), 2, 0, cpu, real=12)
    before = {label: images.detach().clone().requires_grad_() for label, images in matching.images.items()}
    for label, images in before.items():  # they start as real ones
        own = tiny_spec.normalize(tiny_data.train.images[tiny_data.train.labels == label])
        assert all((own - image).abs().amax((1, 2, 3)).min() < 1e-6 for image in images)
    real = {label: tiny_spec.normalize(tiny_data.train.images[tiny_data.train.labels == label]) for label in before}
    known = statistics_of(net, torch.cat([*real.values()]))
    expected = sum(
        ((embedded(net, real[label], known).mean(0) - embedded(net, before[label], known).mean(0)) ** 2).sum()
        for label in before
    )
    expected.backward()
    assert matching.step() == pytest.approx(float(expected.detach()), rel=1e-4)
    for label, images in matching.images.items():
        moved = before[label] - 2 * dm.LR * before[label].grad
        assert (images - moved).abs().max() < 1e-5
    first = {label: before[label].grad for label in before}
    before = {label: images.detach().clone().requires_grad_() for label, images in matching.images.items()}
    sum(
        ((embedded(net, real[label], known).mean(0) - embedded(net, before[label], known).mean(0)) ** 2).sum()
        for label in before
    ).backward()
    matching.step()
    for label, images in matching.images.items():  # momentum
        moved = before[label] - 2 * dm.LR * (before[label].grad + dm.MOMENTUM * first[label])
        assert (images - moved).abs().max() < 1e-5


def test_both_sides_see_the_same_view_and_another_each_iteration(tiny_data, cpu, monkeypatch):
    seen = []

    def noting(images, params, *, size):
        seen.append(params.geometry.tolist())
        return images

    monkeypatch.setattr(dm, "apply", noting)
    matching = dm.Matching(tiny_data, (0, 1), 2, 0, cpu)
    matching.step()
    matching.step()
    assert len(seen) == 10
    assert all(view == seen[0] for view in seen[:5])
    assert all(view == seen[5] for view in seen[5:])
    assert seen[0] != seen[5]


def test_what_is_matched_falls(tiny_data, cpu):
    matching = dm.Matching(tiny_data, (0, 1, 2, 3, 4), 2, 0, cpu)
    losses = [matching.step() for _ in range(30)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_network_leaves_four_by_four_positions(tiny_spec):
    for resolution, positions in ((8, 4), (16, 4), (32, 4), (64, 4), (28, 7)):
        spec = dm.DatasetSpec("any", ("a", "b"), 3, resolution, (0.5,) * 3, (0.2,) * 3)
        made = dm.random_convnet(spec, 3, seed=0)(torch.zeros(2, 3, resolution, resolution))
        assert made.shape == (2, 3 * positions**2)


def test_a_set_is_made_once_for_hard_and_soft_labels_and_belongs_to_its_seed(tiny_data, tiny_teacher, cpu, monkeypatch):
    monkeypatch.setattr(dm, "ITERATIONS", 2)
    calls, match = [], dm.match
    monkeypatch.setattr(dm, "match", lambda *a, **k: calls.append(k["seed"]) or match(*a, **k))

    def made(seed, labels=(0, 1, 2)):
        return starts.baseline("dm", tiny_data, ipc=3, labels=labels, seed=seed, teacher=tiny_teacher, runtime=cpu)

    first, other, again = made(0), made(1), made(0)
    assert first.id == again.id != other.id
    assert calls == [0, 1]
    dm._all.cache_clear()
    assert made(0).id == first.id
    assert made(0, labels=(2,)).labels.tolist() == [2, 2, 2]


def test_a_class_with_fewer_images_gives_as_many(tiny_data, cpu, monkeypatch):
    monkeypatch.setattr(dm, "ITERATIONS", 1)
    assert len(starts.baseline("dm", tiny_data, ipc=50, labels=(2,), seed=0, runtime=cpu)) == 12


def test_a_recovery_may_begin_with_it(tiny_data, tiny_teacher, cpu, monkeypatch):
    monkeypatch.setattr(dm, "ITERATIONS", 1)
    config = RecoverConfig(ipc=2, init="dm", steps=0, alpha_bn=0)
    made = recover(tiny_teacher, config, data=tiny_data, runtime=cpu)
    whole = starts.baseline("dm", tiny_data, ipc=2, labels=(0, 1, 2, 3, 4), seed=0, runtime=cpu)
    for label in range(5):
        assert made.images[made.labels == label].equal(whole.images[whole.labels == label])


def test_what_diverges_is_said(tiny_data, cpu, monkeypatch):
    monkeypatch.setattr(dm, "LR", 1e6)
    with pytest.raises(DivergenceError, match=r"dm: what is matched became (inf|nan) in iteration \d+\."):
        dm.match(tiny_data, (0, 1), ipc=1, seed=0, iterations=40, runtime=cpu)
