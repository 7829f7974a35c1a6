"""Groups: which images are optimised together."""

from __future__ import annotations

import pytest

from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.groups import Group, plan, stacked


def config(**settings):
    return RecoverConfig(**{"ipc": 2, "group_size": 2, "steps": 3, **settings})


def test_consecutive_classes_for_each_image_index_in_turn(tiny_spec):
    assert plan(config(), tiny_spec) == [
        Group(0, (0, 1), (0, 1)),
        Group(0, (2, 3), (2, 3)),
        Group(0, (4,), (4,)),
        Group(1, (0, 1), (5, 6)),
        Group(1, (2, 3), (7, 8)),
        Group(1, (4,), (9,)),
    ]


def test_a_smaller_set_is_a_prefix_of_a_larger_one(tiny_spec):
    assert plan(config(ipc=3), tiny_spec)[:6] == plan(config(ipc=2), tiny_spec)


def test_chosen_classes_keep_their_labels(tiny_spec):
    groups = plan(config(only_classes=("eel", "bee", "dog", "bee")), tiny_spec)
    assert groups[:2] == [Group(0, (1, 3), (0, 1)), Group(0, (4,), (2,))]
    assert groups[2].ids == (3, 4)
    with pytest.raises(ConfigError, match=r"class id 'bea'.*Did you mean 'bee'"):
        plan(config(only_classes=("bea",)), tiny_spec)


def test_stacks_hold_groups_of_one_size(tiny_spec):
    groups = plan(config(), tiny_spec)
    stacks = stacked(groups, 3)
    assert [[group.ids[0] for group in stack] for stack in stacks] == [[0, 2, 5], [7], [4, 9]]
    assert stacked(groups, 1) == [[group] for group in sorted(groups, key=lambda group: (-len(group), group.ids))]
