"""`ShortRecovery`: move a slider and watch a few images being recovered anew."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.events import StepEvent
from sre2l_core.figures import encode
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.base.session import small, start_pixels
from sre2l_core.widgets.recover import LIMITS, in_words
from sre2l_core.widgets.recovery_view import Glance, Look, RecoveryView, columns_of, look, short_name
from sre2l_core.worker import State

WIDTH = 760
"""CSS pixels for the images."""


@dataclass(frozen=True)
class _Frame:
    look: Look
    numbers: str


class ShortRecovery(LivePanel):
    """One image per class, recovered in a few steps whenever the crop scale or the weight of R_BN changes.

    The panel keeps a copy of the teacher: recovery listens to BatchNorm layers that other cells may use meanwhile. One
    recovery runs at a time; a change stops it, and the next one starts from the same noise.

    Args:
        teacher: stage 1's result.
        config: settings of the recovery; the sliders start from its `crop_scale` and `alpha_bn`.
        steps: length of a recovery.
        max_classes: only the first so many classes are recovered.
        runtime: device and precision; the best there is by default.
        name: panels of one name never run at the same time; see `LivePanel`.
    """

    CONTROLS = ("crop_scale", "alpha_bn")
    LIVE = CONTROLS
    config: RecoverConfig

    def __init__(
        self,
        teacher: Teacher,
        config: RecoverConfig,
        *,
        steps: int = 100,
        max_classes: int = 10,
        runtime: Runtime | None = None,
        name: str | None = None,
    ) -> None:
        self._teacher = replace(teacher, net=copy.deepcopy(teacher.net))
        self._runtime = runtime or Runtime.auto()
        self._glance, self._view = Glance(), RecoveryView()
        classes = teacher.spec.classes[:max_classes]
        short = {"ipc": 1, "stack": 1, "steps": steps, "group_size": len(classes), "snapshot_every": None}
        super().__init__(config.but(only_classes=classes, **short), [self._view], name=name, limits=LIMITS)

    def pixels(self) -> Tensor:
        """[N, C, H, W] uint8: the images as they are now; before the first recovery the noise it would start from."""
        with self._lock:
            stage = self.stage
        return start_pixels(self.config, self._teacher, self._runtime) if stage is None else stage.pixels().cpu()

    def build(self) -> Recovery:
        """Make a recovery from the present settings."""
        config, self._glance = self.config, Glance()
        return Recovery(self._teacher, plan(config, self._teacher.spec), config, runtime=self._runtime)

    def look(self, stage: Recovery, event: StepEvent) -> _Frame:
        """Encode the images, and ask the teacher about them."""
        view = look(stage, self._glance(stage, now=stage.done or self.state is not State.RUNNING), 0, WIDTH)
        return _Frame(view, in_words(event, view.known))

    def show(self, frame: _Frame) -> None:
        """Write a frame."""
        self._view.show(frame.look)
        self._numbers.value = frame.numbers

    def clear(self) -> None:
        """Show the noise that a recovery would start from."""
        self._numbers.value = "press Start or move a slider"
        names = [short_name(self._teacher.spec, label) for label in self._labels]
        words = "The noise that each recovery starts from."
        self._view.look_back(
            start_pixels(self.config, self._teacher, self._runtime), names, self._columns, words, WIDTH
        )

    def changed(self, changes: dict[str, Any]) -> None:
        """Recover anew."""
        self.restart()

    def picture(self) -> Image.Image:
        """The images of the last frame."""
        return encode.still(small(self.pixels()), self._columns)

    @property
    def _labels(self) -> list[int]:
        return [label for group in plan(self.config, self._teacher.spec) for label in group.labels]

    @property
    def _columns(self) -> int:
        return columns_of(self._labels, self._teacher.spec.resolution)

    def _retune(self, changes: dict[str, Any]) -> None:
        """Nothing: what changes counts from the next recovery, which follows at once."""
