"""Axis 4: how soft labels are stored. `ls` is the catalogue.

At temperature 20 the softmax is nearly uniform and the student's loss is close to a squared error on centred logits:
small errors on all logits cost little.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sre2l_core.config import Config
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.registry import lookup

FP16_MAX = 65504.0


class Codec(Config, ABC):
    """A way to store rows of logits; its fields are its options, so it is immutable and can be written as JSON.

    A subclass says what its tensors hold and how large they are; checks stand here, once.
    """

    name: ClassVar[str]
    lossy: ClassVar[bool] = True
    """Whether more is lost than in half precision: labels that are compared with its own then go through it too."""

    @property
    def options(self) -> dict[str, Any]:
        """Plain values from which `build_codec(codec.name, **codec.options)` makes an equal codec."""
        return self.model_dump(mode="json")

    def encode(self, logits: Tensor) -> dict[str, Tensor]:
        """Tensors to be stored.

        Args:
            logits: `[N, C]`, any floating type; computed with in float32.

        Returns:
            Tensors by name, on the same device, each with leading dimension N: their rows i are row i of the logits.

        Raises:
            ArtifactError: not a matrix, or with a value that is not finite or cannot be stored.
            ConfigError: options that do not suit the number of classes.
        """
        if logits.ndim != 2:
            raise ArtifactError(f"{self.name}: logits must be [N, C], got shape {list(logits.shape)}.")
        self._check_classes(logits.shape[1])
        rows = logits.detach().float()
        bad = ~rows.isfinite()
        if bad.any():
            raise ArtifactError(
                f"{self.name}: logits hold {int(bad.sum())} values that are not finite (NaN or infinite), first in row "
                f"{int(bad.any(dim=1).nonzero()[0, 0])}. Check the teacher and its input, or relabel in fp32."
            )
        return self._encode(rows)

    def decode(self, parts: Mapping[str, Tensor], num_classes: int) -> Tensor:
        """Logits `[N, num_classes]` in float32 from what `encode` returned, or from the same rows of all its tensors.

        Raises:
            ArtifactError: a tensor is missing or has another shape than this codec writes.
            ConfigError: options that do not suit the number of classes.
        """
        self._check_classes(num_classes)
        widths = self._widths(num_classes)
        if parts.keys() != widths.keys():
            raise ArtifactError(f"{self.name}: labels consist of {sorted(widths)}, got {sorted(parts)}. Relabel.")
        count = len(next(iter(parts.values())))
        for part, width in widths.items():
            expected = (count,) if width is None else (count, width)
            if tuple(parts[part].shape) != expected:
                raise ArtifactError(
                    f"{self.name}: {part!r} must have shape {list(expected)} for {num_classes} classes, got "
                    f"{list(parts[part].shape)}. Use the codec options and classes the labels were written with."
                )
        return self._decode(parts, num_classes)

    @abstractmethod
    def bytes_per_row(self, num_classes: int) -> int:
        """Size of one stored row in bytes."""

    @abstractmethod
    def error_bound(self, logits: Tensor) -> Tensor:
        """Largest error `[N]` of any decoded logit of each row of `logits` `[N, C]`.

        The contract test holds a codec to its word: a tight bound says more about what storing costs than a wide one.
        """

    @abstractmethod
    def _encode(self, rows: Tensor) -> dict[str, Tensor]: ...

    @abstractmethod
    def _decode(self, parts: Mapping[str, Tensor], num_classes: int) -> Tensor: ...

    @abstractmethod
    def _widths(self, num_classes: int) -> dict[str, int | None]:
        """Columns of every stored tensor; `None` for one number per row."""

    def _check_classes(self, num_classes: int) -> None:
        if num_classes < 1:
            raise ConfigError(f"{self.name}: num_classes must be at least 1, got {num_classes}.")


def build_codec(name: str, **options: Any) -> Codec:
    """The codec called `name`; raises `ConfigError` for an unknown name or option or a value out of bounds."""
    kind: type[Codec] = lookup("codecs", "codec", name)
    return kind.of(options)


def to_fp16(values: Tensor, owner: str) -> Tensor:
    """`values` in float16, or `ArtifactError` where that would make them infinite."""
    if (values.abs() > FP16_MAX).any():
        raise ArtifactError(
            f"{owner}: logits reach {float(values.abs().max()):.6g}, float16 ends at {FP16_MAX:.0f}. "
            "Use codec 'int8', or check the teacher: such logits are not a classifier's."
        )
    return values.to(torch.float16)
