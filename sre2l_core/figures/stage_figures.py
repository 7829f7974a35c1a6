"""Still figures of what the panels show live: for result cells that stay, and for readers without a kernel."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from sre2l_core.data import DatasetSpec
from sre2l_core.figures.plots import GREY, tile
from sre2l_core.studies.crops import Crops
from sre2l_core.studies.diagnose import LayerMemory

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a7a00", "#72727c", "#8a4a2a", "#7a6fd0", "#25a9bd", "#d1495b")
MANY = 20
"""Classes up to which a confusion matrix has numbers in it."""
Points = Sequence[tuple[float, float]]


def rendered(figure: Figure, dpi: int = 90) -> Image.Image:
    """A figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return Image.open(buffer).convert("RGB")


def training_figure(
    curves: Mapping[str, Points], memory: Sequence[LayerMemory], counts: Tensor, spec: DatasetSpec
) -> Figure:
    """Accuracy of a training, the mean that its BatchNorm layers remember, and the confusion matrix."""
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.1, 1.1, 1))
    for number, (name, points) in enumerate(curves.items()):
        if points:
            left.plot(*zip(*points, strict=True), label=name, color=COLOURS[number], linewidth=1.6)
    left.set_ylim(0, 1.02)
    _plain(left, "accuracy", "optimiser step")
    left.legend(frameon=False, fontsize=9, loc="lower right")
    _memory(middle, memory)
    _confusion(right, counts, spec)
    return figure


def _memory(axes: Axes, memory: Sequence[LayerMemory]) -> None:
    for number, (kind, name) in enumerate((("mean", "mean"), ("std", "standard deviation"))):
        found = np.array([getattr(layer, kind) for layer in memory]).reshape(-1, 5)
        x = np.arange(1, len(found) + 1) + (number - 0.5) * 0.3
        axes.vlines(x, found[:, 0], found[:, 4], color=COLOURS[number], linewidth=1.6)
        axes.vlines(x, found[:, 1], found[:, 3], color=COLOURS[number], linewidth=6, alpha=0.5)
        axes.plot(x, found[:, 2], "_", color="#111827", markersize=8)
        axes.plot([], [], color=COLOURS[number], linewidth=4, label=name)
    axes.axhline(0, color=GREY, linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    _plain(axes, "what BatchNorm remembers", "BatchNorm layer")


def _confusion(axes: Axes, counts: Tensor, spec: DatasetSpec) -> None:
    share = counts.double() / counts.sum(1, keepdim=True).clamp_min(1)
    axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    if len(counts) <= MANY:
        for row, column in counts.nonzero().tolist():
            dark = float(share[row, column]) > 0.5
            text = str(int(counts[row, column]))
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "#111827")
        names = [name.split(",")[0][:12] for name in spec.class_names]
        axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 3 else 90)
        axes.set_yticks(range(len(names)), names)
    _plain(axes, "validation images", "predicted")
    axes.set_ylabel("true", fontsize=9)


def students_figure(
    groups: Mapping[str, Sequence[Points]],
    by_class: Mapping[str, Tensor],
    spec: DatasetSpec,
    hollow: Sequence[str] = (),
) -> Figure:
    """Curves of students with seeds, and the accuracy of each class beside the baselines (rings)."""
    figure = Figure(figsize=(8.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, lines) in enumerate(groups.items()):
        colour, whole = COLOURS[number % len(COLOURS)], min((len(line) for line in lines), default=0)
        for line in lines:
            if line and len(lines) > 1:
                left.plot(*zip(*line, strict=True), color=colour, linewidth=0.7, alpha=0.4)
        if whole:
            mean = np.array([line[:whole] for line in lines]).mean(0)
            style = "--" if name in hollow else "-"
            left.plot(
                mean[:, 0], mean[:, 1], style, color=colour, linewidth=2, marker="o", markevery=[-1], markersize=5
            )
    left.set(xlim=(0, None), ylim=(0, 1.02))
    _plain(left, "accuracy on real images", "optimiser step")
    classes = [name.split(",")[0] for name in spec.class_names]
    shown = telling_classes(by_class)
    for number, name in enumerate(groups):
        if name in by_class:
            face = {"markerfacecolor": "none"} if name in hollow else {}
            values, colour = by_class[name][shown].numpy(), COLOURS[number % len(COLOURS)]
            right.plot(range(len(shown)), values, "o", color=colour, markersize=6, label=name, alpha=0.85, **face)
    names = [classes[k] for k in shown]
    right.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names), default=0) < 3 else 90)
    right.set_ylim(0, 1.04)
    _plain(right, "accuracy of each class (rings: real images)", "")
    if by_class:
        handles, names = right.get_legend_handles_labels()
        figure.legend(handles, names, frameon=False, fontsize=9, ncols=3, loc="outside lower center")
    return figure


def telling_classes(by_class: Mapping[str, Tensor], most: int = MANY) -> list[int]:
    """All classes, or of many those where settings differ most."""
    if not by_class:
        return []
    values = torch.stack(list(by_class.values()))
    spread = values.amax(0) - values.amin(0)
    return sorted(spread.argsort(descending=True)[:most].tolist())


