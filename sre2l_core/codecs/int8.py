"""Logits in 256 even steps between the smallest and the largest of their row: half the size of fp16."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from sre2l_core.codecs import Codec
from sre2l_core.errors import ArtifactError


class Int8(Codec):
    """`logit = offset + scale * code` with `code` in 0..255 and offset and scale per row, in float32.

    The error is at most half a step, `(max - min) / 510` of the row; a constant row is exact.
    """

    name: ClassVar[str] = "int8"

    def bytes_per_row(self, num_classes: int) -> int:
        """`C + 8` bytes."""
        return num_classes + 8

    def error_bound(self, logits: Tensor) -> Tensor:
        """Half a step, and what float32 loses in `offset + scale * code`."""
        low, high = logits.float().aminmax(dim=1)
        return (high - low) / 510 + torch.maximum(high.abs(), low.abs()) * 2**-21 + torch.finfo(torch.float32).tiny

    def _encode(self, rows: Tensor) -> dict[str, Tensor]:
        low, high = rows.aminmax(dim=1)
        scale = (high - low) / 255
        if not scale.isfinite().all():
            raise ArtifactError("int8: the logits of a row lie further apart than float32 can tell. Check the teacher.")
        # Dividing a constant row by 1: what NaN becomes as an integer depends on the machine.
        steps = (rows - low[:, None]) / torch.where(scale > 0, scale, 1.0)[:, None]
        return {"codes": steps.round().clamp(0, 255).to(torch.uint8), "scale": scale, "offset": low}

    def _decode(self, parts: Mapping[str, Tensor], num_classes: int) -> Tensor:
        return parts["codes"].float() * parts["scale"].float()[:, None] + parts["offset"].float()[:, None]

    def _widths(self, num_classes: int) -> dict[str, int | None]:
        return {"codes": num_classes, "scale": None, "offset": None}


PLUGINS = {"int8": Int8}
