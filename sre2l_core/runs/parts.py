"""Runs and their parts as they lie on the disc: what they asked for, how far they are, what they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sre2l_core import storage
from sre2l_core.artifacts import Score
from sre2l_core.errors import ArtifactError
from sre2l_core.files import size_of
from sre2l_core.presets.recipe import STAGES, flat
from sre2l_core.runs.difference import with_spread
from sre2l_core.runs.store import PARTS


@dataclass(frozen=True)
class Part:
    """A folder that a stage made, or began to make."""

    kind: str
    """One of `PARTS`."""
    name: str
    """As people call it: that of the folder, in a run folder with the run's before it."""
    folder: Path

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders of artifacts that it consists of."""
        return (self.folder,)

    @property
    def there(self) -> bool:
        """Whether it was begun."""
        return self.folder.is_dir()

    @property
    def finished(self) -> bool:
        """Whether it is there to its end."""
        return all((place / storage.MANIFEST).exists() for place in self.places)

    @cached_property
    def request(self) -> Mapping[str, Any]:
        """What it was asked to be; nothing where that cannot be read."""
        with suppress(ArtifactError):
            if self.finished:
                return storage.read_manifest(self.folder)["request"] or {}
            return storage.read_json(self.folder / storage.REQUEST)
        return {}

    @cached_property
    def bytes(self) -> int:
        """What it takes on the disc."""
        return size_of(self.folder)

    @property
    def at_work(self) -> str:
        """Who works there, in words; nothing where nobody does."""
        return next(filter(None, map(storage.holder, self.places)), "")

    @property
    def state(self) -> str:
        """In words."""
        if at_work := self.at_work:
            return at_work
        if not self.finished:
            return "unfinished"
        try:
            for place in self.places:
                storage.read_manifest(place)
        except ArtifactError as error:
            return str(error)
        return "finished"


@dataclass(frozen=True)
class Run:
    """A run: what it asked for, and the parts that it needs."""

    name: str
    settings: Mapping[str, Any]
    """`stage.field` -> plain value, as far as it is known."""
    parts: tuple[Part, ...]
    """In the order in which they are made; those that are not there, too."""
    files: tuple[Path, ...]
    """What belongs to it alone beside its parts."""
    failure: str = ""
    """Why its last attempt failed."""

    @cached_property
    def score(self) -> Score | None:
        """Its result; None where it is not finished or cannot be read."""
        with suppress(ArtifactError):
            return Score.load(self.parts[-1].folder) if self.parts[-1].finished else None
        return None

    @property
    def state(self) -> str:
        """Its accuracies, or how far it is."""
        if self.score is not None:
            return ", ".join(headline(self.score)) or "finished"
        working = [part for part in self.parts if part.at_work]
        missing = next((part for part in self.parts if not part.finished), None)
        if working:
            return f"{working[0].kind}: {working[0].state}"
        if self.failure:
            return f"failed: {self.failure}"
        return f"{self.parts[-1].state}" if missing is None else f"unfinished: no {missing.kind} yet"


CURVE = "continual"
"""What a part is that no run has: a curve of class-incremental learning."""


@dataclass(frozen=True)
class CurvePart(Part):
    """A score for each step of a curve, each in a folder of its own."""

    steps: int = 0
    """How many there will be; 0 where no note says it."""

    @property
    def places(self) -> tuple[Path, ...]:
        """Of all steps; without a note of those that are there."""
        begun = len(list(self.folder.glob("step-*")))
        return tuple(self.folder / f"step-{number}" for number in range(1, (self.steps or max(begun, 1)) + 1))


@dataclass(frozen=True)
class Curve(Run):
    """A curve of class-incremental learning: its last part is a `CurvePart`."""

    @cached_property
    def score(self) -> Score | None:
        """That of the last step."""
        with suppress(ArtifactError):
            return Score.load(self.parts[-1].places[-1]) if self.parts[-1].finished else None
        return None

    @property
    def state(self) -> str:
        """Its accuracies after the last step, or how far it is."""
        if self.score is not None:
            return ", ".join(headline(self.score)) or "finished"
        places = self.parts[-1].places
        done = sum((place / storage.MANIFEST).exists() for place in places)
        return self.parts[-1].at_work or f"unfinished: {done} of {len(places)} steps"


def headline(score: Score) -> list[str]:
    """Top-1 accuracies of students of the first row's images with soft labels, a text for each network."""
    rows = [row for row in score.rows if (row.data, row.labels) == (score.rows[0].data, "soft")]
    texts = []
    for row in rows:
        shown = f"{with_spread([100 * value for value in row.last])} %"
        texts.append(
            f"{row.student} {shown}, n = {len(row.last)}" if len(rows) > 1 else f"{shown}, n = {len(row.last)}"
        )
    return texts


def varying(runs: Sequence[Run]) -> list[str]:
    """The settings that are not the same in all of these runs."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if any(run.settings.get(name) != runs[0].settings.get(name) for run in runs)]


STAGE = {"teacher": "squeeze", "condensed": "recover", "labels": "relabel", "score": "validate"}
"""Part -> the stage that makes it."""


def settings_of(parts: Sequence[Part]) -> dict[str, Any]:
    """What manifests say of the settings of a run without a note."""
    found: dict[str, Any] = {}
    for part in sorted(parts, key=lambda part: PARTS.index(part.kind)):
        request = part.request
        if part.kind == "teacher":
            spec = request.get("dataset", {})
            found["data"] = {"data": spec.get("name"), "resolution": spec.get("resolution")}
        if part.kind == "score":
            found.setdefault("relabel", _with_later("relabel", request.get("labels", {}).get("config")))
        found[STAGE[part.kind]] = _with_later(STAGE[part.kind], request.get("config"))
    return flat({stage: fields or {} for stage, fields in found.items()})


def _with_later(stage: str, settings: Any) -> dict[str, Any]:
    """Settings as a request has them, with the defaults of those that it leaves out."""
    return {**STAGES[stage].later(), **settings} if isinstance(settings, Mapping) else {}
