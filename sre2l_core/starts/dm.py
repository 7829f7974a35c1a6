"""DM, distribution matching (Zhao and Bilen, WACV 2023): images whose mean embedding is that of the real ones.

The embeddings are those of a ConvNet with random weights, a new one in every iteration.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite

import torch
from torch import Tensor, nn

from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.backbones.convnet import ConvNet
from sre2l_core.bn_stats import batchnorms
from sre2l_core.config import RecoverConfig, ViewConfig
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import DivergenceError
from sre2l_core.groups import Group
from sre2l_core.runtime import Runtime
from sre2l_core.starts import Start, class_rows, generator, wanted_labels
from sre2l_core.views import apply, draw

ITERATIONS = 100
"""The paper's 20,000 take hours: `match(..., iterations=20_000)`."""
WIDTH, REAL_IMAGES = 32, 32
"""Channels of the network, and real images of a class in an iteration: 128 and 256 in the paper."""
LR, MOMENTUM = 0.1, 0.5
"""Of SGD on normalised pixels: the rate for each image of a class, so 1 for ten of them, as in the paper.

An image counts the less the more there are: with one and the same rate a single one would be thrown far out.
"""
STREAM = 2**40
"""Before the numbers of iterations: no class has so high a label."""
SIAMESE = ViewConfig(crop="resized", crop_scale=(0.6, 1.0), flip=0.5)
"""Differentiable augmentation (DSA, ICML 2021): its crop, scale and flip; colours, cutout, rotation are left out."""


def dm(teacher: Teacher, config: RecoverConfig, group: Group, data: Dataset, runtime: Runtime) -> Tensor:
    """Image i of a class is the i-th of the `config.ipc` that are matched together; the teacher is not asked."""
    made = _all(data, wanted_labels(data.spec, config), config.ipc, config.seed, ITERATIONS, runtime)
    chosen = zip(group.labels, group.image_indices, strict=True)
    return data.spec.normalize(torch.stack([made[label][index % len(made[label])] for label, index in chosen]))


class Matching:
    """Optimises `images`, label -> [n, C, H, W] normalised; an iteration at a time.

    In each a ConvNet ψ and a view A are drawn, and Σ_c ‖mean ψ(A(real of c)) - mean ψ(A(images of c))‖² is lowered, as
    in Equation 5 of the paper; both sides see the same view. BatchNorm would take out of each side's mean what is to be
    matched if each had statistics of its own: both have those of one batch of real images of all classes.

    Args:
        data: real data.
        labels: class indices.
        ipc: images of each class; they start as real ones, in a class with fewer as many as there are.
        seed: fixes images, networks and views.
        runtime: device and precision.
        width: channels of the network.
        real: real images of each class in an iteration.
    """

    def __init__(
        self,
        data: Dataset,
        labels: tuple[int, ...],
        ipc: int,
        seed: int,
        runtime: Runtime,
        *,
        width: int = WIDTH,
        real: int = REAL_IMAGES,
    ) -> None:
        self._data, self._seed, self._runtime, self._width, self._real = data, seed, runtime, width, real
        self.images: dict[int, Tensor] = {}
        for label in labels:
            first = class_rows(data, label, torch.arange(min(ipc, len(data.train_rows[label]))), seed)
            self.images[label] = self._pixels(first).to(runtime.device).requires_grad_()
        self._optimizer = torch.optim.SGD([*self.images.values()], lr=LR * ipc, momentum=MOMENTUM)
        self.iteration = 0

    def step(self) -> float:
        """One iteration; what it lowered, before it did."""
        random = generator(self._seed, STREAM + self.iteration)
        real = {label: self._drawn(label, random) for label in self.images}
        net = random_convnet(self._data.spec, self._width, int(torch.randint(2**62, (), generator=random)))
        net = self._runtime.place(net)
        few = max(2, 256 // len(real))
        self._settle(net, self._pixels(torch.cat([rows[:few] for rows in real.values()])))
        self._optimizer.zero_grad()
        # Class by class: they share no pixel, and a batch of all of them would not fit.
        loss = sum(self._distance(net, self._pixels(real[label]), made) for label, made in self.images.items())
        self._optimizer.step()
        self.iteration += 1
        return loss

    def _drawn(self, label: int, random: torch.Generator) -> Tensor:
        rows = self._data.train_rows[label]
        return rows[torch.randperm(len(rows), generator=random)[: self._real]]

    def _pixels(self, rows: Tensor) -> Tensor:
        return self._data.spec.normalize(self._data.train.take(rows))

    def _seen(self, images: Tensor) -> Tensor:
        one = torch.zeros(1, dtype=torch.int64)  # one view for all images
        params = draw(SIAMESE, seed=self._seed, epoch=self.iteration, ids=one, size=self._data.spec.size)
        return apply(images.to(self._runtime.device), params, size=self._data.spec.resolution)

    @torch.no_grad()
    def _settle(self, net: nn.Module, images: Tensor) -> None:
        """The network's BatchNorm keeps the statistics of these images."""
        for layer in batchnorms(net):
            layer.momentum = 1.0
        self._runtime.forward(net.train(), self._seen(images))
        net.eval()

    def _distance(self, net: nn.Module, real: Tensor, made: Tensor) -> float:
        with torch.no_grad():
            target = self._runtime.forward(net, self._seen(real)).float().mean(0)
        loss = (self._runtime.forward(net, self._seen(made)).float().mean(0) - target).square().sum()
        loss.backward()
        return float(loss.detach())


def match(
    data: Dataset, labels: tuple[int, ...], *, ipc: int, seed: int, iterations: int, runtime: Runtime
) -> dict[int, Tensor]:
    """Label -> [n, C, H, W] uint8 pixels after so many iterations; see `Matching`."""
    matching = Matching(data, labels, ipc, seed, runtime)
    for _ in range(iterations):
        loss = matching.step()
        if not isfinite(loss):
            raise DivergenceError(f"dm: what is matched became {loss} in iteration {matching.iteration}.")
    return {label: data.spec.to_uint8(images).cpu() for label, images in matching.images.items()}


def random_convnet(spec: DatasetSpec, width: int, seed: int) -> nn.Module:
    """[B, C, H, W] -> [B, D]: a ConvNet without its last layer, as deep as leaves 4 x 4 positions, frozen."""
    depth = max(1, spec.resolution.bit_length() - 3)
    net = empty_network("convnet", spec, {"depth": depth, "width": width}, seed)
    assert isinstance(net, ConvNet)
    return nn.Sequential(net.features, nn.Flatten()).requires_grad_(False)


@lru_cache(maxsize=4)  # a set is made class by class, and for students with hard and with soft labels
def _all(
    data: Dataset, labels: tuple[int, ...], ipc: int, seed: int, iterations: int, runtime: Runtime
) -> dict[int, Tensor]:
    return match(data, labels, ipc=ipc, seed=seed, iterations=iterations, runtime=runtime)


PLUGINS = {"dm": Start(f"DM, {ITERATIONS} iterations", dm)}
