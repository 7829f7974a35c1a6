"""Hashed random numbers, against SplitMix64 in whole numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sre2l_core.counter_random import CounterRandom


def splitmix(state):
    """SplitMix64 in whole numbers."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.sampled_from(["top", "area 9", "partners"]),
)
def test_random_numbers_are_splitmix_of_seed_epoch_id_and_name(seed, epoch, index, name):
    found = CounterRandom(seed, epoch, np.array([index])).uniform(name)[0]
    state = splitmix(splitmix(splitmix((seed + 0x9E3779B97F4A7C15) % 2**64) ^ epoch) ^ index)
    key = splitmix(int.from_bytes(name.rjust(8, "_").encode(), "little"))
    assert found == (splitmix(state ^ key) >> 11) / 2**53


def test_every_letter_of_a_long_name_counts():
    random = CounterRandom(0, 0, np.arange(3))
    names = ["strength", "a strength", "b strength", "a long name of a strength", "A long name of a strength"]
    assert len({tuple(random.uniform(name)) for name in names}) == len(names)
