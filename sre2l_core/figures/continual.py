"""Class-incremental learning in pictures: what a memory holds, how its students do, and what they have forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet
from sre2l_core.continual import Learnt
from sre2l_core.figures import encode
from sre2l_core.figures.bars import bars
from sre2l_core.figures.curves import seed_chart
from sre2l_core.figures.sheet import View, captioned
from sre2l_core.figures.svg import Drawing
from sre2l_core.figures.tables import MAX_CLASSES

SHOWN = 10
"""Images of a class, at most."""


def memory_view(memory: CondensedSet, order: Sequence[int], title: str, *, width: int = 340) -> View:
    """A column of images for each class in the order of arrival; a class that has not come yet has an empty one.

    Args:
        memory: what students learn from.
        order: labels, from the first to arrive to the last; of many classes the latest that have come are shown.
        title: what is seen.
        width: in CSS pixels.
    """
    counts = memory.labels.bincount(minlength=memory.spec.num_classes).tolist()
    held = [label for label in order if counts[label]]
    shown = order if len(order) <= MAX_CLASSES else held[-MAX_CLASSES:]
    rows = min(max(counts), SHOWN)
    pixels = torch.full((rows * len(shown), *memory.images.shape[1:]), encode.GREY, dtype=torch.uint8)
    for column, label in enumerate(shown):
        own = memory.images[memory.labels == label][:rows]
        pixels[torch.arange(len(own)) * len(shown) + column] = own
    names = memory.spec.short_names
    said = f"{title}: " + ", ".join(f"{counts[label]} of {names[label]}" for label in held)
    picture = encode.grid(pixels, len(shown), max_width=width)
    drawn = captioned(picture, [names[label] if counts[label] else "" for label in shown], Drawing([], 0, 0, said))
    more = len(held) - sum(counts[label] > 0 for label in shown)
    notes = [f"and {more} classes that came before"] if more else []
    if max(counts) > rows:
        notes.append(f"the first {rows} of each class")
    return View(title, drawn, tuple(notes))


def curves_view(curves: Mapping[str, Sequence[Learnt]], classes: int, cursor: int, *, width: int = 450) -> View:
    """Accuracy on all classes seen against their number, a line for each student and a thick one for their mean.

    Args:
        curves: title of a memory -> its steps so far.
        classes: of the data.
        cursor: classes seen in the step that is looked at.
        width: in CSS pixels.
    """
    lines = {title: _lines(curve) for title, curve in curves.items()}
    said = "; ".join(f"{title}: {_accuracies(curve)}" for title, curve in curves.items() if curve)
    chart = seed_chart(
        lines, label=f"accuracy on all classes seen. {said}", x_label="classes seen", x_max=classes, y_range=(0, 1),
        cursor=cursor, width=width,
    )  # fmt: skip
    return View("Share of the images of all classes seen that is recognised", chart)


def forgetting_view(lost: Tensor, names: Sequence[str], order: Sequence[int], *, width: int = 330) -> View:
    """What each class has lost since it was recognised best.

    Args:
        lost: [K] shares, one row of `continual.forgetting`.
        names: of the classes.
        order: labels in the order of their arrival; of many the ones that have lost most are shown.
        width: in CSS pixels.
    """
    title, known = "Forgotten: best earlier accuracy less that of now", [k for k in order if not lost[k].isnan()]
    if not known:
        return View(title, notes=("No class has been tested before.",))
    worst = sorted(known, key=lambda label: -float(lost[label]))[:MAX_CLASSES]
    values = {names[label]: float(lost[label]) for label in known if label in worst}
    said = "forgotten: " + ", ".join(f"{name} {value:.0%}" for name, value in values.items())
    chart = bars(values, label=said, high=max(0.2, *values.values()), form="{:.0%}", width=width)
    return View(title, chart, (f"Mean of {len(known)} classes: {float(lost[known].mean()):.1%}.",))


def _lines(curve: Sequence[Learnt]) -> list[list[tuple[float, float]]]:
    students = len(curve[0].score.last) if curve else 0
    return [[(float(point.seen), point.score.last[number]) for point in curve] for number in range(students)]


def _accuracies(curve: Sequence[Learnt]) -> str:
    return ", ".join(f"{point.score.mean_std()[0]:.1%} of {point.seen} classes" for point in curve)
