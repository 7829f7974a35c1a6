"""Figures of a run, and of what the notebooks look at, with matplotlib: for a folder, for paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from sre2l_core import terms
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.bn_stats import bn_statistics
from sre2l_core.data import Dataset
from sre2l_core.embed import features, tsne
from sre2l_core.figures.colours import of_number, of_term
from sre2l_core.figures.theme import FAINT, INK, LEGEND, middles, plain, show_images, subplots, words
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, views_of

SQUARE: dict[str, Any] = {"s": 34, "marker": "s", "edgecolors": INK, "linewidths": 0.9}
"""A condensed image on a map."""


def images_figure(condensed: CondensedSet, data: Dataset, *, per_class: int = 10, max_classes: int = 10) -> Figure:
    """Condensed images by class (rows) beside as many real ones."""
    labels = condensed.labels.unique().tolist()[:max_classes]
    count, size = min(per_class, condensed.ipc), condensed.spec.resolution
    real = [data.train.take((data.train.labels == label).nonzero()[:count, 0]) for label in labels]
    made = [condensed.images[condensed.labels == label][:count] for label in labels]
    side = max(0.42, min(size / 110, 0.8))
    width = max(2 * side * count + 1.6, 4.4)  # room for both titles
    figure, both = subplots(width, side * len(labels) + 0.6, 1, 2)
    for axes, rows, title in zip(both, (made, real), ("condensed", "real"), strict=True):
        show_images(axes, rows)
        axes.set_title(f"{title}, {count} of each class", fontsize=10)
    names = condensed.spec.short_names
    both[0].set_yticks(middles(len(labels), size), [words(names[label]) for label in labels])
    return figure


def losses_figure(log: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """The recovery loss and its terms against the step, on a logarithmic scale; terms are shown unweighted."""
    figure, axes = subplots(6.4, 3.6)
    names = dict.fromkeys([*terms.legend(), *log])  # a term that is not installed here is drawn as well
    for name in (name for name in names if name in log):
        steps, values = zip(*log[name], strict=True)
        plain(axes).plot(steps, values, label=words(terms.legend().get(name, name)), color=of_term(name), linewidth=1.4)
    axes.set(yscale="log", xlabel="recovery step", ylabel="value (terms unweighted)")
    axes.legend(**LEGEND, fontsize=9, ncols=6, loc="lower left", bbox_to_anchor=(0, 1))
    axes.grid(True, axis="y", color=FAINT, linewidth=0.6)
    return figure


def embedding_figure(
    condensed: CondensedSet,
    data: Dataset,
    teacher: Teacher,
    *,
    runtime: Runtime | None = None,
    per_class: int = 50,
    max_classes: int = 10,
    seed: int = 0,
) -> Figure:
    """t-SNE of the teacher's features (as Figure 7): real validation images are dots, condensed ones ringed squares."""
    labels = condensed.labels.unique().tolist()[:max_classes]
    rows = torch.cat([(data.val.labels == label).nonzero()[:per_class, 0] for label in labels])
    kept = torch.isin(condensed.labels, torch.tensor(labels))
    spec = condensed.spec
    images = torch.cat([spec.normalize(data.val.take(rows)), spec.normalize(condensed.images[kept])])
    points = tsne(features(teacher, images, runtime=runtime), seed=seed)
    classes = torch.cat([data.val.labels[rows], condensed.labels[kept]]).numpy()
    figure, axes = subplots(6.4, 5.2)
    squares = []
    for number, label in enumerate(labels):
        colour, own = of_number(number), classes == label
        real, made = points[: len(rows)][own[: len(rows)]], points[len(rows) :][own[len(rows) :]]
        axes.scatter(real[:, 0], real[:, 1], s=9, color=colour, alpha=0.55, linewidths=0)
        squares.append(axes.scatter(made[:, 0], made[:, 1], color=colour, **SQUARE))
    both = [axes.scatter([], [], s=9, color=INK, alpha=0.6), axes.scatter([], [], color="none", **SQUARE)]
    names = [*(words(spec.short_names[label]) for label in labels), "real", "condensed"]
    axes.legend([*squares, *both], names, **LEGEND, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xticks=[], yticks=[])
    axes.set_title("t-SNE of the teacher's features", fontsize=10)
    return figure


def rows_figure(rows: Mapping[str, Tensor], columns: Sequence[str] = (), *, title: str = "") -> Figure:
    """Images [N, C, H, W] uint8 in rows with a name each, under the names of the columns."""
    images = list(rows.values())
    count, size = max(len(row) for row in images), images[0].shape[-1]
    side = max(0.62, min(size / 110, 0.9))
    figure, axes = subplots(side * count + 1.0, side * len(rows) + 0.4)
    show_images(axes, images)
    names = [words(name.split(",")[0], 13) for name in columns]
    axes.set_yticks(middles(len(rows), size), [words(name, 40) for name in rows])
    axes.set_xticks(middles(len(columns), size), names)
    axes.tick_params(labelsize=9, labeltop=True, labelbottom=False)
    if max(map(len, names), default=0) > 8:
        axes.tick_params(axis="x", labelsize=7)
    axes.set_title(words(title, 80), fontsize=10)
    return figure


