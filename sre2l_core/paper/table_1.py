"""Table 1: what an iteration costs, SRe2L's beside those of DM and MTT."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sre2l_core import presets
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.data import Dataset, DatasetSpec, ResidentSplit
from sre2l_core.groups import plan
from sre2l_core.losses import hard_targets
from sre2l_core.paper.entry import Budget, Cell, Claim, Entry, Measured, number
from sre2l_core.presets import Recipe, repeated
from sre2l_core.runtime import Runtime, memory_of_passes, wait_for
from sre2l_core.stages.recover import Recovery
from sre2l_core.starts.dm import Matching
from sre2l_core.studies.trajectories import trajectory_step

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sre2l_core.events import Listener
    from sre2l_core.runs.store import Store

Step = tuple[Callable[[], object], nn.Module]
"""An iteration on an image of each class, and the network whose own weights do not count."""
PIXELS = 64
REAL_IMAGES, WIDTH, INNER_STEPS = 256, 128, 20
"""DM's real images of a class and channels; MTT's steps of the student, of the order of its settings."""


def sre2l(network: str, spec: DatasetSpec, recipe: Recipe, runtime: Runtime) -> Step:
    """Equation 5 on an image of each class; weights are random, which costs the same."""
    teacher = Teacher(empty_network(network, spec, {}), spec, network)
    config = recipe.recover.but(ipc=1, group_size=spec.num_classes, steps=1000)
    return Recovery(teacher, plan(config, spec)[:1], config, runtime=runtime).step, teacher.net


def dm(spec: DatasetSpec, recipe: Recipe, runtime: Runtime) -> Step:
    """An iteration of `Matching` with the paper's numbers of channels and of real images."""
    labels = torch.arange(spec.num_classes).repeat_interleave(REAL_IMAGES)
    data = Dataset(spec, *(ResidentSplit(spec, _pixels(spec, len(part)), part) for part in (labels, labels[:1])))
    wanted = tuple(range(spec.num_classes))
    matching = Matching(data, wanted, 1, recipe.recover.seed, runtime, width=WIDTH, real=REAL_IMAGES)
    return matching.step, nn.Identity()


def mtt(spec: DatasetSpec, recipe: Recipe, runtime: Runtime) -> Step:
    """A step along a trajectory with the whole set as its batch."""
    net = runtime.place(empty_network("convnet4", spec, {}))
    labels = torch.arange(spec.num_classes)
    targets = hard_targets(labels, labels, torch.ones(len(labels)), spec.num_classes).to(runtime.device)
    images = spec.normalize(_pixels(spec, len(labels))).to(runtime.device).requires_grad_()
    return partial(trajectory_step, net, images, targets, steps=INNER_STEPS, runtime=runtime), net


METHODS: dict[str, Callable[[DatasetSpec, Recipe, Runtime], Step]] = {
    "DM, ConvNet-4": dm,
    "MTT, ConvNet-4": mtt,
    "SRe2L, ConvNet-4": partial(sre2l, "convnet4"),
    "SRe2L, ResNet-18": partial(sre2l, "resnet18"),
    "SRe2L, ResNet-50": partial(sre2l, "resnet50"),
}
NUMBERS = {
    "DM, ConvNet-4": (18.11, 10.7),
    "MTT, ConvNet-4": (12.64, 48.9),
    "SRe2L, ConvNet-4": (0.24, 4.2),
    "SRe2L, ResNet-18": (0.75, 7.6),
    "SRe2L, ResNet-50": (2.75, 33.8),
}
COLUMNS = ("time (ms)", "memory (GB)")


@dataclass(frozen=True)
class Cost(Measured):
    """Milliseconds an image and iteration, or gigabytes an iteration holds at once."""

    def take(
        self, store: Store, recipe: Recipe, *, runtime: Runtime | None, executor: Executor | None, on_step: Listener
    ) -> float:
        """The second iteration: the first one also sets things up."""
        runtime, count = runtime or Runtime.auto(), recipe.num_classes or 0
        spec = DatasetSpec("random", tuple(map(str, range(count))), 3, PIXELS, (0.5,) * 3, (0.25,) * 3)
        step, net = METHODS[self.row](spec, recipe, runtime)
        step()
        if self.column.startswith("memory"):
            with memory_of_passes(net, runtime.device) as taken:
                step()
            return taken() / 1e9
        wait_for(runtime.device)
        begin = time.perf_counter()
        step()
        wait_for(runtime.device)
        return 1000 * (time.perf_counter() - begin) / count


def cells(recipe: Recipe, columns: tuple[str, ...]) -> tuple[Cell, ...]:
    """Three measurements of each method; all methods take their turn before the next column."""
    return tuple(Cost(row, column, repeated(recipe, times=3)) for column in columns for row in METHODS)


def _pixels(spec: DatasetSpec, count: int) -> Tensor:
    shape = (count, spec.channels, *spec.size)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


tiny = presets.get("table-3/tiny-imagenet/resnet18/1k").but(recover={"ipc": 1})
WHAT = "random images of 64 pixels, one of each class in an iteration; DM with {} real ones of each, MTT with {} steps."

table_1 = Entry(
    name="table-1",
    title="Table 1: time and memory of an iteration",
    rows_are="method",
    columns=COLUMNS,
    numbers=NUMBERS,
    claims=(
        Claim("MTT takes longer than SRe2L.", "MTT, ConvNet-4", "SRe2L, ConvNet-4", where="time"),
        Claim("DM takes longer than SRe2L.", "DM, ConvNet-4", "SRe2L, ConvNet-4", where="time"),
        Claim("MTT holds more than SRe2L.", "MTT, ConvNet-4", "SRe2L, ConvNet-4", where="memory"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 6 minutes on 2 CPU cores.",
            note="Memory is what is kept for the backward pass, which on a CPU is all that can be counted.",
            cells=cells(
                tiny.but(data={"num_classes": 10}), ("time (ms), CPU, 10 images", "memory (GB), CPU, 10 images")
            ),
            said=(f"10 {WHAT.format(REAL_IMAGES, INNER_STEPS)}",),
        ),
        "gpu": Budget(
            cost="Minutes.",
            note="The authors' GPU is an RTX 4090.",
            cells=cells(tiny, COLUMNS),
            said=(f"200 {WHAT.format(REAL_IMAGES, INNER_STEPS)}",),
        ),
    },
    measure=number,
    unit="ms for each image, GB",
)

PLUGINS = {"table-1": table_1}
