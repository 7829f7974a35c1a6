"""Figures of a run. `Figure` objects without pyplot: safe in threads, notebooks and scripts alike."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from sre2l_core import terms
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.bn_stats import bn_statistics
from sre2l_core.data import Dataset
from sre2l_core.embed import features, tsne
from sre2l_core.figures import colours
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource
from sre2l_core.views import render

GREY = "#6b7280"
BATCH_COLOURS = ("#0072b2", "#d55e00", "#009e73")
CROP_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def tile(images: Tensor, columns: int, gap: int = 1, fill: int = 255) -> np.ndarray:
    """Images [N, C, H, W] uint8 as one picture, `columns` in a row: [H, W] where they are grey, else [H, W, 3]."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    page = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), fill, dtype=np.uint8)
    for index, image in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        page[top : top + height, left : left + width] = image
    return page[:, :, 0] if channels == 1 else page


def by_class(condensed: CondensedSet, label: int, count: int) -> Tensor:
    """The first images of a class, [<= count, C, H, W] uint8."""
    return condensed.images[condensed.labels == label][:count]


def images_figure(condensed: CondensedSet, data: Dataset, *, per_class: int = 10, max_classes: int = 10) -> Figure:
    """Condensed images by class (rows) beside as many real ones."""
    labels = condensed.labels.unique().tolist()[:max_classes]
    count = min(per_class, condensed.ipc)
    real = [data.train.take((data.train.labels == label).nonzero()[:count, 0]) for label in labels]
    made = [by_class(condensed, label, count) for label in labels]
    size = condensed.spec.resolution
    side = max(0.42, min(size / 110, 0.8))
    figure = Figure(figsize=(2 * side * count + 1.6, side * len(labels) + 0.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, rows, title in ((left, made, "condensed"), (right, real, "real")):
        padded = [torch.cat([row, row.new_full((count - len(row), *row.shape[1:]), 255)]) for row in rows]
        gap = max(1, size // 16)
        page = tile(torch.cat(padded), count, gap)
        axes.imshow(page, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if size < 64 else "antialiased")
        axes.set_title(f"{title}, {count} of each class", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([(size + gap) * i + size / 2 for i in range(len(labels))])
        axes.set_yticklabels(
            [condensed.spec.class_names[label].split(",")[0] for label in labels] if axes is left else []
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def read_log(path: Path, stage: str) -> dict[str, list[tuple[int, float]]]:
    """Metric -> (step, value) pairs of a stage, from the CSV that a run leaves; empty where there is none."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    if not path.exists():
        return found
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["stage"] == stage:
                found[row["metric"]].append((int(row["step"]), float(row["value"])))
    return found


def losses_figure(log: dict[str, list[tuple[int, float]]]) -> Figure:
    """The recovery loss and its terms against the step, on a logarithmic scale; terms are shown unweighted."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    names = dict.fromkeys([*terms.legend(), *log])  # a term that is not installed here is drawn as well
    for name in (name for name in names if name in log):
        steps, values = zip(*log[name], strict=True)
        axes.plot(steps, values, label=terms.legend().get(name, name), color=colours.of_term(name), linewidth=1.4)
    axes.set_yscale("log")
    axes.set_xlabel("recovery step")
    axes.set_ylabel("value (terms unweighted)")
    axes.legend(frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="y", color="#e5e7eb", linewidth=0.6)
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
    palette = colormaps["tab10" if len(labels) <= 10 else "tab20"]
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.subplots()
    for number, label in enumerate(labels):
        colour, own = palette(number), classes == label
        real, made = points[: len(rows)][own[: len(rows)]], points[len(rows) :][own[len(rows) :]]
        axes.scatter(real[:, 0], real[:, 1], s=9, color=colour, alpha=0.45, linewidths=0)
        name = spec.class_names[label].split(",")[0]
        axes.scatter(
            made[:, 0], made[:, 1], s=34, color=colour, marker="s", edgecolors="black", linewidths=0.7, label=name
        )
    axes.scatter([], [], s=9, color=GREY, alpha=0.6, label="real")
    axes.scatter([], [], s=34, color="white", marker="s", edgecolors="black", linewidths=0.7, label="condensed")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#d1d5db")
    axes.set_title("t-SNE of the teacher's features", fontsize=10)
    return figure


def rows_figure(rows: Mapping[str, Tensor], columns: Sequence[str] = (), *, title: str = "") -> Figure:
    """Images [N, C, H, W] uint8 in rows with a name each, under the names of the columns."""
    images = list(rows.values())
    count, size = max(len(row) for row in images), images[0].shape[-1]
    gap, side = max(1, size // 16), max(0.62, min(size / 110, 0.9))
    padded = [torch.cat([row.cpu(), row.new_full((count - len(row), *row.shape[1:]), 255).cpu()]) for row in images]
    figure = Figure(figsize=(side * count + 1.0, side * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots()
    page = tile(torch.cat(padded), count, gap)
    axes.imshow(page, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if size < 64 else "antialiased")
    middle = [(size + gap) * index + (size - 1) / 2 for index in range(max(count, len(rows)))]
    axes.set_yticks(middle[: len(rows)], list(rows))
    names = [name.split(",")[0][:13] for name in columns]
    axes.set_xticks(middle[: len(columns)], names)
    axes.tick_params(length=0, labelsize=9, labeltop=True, labelbottom=False)
    if max(map(len, names), default=0) > 8:
        axes.tick_params(axis="x", labelsize=7)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10)
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
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), ("mean", "var"), strict=True):
        running = getattr(norm, f"running_{kind}").cpu()
        order = running.argsort()
        axes.plot(running[order], color="#111827", linewidth=1.8, label="remembered")
        for (name, found), colour in zip(seen.items(), BATCH_COLOURS, strict=False):
            axes.plot(getattr(found, kind)[0].cpu()[order], ".", color=colour, markersize=4, label=name)
        axes.set_title("mean" if kind == "mean" else "variance", fontsize=10)
        axes.set_xlabel("channel, by remembered value", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=9, loc="outside right center")
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
    spec, ids = condensed.spec, torch.tensor([index])
    figure = Figure(figsize=(2.3 * (len(epochs) + 1), 3.6), layout="constrained")
    pictures, bars = figure.subplots(2, len(epochs) + 1, sharey="row", height_ratios=(1, 1.1))
    shown = {
        "cmap": "gray",
        "vmin": 0,
        "vmax": 255,
        "interpolation": "nearest" if spec.resolution < 64 else "antialiased",
    }
    pictures[0].imshow(tile(condensed.images[ids], 1), **shown)
    own = spec.class_names[int(condensed.labels[index])].split(",")[0]
    pictures[0].set_title(f"image of class {own}", fontsize=10)
    for number, epoch in enumerate(epochs):
        params, colour = labels.views(epoch), CROP_COLOURS[number % len(CROP_COLOURS)]
        crop = render(condensed.images, ids, params, size=spec.resolution, black=spec.black, prepare=spec.normalize)
        share = (labels.logits(epoch, ids, crop).cpu() / temperature).softmax(1)[0]
        top, left, height, width = params.box[index].tolist()
        inset = 0.06 * number  # frames of overlapping crops stay apart
        corner = (left - 0.5 + inset, top - 0.5 + inset)
        frame = Rectangle(corner, width - 2 * inset, height - 2 * inset, fill=False, edgecolor=colour, linewidth=2)
        pictures[0].add_patch(frame).set_clip_on(False)
        pictures[number + 1].imshow(tile(spec.to_uint8(crop), 1), **shown)
        pictures[number + 1].set_title(f"its crop in epoch {epoch + 1}", fontsize=10)
        pictures[number + 1].spines[:].set(color=colour, linewidth=2)
        top_classes = share.topk(min(10, len(share))).indices.sort().values
        names = [spec.class_names[label].split(",")[0] for label in top_classes.tolist()]
        bars[number + 1].bar(names, share[top_classes].numpy(), color=colour)
        bars[number + 1].tick_params(labelsize=8, length=2)
        if max(map(len, names)) > 2:
            bars[number + 1].tick_params(axis="x", labelrotation=90)
        bars[number + 1].spines[["top", "right"]].set_visible(False)
    bars[0].set_axis_off()
    bars[1].tick_params(labelleft=True)
    note = {"ha": "center", "va": "center", "fontsize": 10, "transform": bars[0].transAxes}
    bars[0].text(0.5, 0.5, f"soft labels\nat temperature {temperature:g}", **note)
    for axes in pictures:
        axes.set_xticks([])
        axes.set_yticks([])
    pictures[0].spines[:].set_visible(False)
    return figure
