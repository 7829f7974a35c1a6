"""How much of everything a run will have, and what a single image costs on this machine: what a plan multiplies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import torch
from torch import nn

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.committee import members
from sre2l_core.data import DatasetSpec
from sre2l_core.data.imagenet import wnids
from sre2l_core.data.picture_sets import RESIDENT_BYTES
from sre2l_core.groups import Group
from sre2l_core.presets import Recipe
from sre2l_core.presets.recipe import CLASSES
from sre2l_core.runs.pipeline import load_data, untrained
from sre2l_core.runtime import Runtime, memory_of_passes, wait_for
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.recover import Recovery
from sre2l_core.stages.rows import rows_of_a_network
from sre2l_core.stages.students import CondensedLesson
from sre2l_core.stages.training import Trainer

PICTURES = {
    "cifar10": (50_000, 10_000, 32),
    "cifar100": (50_000, 10_000, 32),
    "imagenette": (9_469, 3_925, 224),
    "tiny-imagenet": (100_000, 10_000, 64),
    "imagenet-1k": (1_281_167, 50_000, 224),
}
"""Training and validation pictures, and the resolution, of datasets that need not be here to be planned with."""


@dataclass(frozen=True)
class Scale:
    """How much of everything there will be."""

    recipe: Recipe
    spec: DatasetSpec
    train: int
    """Real pictures to learn from."""
    val: int
    """Real pictures that judge."""

    @classmethod
    def of(cls, recipe: Recipe) -> Scale:
        """What a recipe asks for; data that always has as many pictures is not looked for."""
        if recipe.data.data not in PICTURES:
            data = load_data(recipe.data)
            return cls(recipe, data.spec, len(data.train), len(data.val))
        train, val, resolution = PICTURES[recipe.data.data]
        whole, wanted = CLASSES[recipe.data.data], recipe.num_classes or CLASSES[recipe.data.data]
        ids = wnids() if whole == len(wnids()) else tuple(map(str, range(whole)))
        classes = recipe.data.classes or ids[:wanted]
        spec = DatasetSpec(recipe.data.data, classes, 3, recipe.data.resolution or resolution, (0.5,) * 3, (0.25,) * 3)
        share = len(classes) / whole
        if only := recipe.recover.only_classes:  # any will do, but they must be known
            recipe = recipe.but(recover={"only_classes": classes[: len(only)]})
        return cls(recipe, spec, ceil(train * share), ceil(val * share))

    @property
    def images(self) -> int:
        """Condensed ones."""
        config = self.recipe.recover
        return len(config.only_classes or self.spec.classes) * config.ipc

    @property
    def image_bytes(self) -> int:
        """Of the pixels of one image in memory."""
        return self.spec.channels * self.spec.resolution**2

    @property
    def resident(self) -> int:
        """Bytes of real pictures that are kept in memory, where they are few."""
        size = (self.train + self.val) * self.image_bytes
        return size if size <= RESIDENT_BYTES else 0

    @property
    def students(self) -> int:
        """To train of each network, over all rows and seeds."""
        return rows_of_a_network(self.recipe.validate) * self.recipe.validate.seeds


class Measurements:
    """Seconds and bytes of single images, on as many of them as the device sees at once."""

    def __init__(self, scale: Scale, runtime: Runtime, seconds: float) -> None:
        self.scale, self.runtime, self._least = scale, runtime, seconds

    def teacher(self) -> Teacher:
        """A network that knows nothing."""
        return untrained(self.scale.recipe.squeeze, self.scale.spec)

    def few(self, most: int) -> int:
        """How many images a measurement looks at."""
        return self.runtime.images_per_pass(most, self.scale.spec.resolution**2)

    def images(self, most: int) -> CondensedSet:
        """So many images of noise."""
        spec, count = self.scale.spec, self.few(most)
        noise = torch.randint(0, 256, (count, spec.channels, *spec.size), generator=torch.Generator().manual_seed(0))
        return CondensedSet(noise.to(torch.uint8), torch.arange(count) % spec.num_classes, spec)

    def looking(self, net: nn.Module) -> float:
        """Seconds for an image without gradients."""
        images = self.scale.spec.normalize(self.images(self.scale.val).images)
        placed = self.runtime.place(net).eval()
        return self._seconds(lambda: self.runtime.logits(placed, images.to(self.runtime.device))) / len(images)

    def learning(self, net: nn.Module, batch: int) -> tuple[float, int]:
        """Seconds of a training step for an image, and the bytes of a step on `batch` images, weights and all."""
        images = self.scale.spec.normalize(self.images(batch).images).to(self.runtime.device)
        trainer = Trainer(net, self.scale.recipe.validate.but(micro_batch=None), self.runtime)

        def step() -> None:
            trainer.step(images, lambda logits, rows: logits.logsumexp(1).mean(), 0.0)

        each = self._seconds(step) / len(images)
        with memory_of_passes(net, self.runtime.device) as taken:
            step()
        return each, 4 * weight_bytes(net) + taken() * batch // len(images)  # gradients, momentum, a copy to be saved

    def labelling(self, teacher: Teacher | None, batch: int) -> float:
        """Seconds to render a view of an image and, if there is a teacher, to label it."""
        few, config = self.images(batch), self.scale.recipe.validate.but(batch_size=batch)
        views = self.scale.recipe.relabel.but(vote="equal")  # nobody knows how right they are
        source = LiveLabels(teacher or self.teacher(), few, views, runtime=self.runtime)
        lesson = CondensedLesson("noise", few, source, soft=teacher is not None)
        return self._seconds(lambda: list(lesson.batches(0, config, 0, self.runtime))) / len(few)

    def recovering(self, teacher: Teacher, count: int) -> tuple[float, int, Recovery]:
        """Seconds of a step for an image, the bytes of a step on `count` images, and the recovery."""
        few = range(self.few(count))
        group = Group(0, tuple(number % self.scale.spec.num_classes for number in few), tuple(few))
        # A start from real images costs as much a step as one from noise; the data need not be here.
        settings = self.scale.recipe.recover.but(
            init="noise", steps=10**6, lr=1e-6, snapshot_every=None, only_classes=None, vote="equal"
        )
        recovery = Recovery(teacher, [group], settings, runtime=self.runtime)
        turns = len(members(teacher))  # a step of each
        each = self._seconds(lambda: [recovery.step() for _ in range(turns)]) / turns / len(few)
        with memory_of_passes(recovery.net, self.runtime.device) as taken:
            recovery.step()
        return each, weight_bytes(recovery.net) + taken() * count // len(few), recovery

    def _seconds(self, call: Callable[[], object]) -> float:
        """Of the fastest of several calls, after one that is not counted: others may use this machine too."""
        begun, fastest = time.perf_counter(), float("inf")
        call()
        wait_for(self.runtime.device)
        while fastest == float("inf") or time.perf_counter() - begun < self._least:
            started = time.perf_counter()
            call()
            wait_for(self.runtime.device)
            fastest = min(fastest, time.perf_counter() - started)
        return fastest


def weight_bytes(net: nn.Module) -> int:
    """Of everything that a network keeps."""
    return sum(tensor.nbytes for tensor in net.state_dict().values())
