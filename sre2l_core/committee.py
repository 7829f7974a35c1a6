"""Several teachers as one: who they are, what each counts, and what they say together (G-VBSM, CV-DD).

A committee is a teacher like any other, saved in one folder; its network averages the logits of its members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from sre2l_core.artifacts import Teacher
from sre2l_core.backbones.committee import SEPARATOR, Committee
from sre2l_core.config import RelabelConfig, network_in_words, network_of
from sre2l_core.errors import ConfigError

SHARPNESS = 5.0
"""Points of accuracy that are worth a factor e in a vote by accuracy (CV-DD)."""


def join(teachers: Sequence[Teacher]) -> Teacher:
    """One teacher of all these, in their order; a single one is that one itself.

    Raises:
        ConfigError: without any, or where one stands there twice.
        DataError: if they know other classes or images of another kind.
    """
    if not teachers:
        raise ConfigError("a committee needs at least one teacher (got none).")
    every = [member for teacher in teachers for member in members(teacher)]
    if len(every) == 1:
        return every[0]
    first = every[0]
    for number, other in enumerate(every):
        first.spec.check_fits(other.spec)
        if other.id in {earlier.id for earlier in every[:number]}:
            raise ConfigError(f"teacher {other.id} is there twice: name every teacher once.")
    named = SEPARATOR.join(network_in_words(member.backbone, member.options) for member in every)
    origin = {**first.origin, "members": [_about(member) for member in every]}
    net = Committee([member.net for member in every], named)
    return Teacher(net, first.spec, "committee", {"networks": named}, {}, origin)


@lru_cache(maxsize=4)  # what is kept of a teacher, such as statistics of its classes, is kept by member
def members(teacher: Teacher) -> tuple[Teacher, ...]:
    """The teachers that a committee consists of; of any other teacher it is the only one."""
    if not isinstance(teacher.net, Committee):
        return (teacher,)
    named = [network_of(text) for text in teacher.net.named.split(SEPARATOR)]
    noted = teacher.origin.get("members")
    if not isinstance(noted, list) or len(noted) != len(teacher.net.networks):  # it was not joined, or by other hands
        noted = [{}] * len(teacher.net.networks)
    return tuple(
        Teacher(net, teacher.spec, *network, _mapping(note, "accuracy"), _mapping(note, "origin"))
        for net, network, note in zip(teacher.net.networks, named, noted, strict=True)
    )


def shares(teachers: Sequence[Teacher], vote: str) -> tuple[float, ...]:
    """What each of these counts, 1 in all: the same, or by accuracy softmax(a / 5) for a in % (CV-DD).

    *Departs from CV-DD*, whose a is the accuracy of a student of images that the teacher alone made: here it is that of
    the teacher.

    Raises:
        ConfigError: for a vote by accuracy where that of one is not known.
    """
    if vote == "equal" or len(teachers) == 1:
        return (1 / len(teachers),) * len(teachers)
    if unknown := [teacher.backbone for teacher in teachers if "top1" not in teacher.accuracy]:
        raise ConfigError(
            f"vote='accuracy' needs the accuracy of every teacher, that of {unknown[0]} is not known: squeeze it with "
            "data to be measured on, or use vote='equal'."
        )
    points = torch.tensor([100 * teacher.accuracy["top1"] for teacher in teachers], dtype=torch.float64)
    return tuple((points / SHARPNESS).softmax(0).tolist())


def labelling(teacher: Teacher, config: RelabelConfig) -> nn.Module:
    """The network that labels: the teacher's own, its first member's, or all of theirs weighted by a vote."""
    every = members(teacher)
    if config.label_by == "first":
        return every[0].net
    if config.vote == "equal" or len(every) == 1:
        return teacher.net
    return Committee([member.net for member in every], "", shares(every, config.vote)).eval()


def _about(member: Teacher) -> dict[str, Any]:
    return {"id": member.id, "accuracy": dict(member.accuracy), "origin": dict(member.origin)}


def _mapping(note: Any, name: str) -> Mapping[str, Any]:
    found = note.get(name) if isinstance(note, Mapping) else None
    return found if isinstance(found, Mapping) else {}
