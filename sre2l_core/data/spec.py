"""What a dataset is: its classes in order, its shape, and the only place that converts pixels to normalised values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import zip_longest
from typing import Annotated, Any, Self

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from sre2l_core.errors import DataError, came, plain
from sre2l_core.settings import check_fields


@dataclass(frozen=True)
class DatasetSpec:
    """Classes, shape and statistics of a dataset; saved with every artifact made from it.

    Pixels are uint8 in [0, 255] or floats in [0, 1]; images are normalised floats, `(pixel - mean) / std` per channel.
    """

    name: str
    """Name in the catalogue."""
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Class ids (folder names, wnids, …): the id at position i belongs to label i."""
    channels: PositiveInt
    """1 (grey) or 3 (RGB)."""
    resolution: Annotated[int, Field(ge=1, le=4096)]
    """Height and width in pixels."""
    mean: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """Mean per channel of pixels in [0, 1]."""
    std: tuple[Annotated[float, Field(ge=1e-4, le=1)], ...]
    """Standard deviation per channel of pixels in [0, 1]."""
    class_names: tuple[str, ...] = ()
    """Readable names in the order of `classes`; the ids where a dataset has none."""

    def __post_init__(self) -> None:
        check_fields(self, DataError, owner=plain(str(self.name)))
        if not self.class_names:
            object.__setattr__(self, "class_names", self.classes)
        if len(self.class_names) != len(self.classes) or len(set(self.classes)) != len(self.classes):
            raise DataError(f"{plain(self.name)}: every class needs an id of its own and one readable name")
        if not len(self.mean) == len(self.std) == self.channels:
            raise DataError(
                f"{plain(self.name)}: {self.channels} channels need as many means and standard deviations "
                f"(got {len(self.mean)} and {len(self.std)})"
            )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @cached_property
    def short_names(self) -> tuple[str, ...]:
        """Readable names up to the first comma, no two alike: where two would be, the id tells them apart."""
        short = [name.split(",")[0].strip() or name for name in self.class_names]
        count, pairs = Counter(short), zip(short, self.classes, strict=True)
        names = tuple(name if count[name] == 1 else f"{name} ({one})" for name, one in pairs)
        return names if len(set(names)) == len(names) else self.classes

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.resolution, self.resolution

    @property
    def black(self) -> Tensor:
        """[C] float32 normalised value of a black pixel: what padding outside an image is filled with."""
        return -torch.tensor(self.mean) / torch.tensor(self.std)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Pixels [..., C, H, W], uint8 in [0, 255] or float in [0, 1] -> float32 normalised images.

        Raises:
            DataError: if channels or dtype do not fit.
        """
        if pixels.dtype != torch.uint8 and not pixels.is_floating_point():
            raise DataError(f"{self.name}: pixels must be uint8 or float (got {pixels.dtype})")
        unit = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
        mean, std = self._statistics(unit)
        return (unit - mean) / std

    def denormalize(self, images: Tensor) -> Tensor:
        """Normalised images [..., C, H, W] -> float pixels; [0, 1] is the visible range, nothing is clamped."""
        mean, std = self._statistics(images)
        return images * std + mean

    def to_uint8(self, images: Tensor) -> Tensor:
        """Normalised images [..., C, H, W] -> uint8 pixels, clamped and rounded (the reference truncates)."""
        return self.denormalize(images.detach().float()).clamp_(0, 1).mul_(255).round_().to(torch.uint8)

    def bounds(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Normalised values of black and white, each [C, 1, 1] float32: what an optimised image is clamped to."""
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        low, high = (((value - mean) / std)[:, None, None].to(device) for value in (0, 1))
        return low, high

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            DataError: if a field is missing, unknown or of another type.
        """
        if not isinstance(values, Mapping):
            raise DataError(f"expected the description of a dataset (got {came(values)})")
        if wrong := {field.name for field in fields(cls)} ^ set(values):
            raise DataError(f"dataset description has missing or unknown fields: {', '.join(map(came, sorted(wrong)))}")
        fitting: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**fitting)

    def check_same_classes(self, other: DatasetSpec) -> None:
        """Refuse to use labels of one dataset on another whose index -> id map differs.

        Raises:
            DataError: showing the first index where the maps differ.
        """
        for index, (mine, theirs) in enumerate(zip_longest(self.classes, other.classes)):
            if mine != theirs:
                raise DataError(
                    f"classes differ: index {index} is {_shown(mine)} in {self.name!r} ({self.num_classes} classes) "
                    f"and {_shown(theirs)} in {other.name!r} ({other.num_classes} classes). "
                    "Load both with the same classes; a teacher's outputs mean nothing under another order."
                )

    def check_fits(self, other: DatasetSpec) -> None:
        """Refuse another class map, and images normalised or shaped in another way.

        Raises:
            DataError: naming what differs.
        """
        self.check_same_classes(other)
        for name in ("channels", "resolution", "mean", "std"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise DataError(
                    f"{name} differs: {mine} in {self.name!r}, {theirs} in {other.name!r}. "
                    "Load the data as the network saw it (--resolution), or squeeze it anew."
                )

    def _statistics(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if images.ndim < 3 or images.shape[-3] != self.channels:
            raise DataError(f"{self.name}: expected [..., {self.channels}, H, W] (got {list(images.shape)})")
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (self.mean, self.std))
        return mean.to(images), std.to(images)


def _shown(identifier: str | None) -> str:
    return "missing" if identifier is None else repr(identifier)
