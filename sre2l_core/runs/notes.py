"""What a store notes beside its artifacts: of each run, and of each curve of class-incremental learning."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from sre2l_core import storage
from sre2l_core.errors import ArtifactError
from sre2l_core.events import StepEvent

FORMAT = 1


@dataclass(frozen=True)
class _Noted:
    """A sealed JSON file of known entries."""

    kind: ClassVar[str]

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        storage.write_json(path, {"kind": self.kind, "format": FORMAT, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it back; raises `ArtifactError` where it is damaged or was written by a newer version."""
        try:
            body = storage.read_json(path)
        except ArtifactError:  # whose remedy would be to delete the whole store
            raise ArtifactError(
                f"{path} is damaged. Delete this file: the parts of the {cls.kind} are not lost."
            ) from None
        kind, number = body.pop("kind", None), body.pop("format", None)
        if kind != cls.kind or number != FORMAT or body.keys() != {each.name for each in fields(cls)}:
            raise ArtifactError(
                f"{path} is no note of a {cls.kind} that this version reads (format {number!r}, expected {FORMAT}). "
                f"Use the version that wrote it, or delete this file: the parts of the {cls.kind} are not lost."
            )
        return cls(**body)


@dataclass(frozen=True)
class Note(_Noted):
    """What is known of a run beside its parts: what it asked for, how long they took, why it failed."""

    kind: ClassVar[str] = "run"
    recipe: Mapping[str, Any]
    """Plain values by stage, see `Recipe.to_json`."""
    parts: Mapping[str, str]
    """`teacher`, `condensed`, `labels` (where they are stored) and `score` -> name of the folder in the store."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage -> how long this run worked on it; a stage that it found done is not there."""
    failure: str = ""
    """Why the last attempt failed."""


@dataclass(frozen=True)
class CurveNote(_Noted):
    """What a curve of class-incremental learning asked for, and which parts of runs it uses."""

    kind: ClassVar[str] = "curve"
    recipe: Mapping[str, Any]
    """Plain values by stage, see `Recipe.to_json`."""
    config: Mapping[str, Any]
    """Of `continual.ContinualConfig`."""
    parts: list[str]
    """Names of the folders in the store that it is made from."""


class Stopwatch:
    """A listener that measures the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._since = time.monotonic()

    def __call__(self, event: StepEvent) -> None:
        """A step of a stage is over."""
        now = time.monotonic()
        self.seconds[event.stage] += now - self._since
        self._since = now
