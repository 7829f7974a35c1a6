"""A run looked at closely: its images, the curves of their recovery, what each BatchNorm layer makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from sre2l_core.artifacts import StoredImages, Teacher
from sre2l_core.bn_stats import bn_statistics, layer_distances
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ArtifactError
from sre2l_core.runs.parts import Part, Run
from sre2l_core.runs.report import read_log
from sre2l_core.runtime import Runtime

IMAGES = 200
"""Of a run that are read: a hundred classes twice."""


@dataclass(frozen=True)
class Opened:
    """What is there of a run."""

    run: Run
    pixels: Tensor | None = None
    """[N, C, H, W] uint8: the first images; None where there are none."""
    labels: Sequence[int] = ()
    """Of these images."""
    spec: DatasetSpec | None = None
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Metric of recovery -> (step, value); empty where it was not logged."""
    distances: Sequence[float] = ()
    """BatchNorm mismatch by layer of these images, Equation 7's summands; empty without teacher or images."""
    notes: Sequence[str] = ()
    """What is not there, and why."""


def opened(run: Run, others: Iterable[Run] = (), *, runtime: Runtime | None = None) -> Opened:
    """Read what there is of a run; what is missing or damaged is noted, and costs nothing else.

    Args:
        run: finished or not.
        others: runs that may share its images, and may have logged their recovery.
        runtime: device and precision.
    """
    parts = {part.kind: part for part in run.parts}
    notes: list[str] = []
    pixels, labels, spec = None, list[int](), None
    if "condensed" in parts:
        try:
            stored = StoredImages.open(parts["condensed"].folder)
            pixels = torch.stack(list(islice(stored, IMAGES)))
            labels, spec = list(stored.labels[: len(pixels)]), stored.spec
        except ArtifactError as error:
            notes.append(f"no images: {_why(parts['condensed'], error)}")
    distances: list[float] = []
    if pixels is not None and "teacher" in parts:
        try:
            distances = mismatch(Teacher.load(parts["teacher"].folder), pixels, runtime=runtime)
        except ArtifactError as error:
            notes.append(f"no BatchNorm bars: {_why(parts['teacher'], error)}")
    curves: Mapping[str, Sequence[tuple[int, float]]] = {}
    for one in (run, *others):
        if not curves and parts.get("condensed") in one.parts:
            logs = [path for path in one.files if path.suffix == ".csv"]
            curves = next((found for path in logs if (found := read_log(path, "recover"))), {})
    return Opened(run, pixels, labels, spec, curves, distances, notes)


def mismatch(teacher: Teacher, pixels: Tensor, *, runtime: Runtime | None = None) -> list[float]:
    """How far each BatchNorm layer's statistics of whole images are from those it remembers.

    Args:
        teacher: a classifier; without BatchNorm there is nothing.
        pixels: [N, C, H, W] uint8.
        runtime: device and precision.
    """
    runtime = runtime or Runtime.auto()
    net = runtime.place(teacher.net)
    with torch.no_grad(), bn_statistics(net) as stats:
        runtime.forward(net, teacher.spec.normalize(pixels).to(runtime.device))
    return [float(one) for one in layer_distances(stats)[:, 0]] if stats.layers else []


def _why(part: Part, error: ArtifactError) -> str:
    return str(error) if part.there else f"{part.name} is not there (deleted, or not made yet)"
