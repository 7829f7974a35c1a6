"""Random real images."""

from __future__ import annotations

import pytest
import torch

from sre2l_core import starts
from sre2l_core.errors import ConfigError


def rows_of(condensed, data):
    """Training rows that the images are copies of."""
    flat = data.train.images.flatten(1)
    return [int((flat == image.flatten()).all(1).nonzero()[0, 0]) for image in condensed.images]


def test_distinct_training_images_with_their_labels(tiny_data):
    chosen = starts.baseline("random", tiny_data, ipc=4, labels=(0, 3), seed=0)
    rows = rows_of(chosen, tiny_data)
    assert len(set(rows)) == 8
    assert tiny_data.train.labels[rows].equal(chosen.labels)
    assert chosen.labels.bincount(minlength=5).tolist() == [4, 0, 0, 4, 0]
    assert chosen.spec == tiny_data.spec


def test_all_images_of_a_class_that_has_fewer(tiny_data):
    chosen = starts.baseline("random", tiny_data, ipc=50, labels=(2,), seed=0)
    assert sorted(rows_of(chosen, tiny_data)) == (tiny_data.train.labels == 2).nonzero()[:, 0].tolist()


def test_the_seed_decides(tiny_data):
    first, again, other = (
        starts.baseline("random", tiny_data, ipc=3, labels=(0, 1, 2, 3, 4), seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first.images, again.images)
    assert first.id == again.id != other.id


def test_an_unknown_baseline_names_the_nearest(tiny_data):
    with pytest.raises(ConfigError, match="Did you mean 'random'"):
        starts.baseline("randon", tiny_data, ipc=3, labels=(0,), seed=0)
