"""`RecoveryPanel`: a panel of one or more recoveries on a teacher of its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sre2l_core import starts
from sre2l_core.artifacts import Teacher
from sre2l_core.config import Config, RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ConfigError, unknown
from sre2l_core.groups import Group
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.recovery.frame import RecoveryFrame, columns_of, short_names
from sre2l_core.widgets.recovery.view import RecoveryView
from sre2l_core.worker import State

CLASSES, IMAGES = 10, 10
"""So many are recovered where no classes are named, and at most so many images of each at first."""


class RecoveryPanel(LivePanel):
    """A `LivePanel` whose stage is made of recoveries.

    Every step is watched and may be retuned, so all are taken here: workers, which send nothing before their unit is
    done, have no part in it.

    Args:
        teacher: stage 1's result; the panel works on a copy, because recovery listens to BatchNorm layers that other
            cells may use meanwhile.
        config: see `LivePanel`; `fitting` makes one that fits into a panel.
        views: see `LivePanel`.
        data: real data, for starts other than noise.
        runtime: device and precision; the best there is by default.
        options: further arguments of `LivePanel`.
    """

    config: RecoverConfig

    def __init__(
        self,
        teacher: Teacher,
        config: RecoverConfig,
        views: Sequence[Any],
        *,
        data: Dataset | None = None,
        runtime: Runtime | None = None,
        **options: Any,
    ) -> None:
        self._own_teacher = own_copy(teacher)
        self._data, self._runtime = data, runtime or Runtime.auto()
        self._labels: list[int] = []
        super().__init__(config, views, **options)
        if data is None and "init" in self.controls:
            makers = catalogue("starts").items()
            with self.moved_by_code():
                self.controls["init"].options = tuple(name for name, start in makers if not start.needs_data)
            self._show_config()

    @property
    def teacher(self) -> Teacher:
        """The panel's own copy."""
        return self._own_teacher

    def clear(self) -> None:
        """Know the images of the next run."""
        self._plan(self.config)

    def check(self, config: Config) -> None:
        """Refuse to take no step: there would be nothing to watch."""
        if isinstance(config, RecoverConfig) and config.steps < 1:
            raise ConfigError(f"steps: a whole number of at least 1, not {config.steps}")

    def start_pixels(self, config: RecoverConfig | None = None) -> Tensor:
        """[N, C, H, W] uint8: what a recovery starts from; raises `ConfigError` without the data that this needs."""
        config, teacher = config or self.config, self.teacher
        start = starts.find(config.init)
        made = [start(teacher, config, group, self._data, self._runtime) for group in self._plan(config)]
        return teacher.spec.to_uint8(torch.cat(made))

    @property
    def columns(self) -> int:
        """Images in a row."""
        return columns_of(self._labels, self.teacher.spec.resolution)

    @property
    def names(self) -> list[str]:
        """What each image shows."""
        return short_names(self.teacher.spec, self._labels)

    def _recovery(self, config: RecoverConfig) -> Recovery:
        return Recovery(self.teacher, self._plan(config), config, runtime=self._runtime, data=self._data)

    def _plan(self, config: RecoverConfig) -> list[Group]:
        """The groups of a recovery, all of which are shown."""
        groups = plan(config, self.teacher.spec)
        self._labels = [label for group in groups for label in group.labels]
        return groups

    def _frame(self, view: RecoveryView, recovery: Recovery, watched: int = 0) -> RecoveryFrame:
        """What a view shows of a recovery; the teacher is asked for certain where the picture will stay."""
        rests = recovery.done or self.state is not State.RUNNING
        return view.frame(recovery, now=rests, watched=min(watched, len(recovery.targets) - 1))


def own_copy(teacher: Teacher) -> Teacher:
    """The same teacher with a network of its own."""
    return replace(teacher, net=copy.deepcopy(teacher.net))


def fitting(config: RecoverConfig, spec: DatasetSpec, classes: int = CLASSES) -> RecoverConfig:
    """The config with few enough classes for one panel, all of them in one group.

    Raises:
        ConfigError: for a class that is not in the data.
    """
    chosen = spec.classes[:classes] if config.only_classes is None else config.only_classes
    for one in set(chosen) - set(spec.classes):
        raise unknown("class id", one, spec.classes)
    return config.but(only_classes=chosen, group_size=len(chosen), stack=1, snapshot_every=None)
