"""Who looks at the images in a step, where several teachers recover: in turn (G-VBSM, FADRM+), or drawn (CV-DD)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sre2l_core.artifacts import Teacher
from sre2l_core.committee import shares
from sre2l_core.config import RecoverConfig
from sre2l_core.counter_random import CounterRandom
from sre2l_core.groups import Group

Voice = tuple[int, float]
"""A teacher's number, and the weight of its loss."""


def apart(config: RecoverConfig, teachers: int) -> bool:
    """Whether each group has teachers of its own, so that no other may share its passes."""
    return teachers > 1 and config.teaching != "turns"


def voices(config: RecoverConfig, teachers: Sequence[Teacher], group: Group, step: int) -> list[Voice]:
    """The teachers of a group in a step: a function of the seed and the group's first image, or of the step alone."""
    if not apart(config, len(teachers)):
        return [(step % len(teachers), 1.0)]
    chosen = drawn(config.seed, group.ids[0], len(teachers))[: 2 if config.teaching == "pair" else 1]
    return [*zip(chosen, shares([teachers[number] for number in chosen], config.vote), strict=True)]


def drawn(seed: int, image: int, count: int) -> list[int]:
    """The numbers 0..count-1 in an order of an image's own."""
    random = CounterRandom(seed, 0, np.array([image]))
    keys = np.concatenate([random.uniform(f"teacher {number}") for number in range(count)])
    return [int(number) for number in keys.argsort(kind="stable")]
