"""Figure 1, left: what synthesis takes, against what students of its images reach."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from sre2l_core import presets
from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry, Measured, number, top1
from sre2l_core.paper.rivals import LAPTOP, NOTE, as_it_is
from sre2l_core.presets import Recipe, repeated
from sre2l_core.runs.forecast import seconds_of_parts
from sre2l_core.runs.pipeline import Places

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matplotlib.figure import Figure

    from sre2l_core.events import Listener
    from sre2l_core.paper.results import Results
    from sre2l_core.runs.store import Store
    from sre2l_core.runtime import Runtime

STUDENTS = {"ResNet-18": "resnet18", "ResNet-50": "resnet50", "ResNet-101": "resnet101"}
NUMBERS: dict[str, tuple[float | None, ...]] = {
    "SRe2L": (21.3, None),
    "SRe2L, ResNet-50": (28.4, None),
    "SRe2L, ResNet-101": (30.9, None),
    "TESLA, ConvNet-4": (17.8, None),
    "TESLA, ResNet-18": (7.7, None),
    "TESLA, ViT": (11.0, None),
    "DM": (None, None),
    "random real": (None, None),
}
"""Accuracies are those of Table 4; the figure's times have no numbers."""
ROWS = {"SRe2L": ("", "soft"), "DM": ("dm", "hard"), "random real": ("random", "hard")}
"""Row -> the start that is left as it is, and the labels its students learn."""


@dataclass(frozen=True)
class Seconds(Measured):
    """What the images of a run took, the teacher not counted, as in the paper."""

    def take(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> float:
        """By the notes of the store; the clock, if nobody timed them."""
        begin = time.monotonic()
        places = store.make(recipe, runtime=runtime, executor=executor, on_step=on_step, images_only=True)
        return seconds_of_parts(store).get(places.condensed.name, time.monotonic() - begin)


def measure(places: Places, cell: Cell) -> tuple[float, ...]:
    """Seconds or accuracies."""
    return number(places, cell) if isinstance(cell, Seconds) else top1(places, cell)


def cells(dataset: str, recipe: Recipe) -> tuple[Cell, ...]:
    """Accuracy and seconds of each row."""
    made: list[Cell] = []
    for row, (start, labels) in ROWS.items():
        recipes = repeated(as_it_is(recipe, start), times=3)
        made.append(Cell(row, f"{dataset}, top-1 (%)", recipes, labels=labels))
        made.append(Seconds(row, f"{dataset}, seconds", recipes))
    return tuple(made)


def draw(results: Results) -> Figure:
    """Accuracy against seconds, a point for each row and student; times that are not known are left out."""
    from sre2l_core.figures.colours import of_number
    from sre2l_core.figures.theme import LEGEND, plain, subplots

    figure, axes = subplots(5.2, 3.6)
    time_column = next(column for column in results.budget.columns if column.endswith("seconds"))
    accuracy_column = next(column for column in results.budget.columns if column.endswith("(%)"))
    for place, row in enumerate(results.entry.numbers):
        x, y = (results.values.get((row, column)) for column in (time_column, accuracy_column))
        if x and y:
            plain(axes).scatter(mean(x), mean(y), color=of_number(place), label=row)
    axes.set(xscale="log", xlabel="seconds of synthesis", ylabel="top-1 (%)")
    axes.set_title(f"Figure 1, {results.name} budget", fontsize=10)
    if axes.collections:
        axes.legend(**LEGEND, fontsize=9)
    return figure


thousand = presets.get("table-4/imagenet-1k/ipc10").but(validate=ALONE)

figure_1 = Entry(
    name="figure-1",
    title="Figure 1: accuracy against the time of synthesis",
    rows_are="method, student",
    columns=("ImageNet-1K, top-1 (%)", "ImageNet-1K, seconds"),
    numbers=NUMBERS,
    claims=(
        Claim(
            "SRe2L's images teach more than a bilevel method's (TESLA there, DM here).", "SRe2L", "DM", where="top-1"
        ),
        Claim("They take less time.", "DM", "SRe2L", where="seconds"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 2 minutes on 2 CPU cores.",
            note=f"{NOTE} TESLA is not run.",
            cells=cells("digits", LAPTOP["digits"]),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: 9 hours.",
            note="TESLA is not run.",
            cells=tuple(
                made
                for name, student in STUDENTS.items()
                for row in ["SRe2L" if name == "ResNet-18" else f"SRe2L, {name}"]
                for made in (
                    Cell(row, "ImageNet-1K, top-1 (%)", (thousand,), student),
                    Seconds(row, "ImageNet-1K, seconds", (thousand,), student),
                )
            ),
        ),
    },
    measure=measure,
    unit="top-1 (%), seconds for the whole set",
    draw=draw,
)

PLUGINS = {"figure-1": figure_1}
