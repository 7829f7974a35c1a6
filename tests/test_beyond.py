"""The successors' methods: sets of classes that do not meet, and what each method changes."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import pytest

from sre2l_core import presets
from sre2l_core.presets.beyond import METHODS, SETS
from sre2l_core.presets.tiny_imagenet import TEN, ten_from_noise
from sre2l_core.stages.recover import recover


def test_sets_share_no_class_and_those_of_reports_none_that_a_recipe_was_tuned_on():
    assert all(len(set(classes)) == 10 for classes in SETS.values())
    assert not any(set(one) & set(other) for one, other in combinations(SETS.values(), 2))
    assert not any(set(TEN) & set(SETS[name]) for name in "bcd")


@pytest.mark.data
def test_sets_are_every_twentieth_class():
    root = Path(os.environ["SRE2L_DATA"]) if "SRE2L_DATA" in os.environ else pytest.skip("SRE2L_DATA is not set")
    known = sorted((root / "tiny-imagenet" / "wnids.txt").read_text().split())
    assert SETS == {name: tuple(known[first::20]) for name, first in {"a": 2, "b": 9, "c": 10, "d": 19}.items()}


@pytest.mark.parametrize("classes", SETS)
@pytest.mark.parametrize("method", METHODS)
def test_a_method_changes_recovery_alone_and_only_the_first_set_holds_images_out(classes, method):
    changed = ten_from_noise.differences(presets.get(f"beyond-{classes}/{method}"))
    held = {"data.holdout"} if classes == "a" else set()
    assert changed.keys() == {"data.classes"} | held | {f"recover.{name}" for name in METHODS[method]}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_recovers_images_of_its_own(method, tiny_teacher, tiny_data, cpu):
    def images(name):
        config = presets.get(f"beyond-b/{name}").recover
        small = config.but(ipc=4, steps=min(config.steps, 4), group_images=min(config.group_images, 4))
        return recover(tiny_teacher, small, runtime=cpu, data=tiny_data).images

    found = images(method)
    assert len(found) == 4 * tiny_data.spec.num_classes
    assert not found.equal(images("sre2l" if method != "sre2l" else "rded"))
