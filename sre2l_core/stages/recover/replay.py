"""Recover again what was recovered by hand: a config, and what was changed at which step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import torch

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError, came
from sre2l_core.groups import plan
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.loop import Recovery


def replay(
    teacher: Teacher,
    config: RecoverConfig,
    changes: Sequence[Mapping[str, Any]] = (),
    *,
    until: int | None = None,
    runtime: Runtime | None = None,
    data: Dataset | None = None,
) -> Recovery:
    """Step through a recovery with the changes that a `Recovery` noted in `changes`; the same pixels come out.

    Args:
        teacher: stage 1's result.
        config: settings at the start; all its groups are recovered at once, so they must be of equal size.
        changes: `step`, `field` and `new` value of each change, in order; read from JSON or as they were noted.
        until: stop after so many steps, as the recovery did that is replayed.
        runtime: device and precision; equal pixels need the same.
        data: real data, for starts other than noise.

    Raises:
        ConfigError: for changes that are none, or not in order.
    """
    check_changes(changes)
    recovery = Recovery(teacher, plan(config, teacher.spec), config, runtime=runtime, data=data)

    def step_to(step: float) -> None:
        while not recovery.done and recovery.step_count < step:
            recovery.step()

    for step, together in groupby(changes, key=lambda change: change["step"]):
        step_to(step)
        recovery.retune(**{change["field"]: change["new"] for change in together})
    step_to(float("inf") if until is None else until)
    return recovery


def check_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    """Raise `ConfigError` for changes that are none, or not in order."""
    before = 0
    for change in changes:
        whole = isinstance(change, Mapping) and {"step", "field", "new"} <= change.keys()
        if not whole or type(change["step"]) is not int or not isinstance(change["field"], str):
            raise ConfigError(f"a change has step, field and new value (got {came(change)}).")
        if change["step"] < before:
            raise ConfigError(f"changes must be in order: step {came(change['step'])} comes after step {before}.")
        before = change["step"]


def as_condensed_set(recovery: Recovery) -> CondensedSet:
    """The images as they are now, ordered by id, with the settings and changes that made them as their origin."""
    order = torch.tensor(recovery.ids).argsort()
    origin = {
        "method": f"SRe2L recovery from {recovery.config.init}",
        "teacher": recovery.teacher.id,
        "config": recovery.config.model_dump(mode="json"),
        "steps": recovery.step_count,
        "changes": plain(recovery.changes),
    }
    images, labels = recovery.pixels().cpu()[order], recovery.targets.cpu()[order]
    return CondensedSet(images, labels, recovery.teacher.spec, origin)


def plain(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Changes as JSON has them."""
    return [{name: list(v) if isinstance(v, tuple) else v for name, v in change.items()} for change in changes]
