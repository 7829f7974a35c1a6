"""What a running stage tells the outside: progress bars, CSV files and widgets are all listeners of `StepEvent`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Any
from zlib import crc32

from torch import Tensor

from sre2l_core.errors import refused
from sre2l_core.files import content_of, replacing


@dataclass(frozen=True)
class StepEvent:
    """One step of a stage.

    Metrics stay tensors on the device until somebody asks through `value`: a listener that does not ask costs nothing.
    """

    stage: str
    step: int
    """Steps done, counting this one: 1..total."""
    total: int
    metrics: Mapping[str, Tensor | float] = field(default_factory=dict)
    note: str = ""
    """What the step worked on, such as `group 3/20`."""

    def value(self, name: str) -> float:
        """A metric as a Python number (waits for the device)."""
        return float(self.metrics[name])


Listener = Callable[[StepEvent], Any]


def ignore(event: StepEvent) -> None:
    """The listener that does nothing."""


@contextmanager
def progress_bar(every: int = 10) -> Iterator[Listener]:
    """One tqdm bar per stage of each run, metrics refreshed every so many steps."""
    from tqdm.auto import tqdm

    bars: dict[str, Any] = {}

    def show(event: StepEvent) -> None:
        bar = bars.get(event.stage)
        if bar is None or event.step < bar.n:  # the stage of another run
            if bar is not None:
                bar.close()
            pause = 0.2 if sys.stderr.isatty() else 10  # a log file needs fewer lines than a terminal
            bar = bars[event.stage] = tqdm(total=event.total, desc=event.stage, mininterval=pause, dynamic_ncols=True)
        bar.update(event.step - bar.n)
        if event.step % every == 0 or event.step == event.total:
            shown = [event.note] + [f"{name} {event.value(name):.3g}" for name in event.metrics]
            bar.set_postfix_str(", ".join(part for part in shown if part), refresh=False)
        if event.step == event.total:
            bar.refresh()
            bar.close()

    try:
        yield show
    finally:
        for bar in bars.values():
            bar.close()


class CsvLog:
    """Listener that keeps stage, step and metrics in a CSV file, one row a metric every `every` steps.

    The file is the log of one run, however often it was interrupted: what a resumed stage does again is not written
    twice, and where it comes out differently (another run in the same folder), the old rows from there on go.
    """

    def __init__(self, path: Path, every: int = 10) -> None:
        self._path, self._every = path, every
        self._known: dict[tuple[str, int], int] | None = None
        """(stage, step) -> checksum of its rows."""

    def __call__(self, event: StepEvent) -> None:
        """Write an event's metrics."""
        if not event.metrics or (event.step % self._every and event.step != event.total):
            return
        try:
            self._log(event)
        except OSError as error:
            raise refused(self._path, error) from error

    def _log(self, event: StepEvent) -> None:
        if self._known is None:
            self._known = self._read()
            self._path.parent.mkdir(parents=True, exist_ok=True)  # once: a folder that vanishes is not made anew
        rows = [(event.stage, event.note, event.step, name, f"{event.value(name):.6g}") for name in event.metrics]
        text, key = _csv(rows), (event.stage, event.step)
        found = self._known.get(key)
        if found == crc32(text.encode()):
            return
        if found is not None:
            self._known = self._read(without=key)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            file.write(text if file.tell() else _csv([_COLUMNS]) + text)
        self._known[key] = crc32(text.encode())

    def _read(self, without: tuple[str, float] = ("", inf)) -> dict[tuple[str, int], int]:
        """What is in the file, after rows that a crash cut off, and those of a stage from a step on, were removed."""
        if not self._path.exists():
            return {}
        text = content_of(self._path).decode(errors="replace")
        whole = text[: text.rfind("\n") + 1]  # the disk may have been full in the middle of a line
        kept = [row for row in _rows(whole) if row[0] != without[0] or int(row[2]) < without[1]]
        if _csv([_COLUMNS, *kept]) != text:
            with replacing(self._path) as partial:
                partial.write_bytes(_csv([_COLUMNS, *kept]).encode())
        together = groupby(kept, key=lambda row: (row[0], int(row[2])))
        return {key: crc32(_csv(list(rows)).encode()) for key, rows in together}


def merge_log(path: Path, stage: str, text: str) -> None:
    """Put the rows of a stage that a `CsvLog` wrote elsewhere into the log of a run, in place of those it has."""
    known = _rows(content_of(path).decode(errors="replace")) if path.exists() else []
    kept = [row for row in known if row[0] != stage]
    with replacing(path) as partial:
        partial.write_bytes(_csv([_COLUMNS, *kept, *_rows(text)]).encode())


_COLUMNS = ("stage", "note", "step", "metric", "value")


def _rows(text: str) -> list[list[str]]:
    """The rows of a log that are whole, without its head."""
    rows = csv.reader(StringIO(text, newline=""))
    return [row for row in rows if len(row) == len(_COLUMNS) and row[2].isdigit()]


def _csv(rows: Iterable[Iterable[object]]) -> str:
    text = StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def tell_all(*listeners: Listener) -> Listener:
    """One listener that passes each event on to several, in order."""

    def tell(event: StepEvent) -> None:
        for listener in listeners:
            listener(event)

    return tell


def in_seconds(seconds: float) -> str:
    """A duration for people: 1 h 5 min, 2 min 3 s, 12 s, 0.25 s, 8 ms."""
    if seconds < 0.095:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"
