"""`SessionPanel`: a panel of recoveries that can be kept: their log, their images, an animation of how they came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.events import StepEvent
from sre2l_core.figures import animation
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.recover.pair import Pair
from sre2l_core.stages.recover.replay import as_condensed_set, plain
from sre2l_core.widgets.base.keep import KeepRow
from sre2l_core.widgets.recovery.charts import Curves
from sre2l_core.widgets.recovery.frame import moment, small
from sre2l_core.widgets.recovery.panel import RecoveryPanel

SNAPSHOTS = 40
"""Moments of a run that are kept: a pass of the teacher each, which is to cost little beside the steps."""
NOTHING = "nothing was recovered yet: press Start"


class Tape:
    """What one recovery goes through: its settings at the start, and all that is shown of it now and then.

    Args:
        recovery: before its first step.
    """

    def __init__(self, recovery: Recovery) -> None:
        self.recovery, self.begun = recovery, recovery.config
        self.moments = [moment(recovery, recovery.measure())]
        """In the order of their steps."""

    def note(self, event: StepEvent) -> None:
        """Keep what is so after this step, if it is one of those that are kept."""
        if event.step % max(1, event.total // SNAPSHOTS) == 0 or event.step == event.total:
            self.moments.append(moment(self.recovery, self.recovery.measure()))

    def pages(self) -> list[Tensor]:
        """The images of all moments, and the present ones."""
        pages = [seen.pixels for seen in self.moments]
        if self.moments[-1].step != self.recovery.step_count:
            pages.append(small(self.recovery.pixels()))
        return pages


class SessionPanel(RecoveryPanel):
    """A `RecoveryPanel` of one or more recoveries by name, with a folder and buttons to save and export them.

    A subclass says which `settings` each recovery has, and how a `page` of the animation looks. A single recovery has
    the empty name; two are stepped together.

    Args:
        teacher: see `RecoveryPanel`.
        config: see `RecoveryPanel`.
        views: see `LivePanel`.
        folder: where saving and exporting write to, unless told otherwise.
        options: further arguments of `RecoveryPanel`.
    """

    def __init__(
        self, teacher: Teacher, config: RecoverConfig, views: Sequence[Any], *, folder: str | Path, **options: Any
    ) -> None:
        self._taped: tuple[Any, dict[str, Tape]] = (None, {})
        self._curves = Curves()
        self._safe: set[tuple[int, int]] = set()
        super().__init__(teacher, config, [*views, self.keep_row(folder)], **options)

    def offer_first(self, row: KeepRow) -> None:
        """Buttons for the set, and for session and animation."""
        kinds = [(kind.upper().replace("WEBP", "WebP"), kind) for kind in animation.KINDS]
        self._kind = ipywidgets.Dropdown(options=kinds, description="as", tooltip="kind of animation")
        self._kind.style.description_width, self._kind.layout.width = "1.6em", "9em"
        row.offer("Save set", "save", self.save, "sre-save", "Write the images as a condensed set")
        row.offer("Export", "film", self.export, "sre-export", "Write session.json and an animation of the run")
        row.add(self._kind.add_class("sre-animation"))

    def settings(self) -> dict[str, RecoverConfig]:
        """Recovery -> its present settings."""
        raise NotImplementedError

    def page(self, sides: Sequence[Tensor]) -> Image.Image:
        """The images [N, C, H, W] uint8 of each recovery as one picture."""
        raise NotImplementedError

    def build(self) -> Recovery | Pair:
        """Make the recoveries of a run, and keep what they go through for as long as it is the panel's."""
        with self._lock:
            settings = self.settings()
        made = {name: self._recovery(config) for name, config in settings.items()}
        stage = made[""] if "" in made else Pair(**made)
        self._taped = (stage, {name: Tape(recovery) for name, recovery in made.items()})
        return stage

    @property
    def tapes(self) -> dict[str, Tape]:
        """Of the present run; none before the first and after a reset."""
        stage, tapes = self._taped
        return tapes if stage is self.stage else {}

    @property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Number of a step -> (step, value) pairs, as `plots.losses_figure` draws them."""
        with self._lock:
            return {name: list(points) for name, points in self._curves.points().items()}

    def clear(self) -> None:
        """Forget the curves."""
        super().clear()
        self._curves = Curves()

    def record(self, event: StepEvent) -> None:
        """Keep the numbers of every step, and now and then the images."""
        self._curves.note(event)
        for tape in self.tapes.values():
            tape.note(event)

    @property
    def log(self) -> dict[str, Any]:
        """All it takes to make the same pixels again: teacher, config at the start, changes, steps taken.

        `recover.replay` reads it. Of several recoveries there is one such log under the name of each.
        """
        with self._lock:
            logs = {name: self._log(self.tapes.get(name), config) for name, config in self.settings().items()}
        return logs.get("", logs)

    @property
    def unsaved(self) -> bool:
        """Whether steps were taken that neither a saved set nor an exported session holds."""
        with self._lock:
            return bool(self._taken() - self._safe)

    def _taken(self) -> set[tuple[int, int]]:
        """Which recoveries have taken steps, and how many."""
        recoveries = (tape.recovery for tape in self.tapes.values())
        return {(id(recovery), recovery.step_count) for recovery in recoveries if recovery.step_count}

    def sets(self) -> dict[str, CondensedSet]:
        """Recovery -> its images as they are now, with the settings and changes that made them."""
        with self._lock:
            tapes = self.tapes
        if not tapes:
            raise RuntimeError(NOTHING)
        return {name: as_condensed_set(tape.recovery) for name, tape in tapes.items()}

    def save(self, folder: str | Path | None = None) -> Path:
        """Write the images to `condensed` as a condensed set, or to a folder in it for each of several.

        `sre2l_core.stages.relabel` and the command line read them.
        """
        folder = self.kept.place(folder) / "condensed"
        taken, sets = self._taken(), self.sets()
        for name, images in sets.items():
            images.save(folder / name)
        self._safe = taken
        self.kept.said.tell(f"{sum(map(len, sets.values()))} images are in {folder}")
        return folder

    def export(self, folder: str | Path | None = None, kind: str | None = None) -> Path:
        """Write `session.json` (see `log`) and an animation of the run: `session.webp`, `.gif` or `.mp4`.

        Args:
            folder: by default the one in the field.
            kind: of animation; by default the one that is chosen.

        Raises:
            ConfigError: for another kind, or one that nothing here can encode; the session is written all the same.
            RuntimeError: before the first start.
        """
        place, kind = self.kept.place(folder), kind or str(self._kind.value)
        frames, taken = self.frames(), self._taken()
        with storage.replacing(place / "session.json") as partial:
            partial.write_text(json.dumps(self.log, indent=2) + "\n", encoding="utf-8")
        self._safe = taken
        animation.write(frames, place / f"session.{kind}", kind)
        self.kept.said.tell(f"session.json and session.{kind} are in {place}")
        return place

    def frames(self) -> list[Image.Image]:
        """The run so far as pictures."""
        with self._lock:
            pages = [tape.pages() for tape in self.tapes.values()]
        if not pages:
            raise RuntimeError(NOTHING)
        return [_opaque(self.page(sides)) for sides in zip(*pages, strict=False)]  # one may be a step ahead

    def _log(self, tape: Tape | None, config: RecoverConfig) -> dict[str, Any]:
        return {
            "teacher": self.teacher.id,
            "config": (config if tape is None else tape.begun).model_dump(mode="json"),
            "changes": [] if tape is None else plain(tape.recovery.changes),
            "steps": 0 if tape is None else tape.recovery.step_count,
        }


def _opaque(picture: Image.Image) -> Image.Image:
    """On black: a GIF knows no half-transparent pixels."""
    ground = Image.new("RGBA", picture.size, "black")
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