def crops_figure(image: Tensor, crops: Crops, spec: DatasetSpec, temperature: float, count: int = 6) -> Figure:
    """One image with its crops outlined, the crops, and the five likeliest classes of each at a temperature."""
    count = min(count, len(crops))
    figure = Figure(figsize=(1.22 * (count + 1), 2.9), layout="constrained")
    pictures, rows = figure.subplots(2, count + 1, height_ratios=(1, 1.05), sharex="row")
    how = {
        "cmap": "gray",
        "vmin": 0,
        "vmax": 255,
        "interpolation": "nearest" if spec.resolution < 64 else "antialiased",
    }
    pictures[0].imshow(tile(image[None], 1), **how)
    pictures[0].set_title(f"image {crops.index}", fontsize=9)
    for number, found in enumerate(crops.top(5, temperature)[:count]):
        colour, (top, left, height, width) = COLOURS[number % len(COLOURS)], crops.box[number].tolist()
        x, y = [left - 0.5, left + width - 0.5], [top - 0.5, top + height - 0.5]
        pictures[0].plot([x[0], x[1], x[1], x[0], x[0]], [y[0], y[0], y[1], y[1], y[0]], color=colour, linewidth=1.4)
        pictures[number + 1].imshow(tile(crops.pixels[number : number + 1], 1), **how)
        pictures[number + 1].set_title(f"crop {number + 1}", fontsize=9, color=colour)
        names = [spec.class_names[label].split(",")[0][:16] for label, _ in found][::-1]
        long = max(map(len, names)) > 2  # such names stand on the bars
        rows[number + 1].barh(
            range(len(names)), [share for _, share in found][::-1], color=colour, alpha=0.5 if long else 1
        )
        rows[number + 1].set_yticks(range(len(names)), [""] * len(names) if long else names)
        for place, name in enumerate(names if long else ()):
            rows[number + 1].text(0, place, f" {name}", va="center", fontsize=7)
        rows[number + 1].tick_params(labelsize=7, length=2)
        rows[number + 1].spines[["top", "right"]].set_visible(False)
    rows[0].set_axis_off()
    rows[0].text(0.0, 0.5, f"soft labels\nat T = {temperature:g}", transform=rows[0].transAxes, va="center", fontsize=9)
    for axes in pictures:
        axes.set(xticks=[], yticks=[], xlim=(-1, spec.resolution), ylim=(spec.resolution, -1))
        axes.spines[:].set_visible(False)
    return figure


def map_figure(
    points: npt.NDArray[np.floating], labels: Tensor, real: int, spec: DatasetSpec, *, title: str = ""
) -> Figure:
    """Points on a map coloured by class: the first `real` are dots, the others ringed squares."""
    figure = Figure(figsize=(6.8, 4.8), layout="constrained")
    axes = figure.subplots()
    present = labels.unique().tolist()
    palette = COLOURS if len(present) <= len(COLOURS) else colormaps["tab20"](range(20))
    for number, label in enumerate(present):
        own, colour = (labels == label).numpy(), palette[number % len(palette)]
        dots, squares = points[:real][own[:real]], points[real:][own[real:]]
        axes.scatter(dots[:, 0], dots[:, 1], s=9, color=colour, alpha=0.5, linewidths=0)
        name = spec.class_names[label].split(",")[0]
        look: dict[str, Any] = {"s": 34, "marker": "s", "edgecolors": "black", "linewidths": 0.7}
        axes.scatter(squares[:, 0], squares[:, 1], color=colour, label=name, **look)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), title="squares: condensed")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#d1d5db")
    axes.set_title(title, fontsize=10)
    return figure


def _plain(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label, fontsize=9)
    axes.tick_params(labelsize=8, length=2)
    axes.spines[["top", "right"]].set_visible(False)


def pipeline_figure(rows: Sequence[tuple[str, str, str, str]]) -> Figure:
    """The stages as boxes in a row, each with its artifact and its freshness: (stage, artifact, state, text)."""
    figure = Figure(figsize=(11, 1.7), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, len(rows)), ylim=(0, 1))
    axes.set_axis_off()
    tints = {"fresh": "#2e7d32", "stale": "#d55e00", "missing": GREY}
    for number, (stage, artifact, state, text) in enumerate(rows):
        tint = tints[state]
        axes.add_patch(Rectangle((number + 0.02, 0.05), 0.86, 0.9, fill=False, edgecolor=tint, linewidth=1.6))
        words = textwrap.fill(text, 30)
        axes.text(number + 0.07, 0.74, stage, fontsize=11, weight="bold")
        axes.text(number + 0.07, 0.53, f"{artifact}: {state}", fontsize=9, color=tint)
        axes.text(number + 0.07, 0.45, words, fontsize=8, va="top")
        if number + 1 < len(rows):
            axes.annotate("", (number + 1.01, 0.5), (number + 0.89, 0.5), arrowprops={"arrowstyle": "->"})
    return figure
