"""Figures of a run. `Figure` objects without pyplot: safe in threads, notebooks and scripts alike."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.data import Dataset
from sre2l_core.embed import features, tsne
from sre2l_core.runtime import Runtime

GREY = "#6b7280"
TERM_NAMES = {"loss": "total", "ce": "cross-entropy", "r_bn": "$R_{BN}$", "r_tv": "$R_{TV}$", "r_l2": r"$R_{\ell_2}$"}
TERM_COLOURS = {"loss": "#111827", "ce": "#0072b2", "r_bn": "#d55e00", "r_tv": "#009e73", "r_l2": "#cc79a7"}


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
    """Metric -> (step, value) pairs of a stage, from the CSV that a run leaves."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["stage"] == stage:
                found[row["metric"]].append((int(row["step"]), float(row["value"])))
    return found


def losses_figure(log: dict[str, list[tuple[int, float]]]) -> Figure:
    """The recovery loss and its terms against the step, on a logarithmic scale; terms are shown unweighted."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name in (name for name in TERM_NAMES if name in log):
        steps, values = zip(*log[name], strict=True)
        axes.plot(steps, values, label=TERM_NAMES[name], color=TERM_COLOURS[name], linewidth=1.4)
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
