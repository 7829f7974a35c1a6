"""One condensed image under the teacher's eyes: its crops, their soft labels, how far these agree, what they cost."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.codecs import build_codec
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels, views_of


@dataclass(frozen=True)
class Crops:
    """Views of one image in the first epochs of relabelling."""

    index: int
    """Id of the image."""
    box: Tensor
    """[N, 4] int64: top, left, height, width of each crop."""
    flip: Tensor
    """[N] bool: mirrored."""
    pixels: Tensor
    """[N, C, S, S] uint8: what the teacher saw."""
    logits: Tensor
    """[N, K] float32."""

    def __len__(self) -> int:
        return len(self.box)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several crops of one image as one."""
        names = ("box", "flip", "pixels", "logits")
        return cls(parts[0].index, *(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def soft(self, temperature: float) -> Tensor:
        """[N, K] soft labels: softmax of the logits over the temperature (Equation 8)."""
        return (self.logits / temperature).softmax(1)

    def top(self, count: int, temperature: float) -> list[list[tuple[int, float]]]:
        """For each crop the `count` likeliest classes with their shares."""
        found = self.soft(temperature).topk(min(count, self.logits.shape[1]))
        return [
            list(zip(i, v, strict=True)) for i, v in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def agreement(self, temperature: float) -> Tensor:
        """[N, N] mass that two crops' labels share: 1 where they are equal, 0 where they have nothing in common."""
        soft = self.soft(temperature)
        return torch.minimum(soft[:, None], soft).sum(2)

    def mean_agreement(self, temperature: float) -> float:
        """Over all pairs of different crops; 1 for a single crop."""
        pairs = len(self) * (len(self) - 1)
        return float((self.agreement(temperature).sum() - len(self)) / pairs) if pairs else 1.0

    def same_top(self) -> float:
        """Share of the crops whose likeliest class is the most frequent one; no temperature changes it."""
        return float(self.logits.argmax(1).bincount().max()) / len(self)


@dataclass(frozen=True)
class CodecCost:
    """What one codec costs for a whole label store, and what it loses on some rows."""

    codec: str
    bytes_per_label: int
    total: int
    """Bytes of labels for all images and epochs."""
    per_image: float
    """Bytes of labels over bytes of pixels of the condensed set."""
    lost: float
    """Mass of a soft label that decoding moved to other classes, mean over rows."""


class CropStudy:
    """Crops and labels of the images of a condensed set, as `relabel` makes them; uses a copy of the teacher."""

    def __init__(
        self, teacher: Teacher, condensed: CondensedSet, config: RelabelConfig, *, runtime: Runtime | None = None
    ) -> None:
        self.teacher = replace(teacher, net=copy.deepcopy(teacher.net))
        self.condensed, self.config, self.runtime = condensed, config, runtime or Runtime.auto()
        if config.teacher_mode == "batch":
            raise ConfigError("teacher_mode='batch' labels a whole batch at once: an image alone has no label there.")
        self._live = LiveLabels(self.teacher, condensed, config, runtime=self.runtime)

    def crops(self, index: int, count: int, *, first: int = 0) -> Crops:
        """The views of image `index` in `count` epochs from epoch `first` on, and the teacher's logits of them.

        Raises:
            ConfigError: for an image that is not there.
        """
        if not 0 <= index < len(self.condensed):
            raise ConfigError(f"there are images 0 to {len(self.condensed) - 1}, got {index}.")
        spec, ids = self.condensed.spec, torch.tensor([index])
        views = [self._live.views(epoch) for epoch in range(first, first + count)]
        images = torch.cat([views_of(spec, self.condensed.images, ids, view) for view in views])
        logits = self._live.logits(0, ids.expand(count), self.runtime.batch(images)).cpu()
        box, flip = torch.stack([v.box[index] for v in views]), torch.stack([v.flip[index] for v in views])
        return Crops(index, box, flip, spec.to_uint8(images), logits)

    def costs(
        self, logits: Tensor, temperature: float, options: dict[str, dict[str, Any]] | None = None
    ) -> list[CodecCost]:
        """Every codec of the catalogue that suits the number of classes, cheapest first.

        Args:
            logits: [N, K] some rows to measure the loss on.
            temperature: at which soft labels are compared.
            options: codec -> its options; `config.codec_options` for the codec of the config.
        """
        classes, rows = logits.shape[1], len(self.condensed) * self.config.epochs
        exact = (logits / temperature).softmax(1)
        given: dict[str, dict[str, Any]] = {self.config.codec: dict(self.config.codec_options), **(options or {})}
        found = []
        for name in catalogue("codecs"):
            try:
                codec = build_codec(name, **given.get(name, {}))
                size = codec.bytes_per_row(classes)
                decoded = codec.decode(codec.encode(logits), classes)
            except ConfigError:
                continue
            lost = float((exact - (decoded / temperature).softmax(1)).clamp_min(0).sum(1).mean())
            found.append(CodecCost(name, size, rows * size, rows * size / self.condensed.images.numel(), lost))
        return sorted(found, key=lambda cost: cost.bytes_per_label)


class CropLabelling:
    """Labels the crops of one image, one a step; after the last it knows what storing labels costs.

    Args:
        study: of the condensed set.
        image: id of the image.
        count: how many crops.
        temperature: at which codecs are compared.
        codec_options: codec -> its options.
    """

    def __init__(
        self,
        study: CropStudy,
        image: int,
        count: int,
        temperature: float,
        codec_options: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self._study, self._image, self._count = study, image, count
        self._temperature, self._codec_options = temperature, codec_options
        self._found: list[Crops] = []
        self.costs: list[CodecCost] = []
        """Of every codec, after the last crop."""

    def __iter__(self) -> Iterator[StepEvent]:
        """Label one crop after the other."""
        for number in range(self._count):
            self._found.append(self._study.crops(self._image, 1, first=number))
            if number + 1 == self._count:
                self.costs = self._study.costs(self.crops().logits, self._temperature, self._codec_options)
            yield StepEvent("relabel", number + 1, self._count)

    def crops(self) -> Crops:
        """Those labelled so far."""
        return Crops.joined(self._found)
