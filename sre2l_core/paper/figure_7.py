"""Figure 7: features of condensed images by t-SNE; how far classes lie apart is measured before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.embed import features, tsne
from sre2l_core.paper.entry import Budget, Claim, Entry, number
from sre2l_core.paper.rivals import LAPTOP, NOTE, STARTS, Judged, published, rivals
from sre2l_core.runtime import Runtime

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sre2l_core.paper.results import Results

COLUMNS = ("Tiny-ImageNet", "ImageNet-1K")


@dataclass(frozen=True)
class Apart(Judged):
    """Mean silhouette of the judge's features, times 100: 100 where classes are far apart, 0 where they mix."""

    def ask(self, judge: Teacher, images: CondensedSet, runtime: Runtime) -> float:
        """Rousseeuw, 1987, with Euclidean distances."""
        from sklearn.metrics import silhouette_score

        points = features(judge, images.spec.normalize(images.images), runtime=runtime)
        return 100 * float(silhouette_score(points.numpy(), images.labels.numpy()))


def draw(results: Results) -> Figure:
    """A map for each row and column: t-SNE of the judge's features, a colour for each class."""
    from sre2l_core.figures.colours import of_number
    from sre2l_core.figures.theme import subplots, words

    rows, columns = list(results.entry.numbers), results.budget.columns
    figure, grid = subplots(2.6 * len(rows), 2.6 * len(columns), len(columns), len(rows), squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    for cell in results.budget.cells:
        if (cell.row, cell.column) not in results.values:
            continue
        assert isinstance(cell, Apart)
        images = CondensedSet.load(results.store.places(cell.recipes[0]).condensed)
        judge = Teacher.load(results.store.places(cell.judge_of(cell.recipes[0])).teacher)
        points = tsne(features(judge, images.spec.normalize(images.images), runtime=Runtime.auto("cpu")))
        axes = grid[columns.index(cell.column), rows.index(cell.row)]
        axes.scatter(points[:, 0], points[:, 1], s=9, color=[of_number(label) for label in images.labels.tolist()])
        axes.set_title(words(f"{cell.row}, {cell.column}", 40), fontsize=8)
    return figure


figure_7 = Entry(
    name="figure-7",
    title="Figure 7: t-SNE of features of condensed images",
    rows_are="images",
    columns=COLUMNS,
    numbers={row: (None, None) for row in STARTS},
    claims=(
        Claim("SRe2L's classes lie farther apart than a bilevel method's (MTT there, DM here).", "SRe2L", "DM"),
        Claim("They lie farther apart than real images do.", "SRe2L", "random real"),
    ),
    budgets={
        "laptop": Budget(
            cost="A minute on 2 CPU cores after figure-5, whose images these are.",
            note=f"{NOTE} The second claim is ours.",
            cells=tuple(rivals(Apart, LAPTOP)),
        ),
        "gpu": Budget(
            cost="Minutes after figure-5, whose images these are.",
            note=f"{NOTE} The second claim is ours.",
            cells=tuple(rivals(Apart, {"Tiny-ImageNet": published("table-4/tiny-imagenet/ipc50")}, times=1)),
        ),
    },
    measure=number,
    unit="mean silhouette × 100",
    draw=draw,
)

PLUGINS = {"figure-7": figure_7}
