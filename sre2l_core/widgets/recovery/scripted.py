"""`ScriptedPanel`: a `ChosenPanel` that runs an exported session of one recovery again."""

from __future__ import annotations

from pathlib import Path

from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.recover.pair import Pair
from sre2l_core.widgets.base.keep import KeepRow
from sre2l_core.widgets.recovery.chosen import ChosenPanel
from sre2l_core.widgets.recovery.panel import fitting
from sre2l_core.widgets.recovery.script import Script


class ScriptedPanel(ChosenPanel):
    """A recovery that may be one that was kept: `open_session` begins it, and it pauses where it was left."""

    _script = Script()

    def offer_first(self, row: KeepRow) -> None:
        """Also open a session again."""
        super().offer_first(row)
        words = "Run what was exported or saved here again"
        row.offer("Open session", "folder-open", self.open_session, "sre-open", words)

    def start(self) -> bool:
        """Begin a new run with the present settings; False while there is one."""
        self._script = Script()
        return super().start()

    def open_session(self, folder: str | Path | None = None) -> bool:
        """Run again what `export` or `save` kept: the settings at its start, and every change at its step.

        It pauses where the session was left.

        Raises:
            ArtifactError: see `Script.find`.
            ConfigError: see there; and while a recovery runs.
        """
        with self._lock:
            if self.busy:
                raise ConfigError("stop the recovery first, then open the session")
            path, script = Script.find(self.kept.place(folder), self.teacher.id)
            self.config = fitting(script.config or self.config, self.teacher.spec)
            self._show_config()
            self.reset()
            self._script = script
            self.kept.said.tell(f"{path} runs again")
            return super().start()

    def build(self) -> Recovery | Pair:
        """A recovery, changed at once where the session was before its first step."""
        stage = super().build()
        if now := self._script.due(0):
            stage.retune(**now)
        return stage

    def record(self, event: StepEvent) -> None:
        """Change what was changed at this step in a session that runs again, and pause where it ended."""
        super().record(event)
        if due := self._script.due(event.step):
            self.change(**due)
        if event.step == self._script.until and event.step < event.total:
            self.pause()
