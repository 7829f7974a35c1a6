"""Figure 6: class-incremental learning from a memory of condensed images, in 5 and in 10 steps.

The reference makes teacher and images from all classes beforehand, which leaks the future into the past. Its setting
stands beside a leak-free one, in which the teacher of a step has seen that step's classes only (`continual`). Besides
condensed images the memory holds what four baselines choose: every row names both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from sre2l_core import presets
from sre2l_core.artifacts import Score
from sre2l_core.continual import CONDENSED, ContinualConfig
from sre2l_core.figures.colours import of_number
from sre2l_core.figures.theme import LEGEND, plain, subplots
from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry, small
from sre2l_core.presets import Recipe, repeated
from sre2l_core.runs import continual

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matplotlib.figure import Figure

    from sre2l_core.events import Listener
    from sre2l_core.paper.results import Results
    from sre2l_core.runs.pipeline import Places
    from sre2l_core.runs.store import Store
    from sre2l_core.runtime import Runtime

MEMORIES = (CONDENSED, "random", "herding", "k-center", "rded")
ROWS = {
    config.title: config
    for config in (ContinualConfig(memory=memory, leak_free=free) for free in (False, True) for memory in MEMORIES)
}
"""What the memory holds, and the setting."""
CONDENSED_HERE, RANDOM_HERE = (ContinualConfig(memory=memory).title for memory in MEMORIES[:2])
"""In the reference's setting, which is the paper's."""
STEPS = {steps: tuple(range(200 // steps, 201, 200 // steps)) for steps in (5, 10)}
"""Steps -> classes seen after each, of the 200 of Tiny-ImageNet."""
COLUMNS = tuple(f"{steps} steps, {seen} classes" for steps, counts in STEPS.items() for seen in counts)
NUMBERS: dict[str, tuple[float | None, ...]] = {row: (None,) * len(COLUMNS) for row in ROWS}
NUMBERS[CONDENSED_HERE] = (45.6, 48.5, 49.4, 49.8, 49.9, *[None] * 10)
"""The figure has no numbers: these are of the authors' log (github.com/zeyuanyin/SRe2L-CL), 100 images a class."""
ORDERS = 3
TEN = (2, 4, 6, 8, 10)
"""Classes seen after each of five steps, of ten."""
NOTE = "Each repetition has a class order of its own. Leak-free rows and memories of real images are not in the paper."


@dataclass(frozen=True)
class Point(Cell):
    """A point of a curve, in the class order of each recipe's seed."""

    config: ContinualConfig = ContinualConfig()  # noqa: RUF009 (it is frozen)
    step: int = 1

    def ordered(self, recipe: Recipe) -> ContinualConfig:
        """The config for a repetition."""
        return self.config.but(seed=recipe.validate.seed)

    def finished(self, store: Store, recipe: Recipe) -> bool:
        """Whether the curve is there up to this point."""
        return continual.finished(recipe, self.ordered(recipe), store, self.step)

    def make(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> Places:
        """Make the curve or find it; the places of the run, with the score of this point."""
        if not self.finished(store, recipe):
            continual.curve(recipe, self.ordered(recipe), store, runtime=runtime, executor=executor, on_step=on_step)
        score = continual.place(recipe, self.ordered(recipe), store) / f"step-{self.step}"
        return replace(store.places(recipe), score=score)


def points(
    recipe: Recipe,
    steps: int,
    columns: tuple[str, ...],
    memories: tuple[str, ...] = MEMORIES,
    *,
    optional: bool = False,
) -> tuple[Point, ...]:
    """The curves of these memories in both settings in so many steps, a column for each step."""
    recipes = repeated(recipe, times=ORDERS)
    return tuple(
        Point(row, column, recipes, optional=optional, config=config.but(steps=steps), step=number)
        for row, config in ROWS.items()
        if config.memory in memories
        for number, column in enumerate(columns, start=1)
    )


def top1(places: Places, cell: Cell) -> tuple[float, ...]:
    """Top-1 in % of the students of a memory, one value a seed."""
    return tuple(100 * value for value in Score.load(places.score).rows[0].last)


def draw(results: Results) -> Figure:
    """Accuracy against classes seen, mean ± standard deviation over class orders; dashed where nothing leaks."""
    groups = list(dict.fromkeys(column.rpartition(", ")[0] for column in results.budget.columns))
    figure, found = subplots(4.6 * len(groups) + 3.2, 3.8, 1, len(groups), squeeze=False)
    named: dict[str, Any] = {}
    for axes, group in zip(found[0], groups, strict=True):
        columns = [column for column in results.budget.columns if column.startswith(f"{group}, ")]
        for number, (row, config) in enumerate(ROWS.items()):
            values = {column: results.values[row, column] for column in columns if (row, column) in results.values}
            if not values:
                continue
            x = [int(column.split()[-2]) for column in values]
            y, spread = [mean(v) for v in values.values()], [stdev(v) if len(v) > 1 else 0.0 for v in values.values()]
            look: dict[str, Any] = {"color": of_number(number % len(MEMORIES))}
            look["linestyle"] = "--" if config.leak_free else "-"
            named[row] = plain(axes).errorbar(x, y, spread, marker="o", capsize=3, linewidth=1.6, **look)
        axes.set(xlabel="classes seen", ylabel=results.entry.unit)
        axes.set_title(f"Figure 6, {results.name} budget, {group}", fontsize=10)
    if named:
        figure.legend([*named.values()], [*named], **LEGEND, fontsize=9, loc="outside right center")
    return figure


NET = {"depth": 3, "width": 32}
digits = small("digits")
ten = small(
    "tiny-imagenet-10/resnet10/noise",
    data={"resolution": 32},
    squeeze={"backbone": "convnet", "backbone_options": NET, "epochs": 4, "warmup_epochs": 1, "lr": 0.05},
    recover={"steps": 100},
    relabel={"teacher_mode": "eval"},  # a step's teacher sees a part of each batch
    validate={"students": ("convnet",), "student_options": NET, "epochs": 25},
)
"""Real photographs, as far as there is time for sixteen teachers, eighteen recoveries and sixty students."""
tiny = presets.get("table-4/tiny-imagenet/ipc100").but(validate={**ALONE, "students": ("resnet18",)})

figure_6 = Entry(
    name="figure-6",
    title="Figure 6: class-incremental learning",
    rows_are="memory",
    columns=COLUMNS,
    numbers=NUMBERS,
    claims=(Claim("Condensed images are a better memory than as many random real ones.", CONDENSED_HERE, RANDOM_HERE),),
    budgets={
        "laptop": Budget(
            cost="About 7 minutes on 2 CPU cores, and 8 more where Tiny-ImageNet is: estimated from single steps.",
            note=NOTE,
            cells=(
                *points(digits, 5, tuple(f"digits, {seen} classes" for seen in TEN)),
                *points(ten, 5, tuple(f"Tiny-ImageNet, {seen} classes" for seen in TEN), MEMORIES[:2], optional=True),
            ),
        ),
        "gpu": Budget(
            cost="Recovery alone, by Table 3's times on an RTX 4090: about 16 hours for each of 9 sets.",
            note=NOTE,
            cells=tuple(
                point
                for steps, counts in STEPS.items()
                for point in points(tiny, steps, tuple(f"{steps} steps, {seen} classes" for seen in counts))
            ),
        ),
    },
    measure=top1,
    draw=draw,
)

PLUGINS = {"figure-6": figure_6}
