"""SRe2L beside other images in the same number, and what of them another network recognises: for figures of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sre2l_core import presets
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import ViewConfig
from sre2l_core.paper.entry import TEN, TEN_CLASSES, Cell, Measured, small
from sre2l_core.presets import Recipe, repeated
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runtime import Runtime
from sre2l_core.stages.squeeze import squeeze
from sre2l_core.starts.dm import ITERATIONS
from sre2l_core.views import apply, draw

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matplotlib.figure import Figure

    from sre2l_core.events import Listener
    from sre2l_core.paper.results import Results
    from sre2l_core.runs.store import Store

STARTS = {"SRe2L": "", "DM": "dm", "random real": "random"}
"""Row -> the start that is left as it is; SRe2L goes on from its own. DM stands in for MTT, a step of which is here."""
BOTH = {"hard_labels": True, "against": ()}
"""DM's own students learn hard labels."""
LAPTOP = {
    "digits": small("digits").but(validate=BOTH),
    "drawings": small("drawings/pixels").but(validate=BOTH),
    TEN_CLASSES: TEN.but(validate=BOTH),
}
"""Column -> recipe; where several entries show the same rows, they share these runs."""
NOTE = f"DM ({ITERATIONS} iterations) and random real images take part as they are: nothing is recovered from them."


def as_it_is(recipe: Recipe, start: str) -> Recipe:
    """A baseline as a run of its own: what a start makes, untouched."""
    return recipe.but(recover={"init": start, "steps": 0, "parametrisation": "pixels"}) if start else recipe


def rivals(
    make: Callable[..., Cell], columns: dict[str, Recipe], *, times: int = 3, rows: dict[str, str] = STARTS
) -> Iterator[Cell]:
    """A cell for each row in each column, made by `make(row, column, recipes, optional=…)`."""
    for column, recipe in columns.items():
        for row, start in rows.items():
            recipes = repeated(as_it_is(recipe, start), times=times)
            yield make(row, column, recipes, optional=column == TEN_CLASSES)


@dataclass(frozen=True)
class Judged(Measured):
    """A number that another network gives: one of the same kind, trained on the same data with another seed.

    The teacher itself would not do: SRe2L's images were made to please it.
    """

    judge: str = ""
    """Another network, with torchvision's weights; for teachers that nobody trains here."""

    def judge_of(self, recipe: Recipe) -> Recipe:
        """The recipe of the network that judges."""
        return recipe.but(squeeze={"backbone": self.judge} if self.judge else {"seed": recipe.squeeze.seed + 1})

    def take(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> float:
        """Make images and judge, or find them, and ask."""
        places = store.make(recipe, runtime=runtime, executor=executor, on_step=on_step, images_only=True)
        other, runtime = self.judge_of(recipe), runtime or Runtime.auto()
        network = squeeze(
            load_data(other.data), other.squeeze, out=store.places(other).teacher, runtime=runtime, on_step=on_step
        )
        return self.ask(network, CondensedSet.load(places.condensed), runtime)

    def ask(self, judge: Teacher, images: CondensedSet, runtime: Runtime) -> float:
        """What the judge says of the images."""
        raise NotImplementedError


@dataclass(frozen=True)
class Recognised(Judged):
    """Share of random crops, in %, in which the judge sees the class that the image stands for."""

    def ask(self, judge: Teacher, images: CondensedSet, runtime: Runtime) -> float:
        """Four crops of each image."""
        net, right = runtime.place(judge.net), 0
        for ids in torch.arange(len(images)).split(256):
            for number in range(CROPS):
                params = draw(VIEWS, seed=0, epoch=number, ids=ids, size=images.spec.size)
                crops = apply(images.spec.normalize(images.images[ids]), params, size=images.spec.resolution)
                found = runtime.logits(net, crops).argmax(1).cpu()
                right += int((found == images.labels[ids]).sum())
        return 100 * right / (CROPS * len(images))


CROPS = 4
VIEWS = ViewConfig(crop_scale=(0.25, 1.0), flip=0.0)
UNIT = "crops in which another network sees the class (%)"


def gallery(results: Results, *, classes: Sequence[str] = (), each: int = 1) -> Figure:
    """Images of the first repetition: a row of them for each row of the entry, column by column.

    Args:
        results: whose store holds the images.
        classes: ids of those that are shown, where the data has them; the first ones otherwise.
        each: images of a class.
    """
    from matplotlib.figure import Figure

    from sre2l_core.figures.theme import INK, middles, show_images, words

    columns = results.budget.columns
    figure = Figure(figsize=(7.0, 2.6 * len(columns) + 0.2), layout="constrained", facecolor="none")
    for axes, column in zip(figure.subplots(len(columns), 1, squeeze=False)[:, 0], columns, strict=True):
        found = dict(pictures(results, column, classes, each))
        if not found:
            axes.set_axis_off()
            continue
        show_images(axes, [images.images for images in found.values()])
        size = next(iter(found.values())).spec.resolution
        axes.set_yticks(middles(len(found), size), [words(row) for row in found])
        axes.tick_params(labelsize=8, colors=INK)
        axes.set_title(words(f"{column}, {results.name} budget", 80), fontsize=9, color=INK)
    return figure


def pictures(results: Results, column: str, classes: Sequence[str], each: int) -> Iterator[tuple[str, CondensedSet]]:
    """Row -> some of its images, up to `ACROSS` and class by class; rows that failed are left out."""
    for cell in results.budget.cells:
        if cell.column == column and (cell.row, column) in results.values:
            images = CondensedSet.load(results.store.places(cell.recipes[0]).condensed).first(each)
            known = images.spec.classes
            asked = torch.tensor([known.index(name) for name in classes if name in known] or range(len(known)))
            kept = torch.isin(images.labels, asked).nonzero()[:, 0]
            kept = kept[images.labels[kept].argsort(stable=True)][:ACROSS]
            yield cell.row, CondensedSet(images.images[kept], images.labels[kept], images.spec)


ACROSS = 12
"""Images in a row."""


def published(name: str, **changes: object) -> Recipe:
    """A preset of the paper for a gpu budget, with students of hard labels too, as for all rivals."""
    return presets.get(name).but(validate={**BOTH, "students": ("resnet18",)}).but(**changes)
