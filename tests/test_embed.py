"""Features and t-SNE: numbers only."""

import numpy as np
import pytest
import torch
from torch import nn

from sre2l_core.artifacts import Teacher
from sre2l_core.embed import features, tsne
from sre2l_core.errors import ConfigError, DataError


def test_features_are_what_enters_the_last_linear_layer(tiny_teacher, tiny_data, cpu):
    images = tiny_data.spec.normalize(tiny_data.val.images)
    found = features(tiny_teacher, images, runtime=cpu, batch_size=10)
    assert found.shape == (25, 32)
    assert found.dtype == torch.float32
    with torch.no_grad():
        logits = tiny_teacher.net(images)
    head = tiny_teacher.net.classifier
    assert torch.allclose(found @ head.weight.T + head.bias, logits, atol=1e-5)


def test_batches_do_not_matter_and_no_hook_stays(tiny_teacher, tiny_data, cpu):
    images = tiny_data.spec.normalize(tiny_data.val.images)
    whole = features(tiny_teacher, images, runtime=cpu)
    assert torch.allclose(whole, features(tiny_teacher, images, runtime=cpu, batch_size=7), atol=1e-5)
    with pytest.raises(RuntimeError):
        features(tiny_teacher, images[:, :1], runtime=cpu)
    assert not any(module._forward_pre_hooks for module in tiny_teacher.net.modules())


def test_a_network_without_a_linear_layer_is_refused(tiny_spec, cpu):
    net = nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten())
    with pytest.raises(ConfigError, match="custom has no linear layer"):
        features(Teacher(net, tiny_spec, "custom"), torch.zeros(1, 3, 8, 8), runtime=cpu)


def test_clusters_stay_apart_and_the_seed_fixes_the_picture():
    generator = torch.Generator().manual_seed(0)
    centres = 20 * torch.randn(3, 10, generator=generator)
    points = centres.repeat_interleave(20, dim=0) + torch.randn(60, 10, generator=generator)
    placed = tsne(points, seed=1)
    assert placed.shape == (60, 2)
    assert np.array_equal(placed, tsne(points, seed=1))
    groups = placed.reshape(3, 20, 2)
    spread = max(group.std(0).max() for group in groups)
    middles = groups.mean(1)
    assert min(np.linalg.norm(middles[a] - middles[b]) for a, b in [(0, 1), (0, 2), (1, 2)]) > 3 * spread


def test_few_points_get_a_lower_perplexity_and_too_few_are_refused():
    points = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    assert tsne(points).shape == (4, 2)
    with pytest.raises(DataError, match=r"at least 4 points \(got 3\)"):
        tsne(points[:3])
