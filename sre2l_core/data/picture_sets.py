"""From lists of labelled picture files to a dataset: resident when small, streamed when large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sre2l_core.data.decode import check_memory, decode_all
from sre2l_core.data.folders import listed
from sre2l_core.data.request import Request
from sre2l_core.data.resident import ResidentSplit
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Dataset, Split
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import DataError

RESIDENT_BYTES = 2**30
"""Decoded uint8 pixels of both splits up to which a dataset is held in memory."""
_MEASURED = 2_000
"""Training images, evenly spaced, from which the statistics of a streamed dataset are measured."""


@dataclass(frozen=True)
class Pictures:
    """Picture files and their labels."""

    paths: list[Path]
    labels: Tensor
    """[N] int64."""

    @classmethod
    def of_classes(cls, files: Sequence[Sequence[Path]]) -> Pictures:
        """One list of files per class, in the order of labels."""
        labels = [label for label, members in enumerate(files) for _ in members]
        return cls([path for members in files for path in members], torch.tensor(labels, dtype=torch.long))

    def __getitem__(self, ids: Tensor) -> Pictures:
        return Pictures([self.paths[index] for index in ids.tolist()], self.labels[ids])

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True)
class Recipe:
    """How a dataset's files become images."""

    resolution: int
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    """Mean and standard deviation per channel; None measures them."""
    eval_scale: float = 1.0
    """Shorter side of a validation image before the central crop, in units of the resolution.

    Training images taken as they are always show the whole central square, streamed or resident: what is compared with
    condensed images is no smaller part of a picture in one of the two.
    """
    upright: bool = False
    stream: bool | None = None
    """None: by size."""


def build(
    request: Request,
    classes: Sequence[str],
    names: Sequence[str],
    train: Pictures,
    val: Pictures,
    recipe: Recipe,
    notes: Sequence[str] = (),
) -> Dataset:
    """The dataset of these files.

    Args:
        request: what was asked.
        classes: class ids in the order of labels.
        names: their readable names, or none.
        train: training files.
        val: validation files.
        recipe: resolution, statistics and cropping.
        notes: what the loader has to say; see `Dataset`.

    Raises:
        DataError: for an unreadable file, a class without readable training images, or more than the memory holds.
    """
    stream = request.stream if request.stream is not None else recipe.stream
    if stream is None:
        stream = (len(train) + len(val)) * 3 * recipe.resolution**2 > RESIDENT_BYTES
    _check_counts(request, classes, train.labels)
    if stream:
        return _streamed(request, classes, names, train, val, recipe, notes)
    check_memory(len(train) + len(val), 3, recipe.resolution)
    parts = []
    for pictures, scale in ((train, 1.0), (val, recipe.eval_scale)):
        images, kept = decode_all(
            pictures.paths, recipe.resolution, scale=scale, upright=recipe.upright, skip_corrupt=request.skip_corrupt
        )
        parts.append((images, pictures.labels[kept]))
    _check_counts(request, classes, parts[0][1])
    if not len(parts[1][1]):
        raise DataError(f"{request.name}: there are no readable validation images")
    spec = _spec(request, classes, names, recipe, parts[0][0])
    notes = (*notes, *_few(classes, *(labels for _, labels in parts)))
    return Dataset(spec, *(ResidentSplit(spec, *part) for part in parts), notes=notes)


def measure(pixels: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 [N, C, H, W] in units of [0, 1], rounded to four digits.

    A constant channel gets the standard deviation of one grey level, so that it can be divided by.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in range(pixels.shape[1]):
        share = torch.zeros(256, dtype=torch.float64)
        for chunk in torch.split(pixels[:, channel], 4096):
            share += chunk.flatten().bincount(minlength=256)
        share /= share.sum()
        centre = (share * levels).sum()
        mean.append(round(centre.item(), 4))
        std.append(max(round((share * (levels - centre) ** 2).sum().sqrt().item(), 4), round(1 / 255, 4)))
    return tuple(mean), tuple(std)


def _streamed(
    request: Request,
    classes: Sequence[str],
    names: Sequence[str],
    train: Pictures,
    val: Pictures,
    recipe: Recipe,
    notes: Sequence[str],
) -> Dataset:
    if not len(val):
        raise DataError(f"{request.name}: there are no validation images")
    sample = None
    if recipe.statistics is None:
        some = train[torch.linspace(0, len(train) - 1, min(len(train), _MEASURED)).long()]
        sample, _ = decode_all(some.paths, recipe.resolution, upright=recipe.upright, skip_corrupt=request.skip_corrupt)
    spec = _spec(request, classes, names, recipe, sample)

    def split(pictures: Pictures, scale: float = 1.0) -> Split:
        return StreamSplit(
            spec,
            pictures.paths,
            pictures.labels,
            eval_scale=scale,
            upright=recipe.upright,
            skip_corrupt=request.skip_corrupt,
            workers=request.workers,
        )

    notes = (*notes, *_few(classes, train.labels, val.labels))
    return Dataset(spec, split(train), split(val, recipe.eval_scale), notes=notes)


def _spec(
    request: Request, classes: Sequence[str], names: Sequence[str], recipe: Recipe, measured: Tensor | None
) -> DatasetSpec:
    statistics = recipe.statistics
    if statistics is None:
        assert measured is not None
        statistics = measure(measured)
    return DatasetSpec(request.name, tuple(classes), 3, recipe.resolution, *statistics, class_names=tuple(names))


def _check_counts(request: Request, classes: Sequence[str], labels: Tensor) -> None:
    counts = labels.bincount(minlength=len(classes))
    if empty := [classes[label] for label in (counts == 0).nonzero()[:, 0].tolist()]:
        raise DataError(f"{request.name}: no readable training images of class {', '.join(map(repr, empty))}")


def _few(classes: Sequence[str], train: Tensor, val: Tensor) -> list[str]:
    """Which classes are judged by no validation image, or learnt from one image only."""
    in_train, in_val = (labels.bincount(minlength=len(classes)) for labels in (train, val))
    unjudged, single = ([classes[label] for label in few.nonzero()[:, 0]] for few in (in_val == 0, in_train == 1))
    notes = []
    if unjudged:
        notes.append(
            f"no validation images of {len(unjudged)} of {len(classes)} classes ({listed(unjudged)}): "
            "the accuracy says nothing about them"
        )
    if single:
        notes.append(f"one training image only of {len(single)} of {len(classes)} classes ({listed(single)})")
    return notes
