"""A teacher that only recoveries are tried on."""

import pytest
from torch import nn

from sre2l_core.artifacts import Teacher


@pytest.fixture
def linear_teacher(tiny_spec):
    """Return a classifier without BatchNorm."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(tiny_spec.channels * tiny_spec.resolution**2, tiny_spec.num_classes))
    return Teacher(net, tiny_spec, "linear")
