"""What a sweep found: mean and spread over seeds, differences of rows; as Markdown, CSV, LaTeX or a DataFrame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from sre2l_core.errors import ConfigError
from sre2l_core.presets.recipe import word, written, written_apart
from sre2l_core.runs.difference import Difference, with_spread
from sre2l_core.tabular import Table, in_markdown

if TYPE_CHECKING:
    from pandas import DataFrame

TEST_IMAGES = "the validation images"
_ON_THEM = (
    "These are the images that papers report: to choose among settings, hold out a part of the training images "
    "instead (data.holdout = 0.2)."
)


@dataclass(frozen=True)
class SweepRow:
    """A cell of the grid, judged by one kind of student."""

    settings: Mapping[str, Any]
    """Setting -> plain value."""
    student: str
    values: Mapping[int, float]
    """Seed -> top-1 in %, of students of condensed images with soft labels."""
    failures: Mapping[int, str]
    """Seed -> why there is no value."""
    judge: str
    """The images that they were tested on, in words; empty without values."""

    @property
    def mean(self) -> float | None:
        """Over the seeds; None without values."""
        return mean(self.values.values()) if self.values else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds; None for fewer than two values."""
        return stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def shown(self) -> str:
        """As in a table."""
        if not self.values:
            return "failed" if self.failures else "not made"
        return with_spread([*self.values.values()])

    def less(self, other: SweepRow) -> Difference | None:
        """The difference of pairs that share a seed; None where there is none, or others judged."""
        seeds = [seed for seed in self.values if seed in other.values]
        if not seeds or self.judge != other.judge:
            return None
        return Difference.between([self.values[seed] for seed in seeds], [other.values[seed] for seed in seeds])


@dataclass(frozen=True)
class SweepTable:
    """The rows of a sweep, in the order of its grid; each is compared with the first of its student."""

    rows: tuple[SweepRow, ...]
    chosen_on: str = ""
    """The images that chose these settings, in words; empty where nothing is said to be chosen."""

    @property
    def best(self) -> SweepRow:
        """The row of the largest mean; raises `ConfigError` where no row has a value."""
        rows = [row for row in self.rows if row.mean is not None]
        if not rows:
            raise ConfigError("no row of the table has a value yet: nothing can be chosen.")
        return max(rows, key=lambda row: row.mean or 0.0)

    def first_and_best(self) -> list[Mapping[str, Any]]:
        """The settings of the first row and of the best."""
        return [self.rows[0].settings, self.best.settings]

    def difference(self, row: SweepRow) -> Difference | None:
        """Of a row less the first row with the same student; None for that one itself."""
        first = next(other for other in self.rows if other.student == row.student)
        return None if row is first else row.less(first)

    def records(self) -> list[dict[str, Any]]:
        """A dict of plain values for each row: what `to_csv` and `to_frame` hold."""
        return [self._record(row) for row in self.rows]

    def to_frame(self) -> DataFrame:
        """A pandas DataFrame, a line for each row; raises `ConfigError` where pandas is not installed."""
        try:
            from pandas import DataFrame
        except ImportError:
            raise ConfigError(
                "to_frame needs pandas: pip install 'sre2l-core[tables]'. to_csv, to_markdown and to_latex do without."
            ) from None
        return DataFrame(self.records())

    def tabulated(self) -> Table:
        """What is read, the numbers behind it, who judged, and what failed."""
        head, *body = self._cells()
        failures = [
            f"- No value for {_name(row)}, seed {seed}: {in_markdown(why)}"
            for row in self.rows
            for seed, why in row.failures.items()
        ]
        notes = [self.caption, *([""] if failures else []), *dict.fromkeys(failures)]
        return Table(head, body, self.records(), notes)

    def to_csv(self) -> str:
        """One line for each row, the values of its seeds in a column of their own."""
        return self.tabulated().to_csv()

    def to_markdown(self) -> str:
        """The table, who judged it, and what failed."""
        return self.tabulated().to_markdown()

    def to_latex(self) -> str:
        """A `tabular` with the rules of booktabs."""
        return self.tabulated().to_latex()

    @property
    def caption(self) -> str:
        """What the numbers are, and who judged."""
        judges = list(dict.fromkeys(row.judge for row in self.rows if row.judge))
        chose = ""
        if self.chosen_on:
            chose = f"Chosen on {self.chosen_on}; the students of this table learnt from all training images. "
        judged = f"Judged on {' or '.join(judges)}. " if judges else ""
        warning = f"{_ON_THEM} " if TEST_IMAGES in judges and not self.chosen_on else ""
        return (
            f"Top-1 (%) of students of condensed images with soft labels: mean ± standard deviation over n seeds. "
            f"{chose}{judged}{warning}Differences are of pairs with the same seed, with their 95 % interval "
            "(Student's t); an "
            "interval holds for one comparison, not for the best of many."
        )

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write `name.md`, `name.csv` and `name.tex` into a folder; their paths."""
        return self.tabulated().write(folder, name)

    def _record(self, row: SweepRow) -> dict[str, Any]:
        found, values = self.difference(row), " ".join(f"{value:.3f}" for value in row.values.values())
        low, high = (None, None) if found is None or found.n < 2 else (found.low, found.high)
        return {
            **{
                name: value if isinstance(value, bool | int | float) else word(value)
                for name, value in row.settings.items()
            },
            **{"student": row.student, "mean": row.mean, "std": row.std, "n": len(row.values), "values": values},
            **{"difference": found and found.mean, "low": low, "high": high, "pairs": found.n if found else 0},
            **{"judged on": row.judge, "failures": "; ".join(dict.fromkeys(row.failures.values()))},
        }

    def _cells(self) -> Iterator[list[str]]:
        """Rows of text, the head first; a column that is the same for all is left out, but for those of the grid."""
        students = len({row.student for row in self.rows}) > 1
        judges = len({row.judge for row in self.rows if row.judge}) > 1
        head = [*self.rows[0].settings, *["student"] * students, "top-1 (%)", "n"]
        yield [*head, "less the first", *["judged on"] * judges]
        shown = written_apart([[*row.settings.values()] for row in self.rows])
        for row, settings in zip(self.rows, shown, strict=True):
            found = self.difference(row)
            start = [*settings, *[row.student] * students, row.shown, str(len(row.values))]
            yield [*start, _interval(found), *[row.judge] * judges]


def _interval(found: Difference | None) -> str:
    if found is None:
        return ""
    return f"{found.mean:+.1f}" if found.n < 2 else f"{found.mean:+.1f} ({found.low:+.1f} to {found.high:+.1f})"


def _name(row: SweepRow) -> str:
    return ", ".join(f"{name} = {written(value)}" for name, value in row.settings.items())
