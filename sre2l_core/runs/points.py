"""Runs as points: those that differ in nothing but seeds are one, with its settings and what its students reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sre2l_core import storage
from sre2l_core.errors import unknown
from sre2l_core.presets.recipe import word, written
from sre2l_core.runs.difference import Difference, with_spread
from sre2l_core.runs.listing import Listing
from sre2l_core.runs.parts import Run
from sre2l_core.runs.sweep_table import SweepRow, SweepTable

TOP1 = "top-1 (%)"
"""The measured quantity: of students of condensed images with soft labels."""
STUDENT = "student"
"""The network of a student, a quantity as settings are where there are several."""
_CHANCE = ("seed", "seeds", "holdout_seed")
"""Settings that only change what chance does."""


@dataclass(frozen=True)
class Point:
    """Runs that differ in nothing but seeds, judged by students of one network."""

    settings: Mapping[str, Any]
    """`stage.field` -> plain value, without seeds; and `student`."""
    runs: tuple[str, ...]
    """Their names."""
    values: Mapping[tuple[Any, ...], float]
    """Seeds -> top-1 in %."""
    failures: Mapping[str, str]
    """Name of a run -> why it has no value."""
    judge: str = ""
    """The images that judged, in words; empty without values."""

    @cached_property
    def mean(self) -> float | None:
        """Over the seeds; None without values."""
        return mean(self.values.values()) if self.values else None

    @cached_property
    def spread(self) -> float:
        """Sample standard deviation; 0 for fewer than two values."""
        return stdev(self.values.values()) if len(self.values) > 1 else 0.0

    @cached_property
    def shown(self) -> str:
        """The accuracy in words."""
        if not self.values:
            return f"failed: {next(iter(self.failures.values()))}" if self.failures else "unfinished"
        return f"{with_spread([*self.values.values()])} %, n = {len(self.values)}"

    def quantities(self) -> dict[str, Any]:
        """Settings and the accuracy."""
        return {**self.settings, TOP1: self.mean}

    def title(self, names: Sequence[str]) -> str:
        """These settings and the accuracy in a line."""
        return ", ".join([*(f"{name} = {written(self.settings.get(name))}" for name in names), self.shown])

    def less(self, other: Point) -> Difference | None:
        """The difference of pairs that share their seeds; None where there is none, or others judged."""
        seeds = [key for key in self.values if key in other.values]
        if not seeds or self.judge != other.judge:
            return None
        return Difference.between([self.values[key] for key in seeds], [other.values[key] for key in seeds])

    def differences(self, other: Point) -> dict[str, tuple[Any, Any]]:
        """Settings that are not the same: value here, value there."""
        names = dict.fromkeys((*self.settings, *other.settings))
        pairs = {name: (self.settings.get(name), other.settings.get(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


class Points:
    """All runs of a folder as points; `refresh` reads what has come since.

    Raises:
        ArtifactError: if the folder holds no runs, or was written by a newer version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.runs: dict[str, Run] = {}
        """By name."""
        self.points: list[Point] = []
        self.varying: list[str] = []
        """The settings that are not the same in all points, those with the most values first."""
        self.version = 0
        """Counts what was read."""
        self.notes: list[str] = []
        """What could not be read."""
        self._read: dict[str, tuple[int, Run]] = {}
        """Runs that are finished, and when."""
        self.refresh()

    def refresh(self) -> None:
        """Look again; a score is read once."""
        listing = Listing(self.folder)
        self.notes, self.version = listing.notes, self.version + 1
        self.runs = {name: self._known(name, run) for name, run in listing.runs.items()}
        self.points = points_of(self.runs)
        names = dict.fromkeys(name for point in self.points for name in point.settings)
        counts = {name: len({word(point.settings.get(name)) for point in self.points}) for name in names}
        self.varying = sorted((name for name in names if counts[name] > 1), key=lambda name: -counts[name])

    def of_run(self, name: str) -> int:
        """Number of the first point that a run belongs to; raises `ConfigError` for an unknown run."""
        for number, point in enumerate(self.points):
            if name in point.runs:
                return number
        raise unknown(f"run in {self.folder}", name, self.runs)

    def neighbour(self, number: int) -> int:
        """The point that differs from this one in the fewest settings, of these the best; -1 where it is alone."""
        own, best, found = self.points[number], (len(self.points) + 10**6, 0.0), -1
        for other, point in enumerate(self.points):
            if other == number or point.mean is None:
                continue
            distance = sum(point.settings.get(name) != own.settings.get(name) for name in self.varying)
            if distance and (distance, -point.mean) < best:
                best, found = (distance, -point.mean), other
        return found

    def table(self, names: Sequence[str] | None = None) -> SweepTable:
        """The points as rows; raises `ConfigError` where there are none.

        Args:
            names: settings that are columns; those that vary by default.
        """
        columns = self.varying if names is None else names
        columns = [name for name in columns if name != STUDENT] or ["data.data"]
        seeds = {
            seeds: number for number, seeds in enumerate(sorted({s for p in self.points for s in p.values}, key=repr))
        }
        rows = [
            SweepRow(
                {name: point.settings.get(name) for name in columns},
                str(point.settings.get(STUDENT, "")),
                {seeds[key]: value for key, value in point.values.items()},
                dict(enumerate(point.failures.values())),
                point.judge,
            )
            for point in self.points
        ]
        return SweepTable(tuple(rows))

    def _known(self, name: str, run: Run) -> Run:
        """The run, with its score where that was read before."""
        try:
            written = (run.parts[-1].folder / storage.MANIFEST).stat().st_mtime_ns
        except OSError:
            return run
        known = self._read.get(name)
        if known is None or known[0] != written or known[1].settings != run.settings:
            self._read[name] = known = (written, run)
        return known[1]


def points_of(runs: Mapping[str, Run]) -> list[Point]:
    """Runs put together, in the order of their first run."""
    found: dict[str, _Gathered] = {}
    for name, run in runs.items():
        steady = {key: value for key, value in run.settings.items() if key.rpartition(".")[2] not in _CHANCE}
        seeds = tuple(value for key, value in run.settings.items() if key.rpartition(".")[2] in _CHANCE)
        rows = [row for row in run.score.rows if (row.data, row.labels) == ("condensed", "soft")] if run.score else []
        students = {row.student: row.last for row in rows} or {_planned_student(run): ()}
        for student, last in students.items():
            settings = {**steady, STUDENT: student}
            point = found.setdefault(repr(settings), _Gathered(settings))
            point.runs.append(name)
            point.values |= {(*seeds, number): 100 * value for number, value in enumerate(last)}
            if run.score is not None:
                point.judge = run.score.judge
            elif run.failure:
                point.failures[name] = run.failure
    return [Point(one.settings, tuple(one.runs), one.values, one.failures, one.judge) for one in found.values()]


@dataclass
class _Gathered:
    """A point that is put together."""

    settings: dict[str, Any]
    runs: list[str] = field(default_factory=list)
    values: dict[tuple[Any, ...], float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    judge: str = ""


def _planned_student(run: Run) -> str:
    students = run.settings.get("validate.students") or [""]
    return str(students[0])
