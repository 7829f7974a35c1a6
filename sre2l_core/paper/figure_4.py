"""Figure 4: accuracy rises with the temperature of the soft labels up to about 10, and is level after that.

One teacher and one set of images, recovered from ResNet-18, serve all temperatures. The figure's other teachers
(ResNet-50, ResNet-101) are left out: a recipe labels with the network that it recovered from, which is its best line.
"""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

from sre2l_core import presets
from sre2l_core.figures.colours import of_number
from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry
from sre2l_core.presets import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sre2l_core.paper.results import Results

TEMPERATURES = (1, 5, 10, 15, 20)
DATASETS = {"Tiny-ImageNet": "tiny-imagenet", "ImageNet-1K": "imagenet-1k"}
STUDENTS = {"ResNet-18": "resnet18", "ResNet-50": "resnet50", "ResNet-101": "resnet101"}
COLUMNS = tuple(f"{dataset}, {student}" for dataset in DATASETS for student in STUDENTS)
NUMBERS: dict[str, tuple[float | None, ...]] = {f"T = {t}": (None,) * len(COLUMNS) for t in TEMPERATURES}
NUMBERS["T = 20"] = (41.1, 42.2, 42.5, 46.75, 55.62, 60.81)
"""The figure has no numbers but its best, 60.81, in the text; Tables 4 and 9 have others of its last temperature."""


def at(recipe: Recipe, temperature: int) -> Recipe:
    """The recipe with students of another temperature, and no others."""
    return recipe.but(validate={"temperature": float(temperature), **ALONE})


def draw(results: Results) -> Figure:
    """Accuracy against temperature, mean ± standard deviation; a line for each column."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, column in enumerate(results.budget.columns):
        found = {t: results.values.get((f"T = {t}", column)) for t in TEMPERATURES}
        points = [(t, mean(v), stdev(v) if len(v) > 1 else 0.0) for t, v in found.items() if v]
        x, y, spread = zip(*points, strict=True) if points else ((), (), ())
        axes.errorbar(x, y, spread, marker="o", capsize=3, linewidth=1.6, color=of_number(number), label=column)
    axes.set_xticks(TEMPERATURES)
    axes.set_xlabel("temperature of the soft labels")
    axes.set_ylabel(results.entry.unit)
    axes.set_title(f"Figure 4, {results.name} budget", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


figure_4 = Entry(
    name="figure-4",
    title="Figure 4: temperature of the soft labels",
    rows_are="temperature",
    columns=COLUMNS,
    numbers=NUMBERS,
    claims=(
        Claim("Accuracy rises at first.", "T = 10", "T = 1"),
        Claim("It is level after 10.", "T = 20", "T = 10", within=1.0),
    ),
    budgets={
        "laptop": Budget(
            cost="About 3 minutes on 2 CPU cores.",
            cells=tuple(
                Cell(f"T = {t}", "digits", (at(presets.get("digits").but(validate={"seeds": 10}), t),))
                for t in TEMPERATURES
            ),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: 8 and 46 hours; then 45 students each.",
            cells=tuple(
                Cell(f"T = {t}", f"{dataset}, {student}", (at(presets.get(f"table-4/{name}/ipc50"), t),), network)
                for dataset, name in DATASETS.items()
                for student, network in STUDENTS.items()
                for t in TEMPERATURES
            ),
        ),
    },
    draw=draw,
)

PLUGINS = {"figure-4": figure_4}
