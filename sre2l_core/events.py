"""What a running stage tells the outside: progress bars, CSV files and widgets are all listeners of `StepEvent`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor


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
    """One tqdm bar per stage, metrics refreshed every so many steps."""
    from tqdm.auto import tqdm

    bars: dict[str, Any] = {}

    def show(event: StepEvent) -> None:
        bar = bars.get(event.stage)
        if bar is None:
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
    """Listener that appends stage, step and metrics to a CSV file, one row every `every` steps."""

    def __init__(self, path: Path, every: int = 10) -> None:
        self._path, self._every = path, every
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: StepEvent) -> None:
        """Write an event's metrics."""
        if event.step % self._every and event.step != event.total:
            return
        new = not self._path.exists()
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["stage", "note", "step", "metric", "value"])
            for name in event.metrics:
                writer.writerow([event.stage, event.note, event.step, name, f"{event.value(name):.6g}"])


def tell_all(*listeners: Listener) -> Listener:
    """One listener that passes each event on to several, in order."""

    def tell(event: StepEvent) -> None:
        for listener in listeners:
            listener(event)

    return tell
