"""`ShortRecovery`: move a slider and watch a few images being recovered anew."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torch import Tensor

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.events import StepEvent
from sre2l_core.figures import encode
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery
from sre2l_core.widgets.recovery.charts import in_words
from sre2l_core.widgets.recovery.frame import RecoveryFrame, small
from sre2l_core.widgets.recovery.panel import CLASSES, RecoveryPanel, fitting
from sre2l_core.widgets.recovery.view import RecoveryView

WIDTH = 760
"""CSS pixels for the images."""


class ShortRecovery(RecoveryPanel):
    """One image per class, recovered in a few steps whenever the crop scale or the weight of R_BN changes.

    One recovery runs at a time; a change stops it, and the next one starts from the same noise.

    Args:
        teacher: stage 1's result; the panel works on a copy.
        config: settings of the recovery; the sliders start from its `crop_scale` and `alpha_bn`.
        steps: length of a recovery.
        max_classes: only the first so many classes are recovered.
        runtime: device and precision; the best there is by default.
        name: panels of one name never run at the same time; see `LivePanel`.
    """

    CONTROLS = ("crop_scale", "alpha_bn")
    LIVE = CONTROLS

    def __init__(
        self,
        teacher: Teacher,
        config: RecoverConfig,
        *,
        steps: int = 100,
        max_classes: int = CLASSES,
        runtime: Runtime | None = None,
        name: str | None = None,
    ) -> None:
        self._view = RecoveryView(WIDTH)
        config = fitting(config, teacher.spec, max_classes).but(ipc=1, steps=steps)
        super().__init__(teacher, config, [self._view], runtime=runtime, name=name)

    def pixels(self) -> Tensor:
        """[N, C, H, W] uint8: the images as they are now; before the first recovery the noise it would start from."""
        stage = self.stage
        return self.start_pixels() if stage is None else stage.pixels().cpu()

    def build(self) -> Recovery:
        """Make a recovery from the present settings."""
        return self._recovery(self.config)

    def look(self, stage: Recovery, event: StepEvent) -> tuple[RecoveryFrame, str]:
        """Encode the images, and ask the teacher about them."""
        frame = self._frame(self._view, stage)
        return frame, in_words({name: event.value(name) for name in event.metrics}, frame.recognised)

    def show(self, frame: tuple[RecoveryFrame, str]) -> None:
        """Write a frame."""
        images, words = frame
        self._numbers.say(words)
        self._view.show(images)

    def clear(self) -> None:
        """Show the noise that a recovery would start from."""
        super().clear()
        self._numbers.say("press Start or move a slider")
        words = "The noise that each recovery starts from."
        self._view.show_past(self.start_pixels(), self.names, self.columns, words)

    def changed(self, changes: dict[str, Any]) -> None:
        """Recover anew."""
        self.restart()

    def retuned(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Nothing: what changes counts from the next recovery, which follows at once."""
        return {}

    def picture(self) -> Image.Image:
        """The images of the last frame."""
        return encode.still(small(self.pixels()), self.columns)
