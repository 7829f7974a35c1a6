"""Axis 4: what recovery begins with. `ls` is the catalogue; a start that takes no steps is a baseline.

A file offers a `Start` in `PLUGINS`; `RecoverConfig.init` and `ValidateConfig.against` look it up by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ConfigError
from sre2l_core.groups import Group
from sre2l_core.registry import lookup
from sre2l_core.runtime import Runtime
from sre2l_core.views import check_divides, resized_to

Make = Callable[[Teacher, RecoverConfig, Group, Dataset, Runtime], Tensor]


@dataclass(frozen=True)
class Start:
    """Makes the first pixels of a group.

    Called with teacher, config, group, data and runtime, it returns [G, C, H, W] float32 pixels in normalised space on
    the CPU, image by image a function of (seed, class, image index), so that groups stay independent of one another.
    """

    title: str
    """What a table calls these images, such as `random real`."""
    make: Make
    needs_data: bool = True
    """Whether it looks at real images; what does not keeps recovery free of them."""
    needs_teacher: bool = False
    """Whether more than the data's own description is needed."""

    def __call__(
        self, teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset | None, runtime: Runtime
    ) -> Tensor:
        """The pixels; raises `ConfigError` without the data it needs, `DataError` for data that does not fit."""
        if self.needs_data:
            teacher.spec.check_fits(require(data, config.init).spec)
        return self.make(teacher, config, group, data, runtime)  # type: ignore[arg-type]


def first_pixels(
    teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset | None, runtime: Runtime
) -> Tensor:
    """[G, C, H, W] what a group begins with; where images hold f x f smaller ones, so many of the start's (IDC).

    Smaller image p of image i of a class is image i f² + p of the start, and is shrunk to its part.
    """
    start, side = find(config.init), config.formation
    if side == 1 or not start.needs_data:
        return start(teacher, config, group, data, runtime)
    check_divides("formation", side, teacher.spec.size)
    # Made without another check: so many images of a class may be more than a set can have.
    more = config.model_copy(update={"ipc": config.ipc * side**2})
    size = teacher.spec.resolution // side
    small = [resized_to(start(teacher, more, part, data, runtime), size) for part in _parts(group, side**2)]
    parts = torch.stack(small).unflatten(0, (-1, side, side))  # [blocks, side, side, classes, C, h, w]
    whole: Tensor = parts.permute(0, 3, 4, 1, 5, 2, 6).flatten(5, 6).flatten(3, 4).flatten(0, 1)
    return whole


def _parts(group: Group, count: int) -> Iterator[Group]:
    """Of each image of a class in turn the groups of its `count` smaller ones."""
    classes = len(set(group.labels))
    for first in range(0, len(group), classes):
        block, index = slice(first, first + classes), group.image_indices[first]
        for part in range(count):
            ids = tuple(image * count + part for image in group.ids[block])
            yield Group(index * count + part, group.labels[block], ids)


def find(name: str) -> Start:
    """The start called `name`; raises `ConfigError` naming the nearest known one."""
    found: Start = lookup("starts", "start", name)
    return found


def require(data: Dataset | None, name: str) -> Dataset:
    """The data, or `ConfigError` where the start `name` was given none."""
    if data is None:
        raise ConfigError(f"init={name!r} needs the real data: give it (--data), or use init='noise'.")
    return data


def baseline(
    name: str,
    data: Dataset,
    *,
    ipc: int,
    labels: tuple[int, ...],
    seed: int,
    teacher: Teacher | None = None,
    runtime: Runtime | None = None,
) -> CondensedSet:
    """What a start makes, untouched: a set of `ipc` images of each class index in `labels`, class by class.

    Args:
        name: of a start.
        data: real data; a class with fewer than `ipc` training images gives all of them.
        ipc: images per class.
        labels: class indices.
        seed: fixes the choice.
        teacher: for starts that ask one.
        runtime: where it is asked.
    """
    start, spec = find(name), data.spec
    if teacher is None and start.needs_teacher:
        raise ConfigError(f"the start {name!r} needs a teacher: give it, or take another baseline.")
    asked = teacher or Teacher(torch.nn.Identity(), spec, "none")
    classes = tuple(spec.classes[label] for label in labels)
    config = RecoverConfig(init=name, ipc=ipc, steps=0, seed=seed, only_classes=classes)
    make = partial(start, asked, config, data=data, runtime=runtime or Runtime.auto())
    counts = [min(ipc, len(data.train_rows[label])) if start.needs_data else ipc for label in labels]
    images = torch.empty(sum(counts), spec.channels, *spec.size, dtype=torch.uint8)
    begin = 0
    for label, count in zip(labels, counts, strict=True):
        ids = range(begin, begin + count)
        images[begin : begin + count] = spec.to_uint8(make(Group(0, (label,) * count, tuple(ids))))
        begin += count
    origin = {"method": f"{start.title} images", "dataset": spec.name, "seed": seed}
    return CondensedSet(images, torch.tensor(labels).repeat_interleave(torch.tensor(counts)), spec, origin)


def wanted_labels(spec: DatasetSpec, config: RecoverConfig) -> tuple[int, ...]:
    """The labels of the classes that images are wanted of, ascending."""
    chosen = config.only_classes or spec.classes
    return tuple(label for label, name in enumerate(spec.classes) if name in chosen)


def in_order(data: Dataset, group: Group, orders: Mapping[int, Tensor]) -> Tensor:
    """[G, C, H, W] float32 normalised: image i of a class is the i-th of its rows, `orders`: label -> [n] int64.

    After the last the first comes again.
    """
    wanted = zip(group.labels, group.image_indices, strict=True)
    rows = torch.stack([orders[label][index % len(orders[label])] for label, index in wanted])
    return data.spec.normalize(data.train.take(rows))


def class_rows(data: Dataset, label: int, places: Tensor, seed: int) -> Tensor:
    """Rows at `places` of a class's images in a random order fixed by `seed`; after the last the first comes again."""
    rows = data.train_rows[label]
    order = torch.randperm(len(rows), generator=generator(seed, label))
    return rows[order[places % len(rows)]]


def generator(seed: int, stream: int) -> torch.Generator:
    """A CPU generator for one stream of random numbers under a seed."""
    return torch.Generator().manual_seed((seed * 1_000_003 + stream) % 2**63)