def bn_statistics_figure(
    teacher: Teacher, batches: Mapping[str, Tensor], *, layer: int = 0, runtime: Runtime | None = None
) -> Figure:
    """What a BatchNorm layer remembers of the data, beside what it sees of other images: mean and variance by channel.

    Args:
        teacher: a classifier with BatchNorm.
        batches: name -> normalised images [N, C, H, W]; their statistics are drawn as dots.
        layer: which BatchNorm layer, in the order of the forward pass.
        runtime: device and precision.
    """
    runtime = runtime or Runtime.auto()
    net = runtime.place(teacher.net)
    seen = {}
    for name, images in batches.items():
        with torch.no_grad(), bn_statistics(net) as stats:
            runtime.forward(net, images)
        seen[name] = stats.layers[layer]
    norm = next(iter(seen.values())).layer
    figure, both = subplots(8.4, 3.0, 1, 2)
    for axes, kind in zip(both, ("mean", "var"), strict=True):
        running = getattr(norm, f"running_{kind}").cpu()
        order = running.argsort()
        axes.plot(running[order], color=INK, linewidth=1.8, label="remembered")
        for number, (name, found) in enumerate(seen.items()):
            values = getattr(found, kind)[0].cpu()[order]
            axes.plot(values, ".", color=of_number(number), markersize=4, label=words(name))
        axes.set_title("mean" if kind == "mean" else "variance", fontsize=10)
        axes.set_xlabel("channel, by remembered value", fontsize=9)
        plain(axes).tick_params(labelsize=9)
    figure.legend(*axes.get_legend_handles_labels(), **LEGEND, fontsize=9, loc="outside right center")
    return figure


def soft_label_figure(
    condensed: CondensedSet, labels: LabelSource, index: int, *, temperature: float, epochs: Sequence[int] = (0, 1, 2)
) -> Figure:
    """One image, its crops in some epochs, and the teacher's softened label of each crop.

    Args:
        condensed: the images.
        labels: stored or made on the fly.
        index: id of the image.
        temperature: softens the labels, as for the student.
        epochs: whose views to show.
    """
    spec, ids, columns = condensed.spec, torch.tensor([index]), len(epochs) + 1
    figure, (pictures, bars) = subplots(2.3 * columns, 3.6, 2, columns, sharey="row", height_ratios=(1, 1.1))
    show_images(pictures[0], [condensed.images[ids]])
    own = words(spec.short_names[int(condensed.labels[index])])
    pictures[0].set_title(f"image of class {own}", fontsize=10)
    for number, epoch in enumerate(epochs):
        params, colour = labels.views(epoch), of_number(number)
        crop = views_of(spec, condensed.images, ids, params)
        share = (labels.logits(epoch, ids, crop).cpu() / temperature).softmax(1)[0]
        top, left, height, width = params.box[index].tolist()
        inset = 0.06 * number  # frames of overlapping crops stay apart
        corner = (left - 0.5 + inset, top - 0.5 + inset)
        frame = Rectangle(corner, width - 2 * inset, height - 2 * inset, fill=False, edgecolor=colour, linewidth=2)
        pictures[0].add_patch(frame).set_clip_on(False)
        show_images(pictures[number + 1], [spec.to_uint8(crop)])
        pictures[number + 1].set_title(f"its crop in epoch {epoch + 1}", fontsize=10)
        pictures[number + 1].spines[:].set(color=colour, linewidth=2, visible=True)
        _soft_label(bars[number + 1], share, spec.short_names, colour)
    bars[0].set_axis_off()
    bars[1].tick_params(labelleft=True)
    said = f"soft labels\nat temperature {temperature:g}"
    bars[0].text(0.5, 0.5, said, ha="center", va="center", fontsize=10, color=INK, transform=bars[0].transAxes)
    return figure


def _soft_label(axes: Axes, share: Tensor, class_names: Sequence[str], colour: str) -> None:
    """The ten likeliest classes as bars."""
    top = share.topk(min(10, len(share))).indices.sort().values
    names = [words(class_names[label]) for label in top.tolist()]
    plain(axes).bar(range(len(top)), share[top].numpy(), color=colour)
    axes.set_xticks(range(len(top)), names)
    axes.tick_params(labelsize=8, length=2)
    if max(map(len, names)) > 2:
        axes.tick_params(axis="x", labelrotation=90)
