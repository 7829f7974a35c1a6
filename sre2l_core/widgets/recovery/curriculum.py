"""`CurriculumPanel`: its crop slider moves with the steps where the crop curriculum (CDA) is on."""

from __future__ import annotations

from math import ceil
from typing import Any

from sre2l_core.config import RecoverConfig
from sre2l_core.stages.recover.schedule import crops_at
from sre2l_core.widgets.recovery.scripted import ScriptedPanel

FIELD = "crop_scale"


class CurriculumPanel(ScriptedPanel):
    """A recovery whose crop slider shows how small the next crop may be, and says so; whoever moves it takes over.

    The fields beside the slider keep the setting: nobody could type into one that changes meanwhile.
    """

    def take_over(self) -> None:
        """End the curriculum: crops stay as small as they are now."""
        with self._lock:
            if FIELD in self._driven:
                self.change(crop_scale=self._driven[FIELD])

    def along_with(self, values: dict[str, Any]) -> dict[str, Any]:
        """Whoever sets other crops takes over at that step."""
        ends: dict[str, Any] = {"crop_curriculum": 0.0} if FIELD in values and FIELD in self._driven else {}
        return super().along_with(ends | values)

    def changed(self, changes: dict[str, Any]) -> None:
        """The curriculum may have begun, or ended."""
        super().changed(changes)
        self._follow_curriculum()

    def _render(self) -> None:
        if not self._closed:
            self._follow_curriculum()
        super()._render()

    def _follow_curriculum(self) -> None:
        """Move the slider to where the next step crops, and say why; back to the setting where nothing moves it."""
        config, step = self.config, self.event.step if self.busy and self.event else None
        driven = step is not None and crops_at(config, step) is not config and config.crop == "resized"
        self.drive(FIELD, crops_at(config, step or 0).crop_scale if driven else None)
        self.entry_of(FIELD).note(in_words(config, driven))


def in_words(config: RecoverConfig, driven: bool) -> str:
    """What a curriculum does, or will do; nothing without one."""
    if not config.crop_curriculum or config.crop != "resized":
        return ""
    (low, high), end = config.crop_scale, ceil(config.crop_curriculum * config.steps)
    words = f"crop curriculum: the smallest crop shrinks from {high:g} to {low:g} by step {end:,}"
    return f"{words}; move the slider to take over" if driven else words
