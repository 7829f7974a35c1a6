"""The largest logits and the mass of all others, after FKD's marginal smoothing (Shen and Xing 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from sre2l_core.codecs import Codec, to_fp16
from sre2l_core.errors import ArtifactError, ConfigError

NOTHING = 40.0
"""Temperatures below the smallest kept logit: float32 does not tell e^-40 beside 1 from nothing, and it is finite."""


class TopK(Codec):
    """Keeps the k largest logits of a row (float16) with their classes, and one logit that all other classes share.

    The shared logit is such that at `temperature` the softmax mass of the other classes is theirs. The KL divergence
    to the exact labels is then this mass times the divergence of the others from a uniform distribution.

    *Departs from FKD:* logits instead of probabilities, and the mass is measured at the temperature of training (20)
    instead of 1, where it says little about the nearly uniform labels that are trained on.

    Without `rest` the others get no probability, and the softmax of what is kept sums to 1 by itself: FKD's marginal
    re-normalisation, with which LPQLD (2026) re-quantises labels. *Departs from LPQLD*, whose temperatures of labels
    and students are fitted anew as these train: that is of the loss, and not here.
    """

    name: ClassVar[str] = "topk"

    k: int = Field(5, ge=1, description="logits kept per row, fewer than there are classes")
    temperature: float = Field(
        20.0, ge=0.01, le=1000, description="softmax temperature at which the others' mass is kept (Figure 4)"
    )

    rest: bool = Field(True, description="also store the others' mass; without it they get none (LPQLD)")

    def bytes_per_row(self, num_classes: int) -> int:
        """`4 k` bytes up to 32,768 classes, `6 k` beyond, with `rest` 4 more; `ConfigError` if k is too large."""
        self._check_classes(num_classes)
        return self.k * (2 + _index_type(num_classes).itemsize) + 4 * self.rest

    def error_bound(self, logits: Tensor) -> Tensor:
        """The row's spread: what the others share lies among their logits. Those that are kept err as in float16.

        Without `rest` the others come to lie 40 temperatures below the smallest that is kept.
        """
        low, high = logits.float().aminmax(dim=1)
        rounding = torch.maximum(high.abs(), low.abs()) * 2**-11 + self.temperature * 2**-18
        return high - low + rounding + (0 if self.rest else NOTHING * self.temperature)

    def _encode(self, rows: Tensor) -> dict[str, Tensor]:
        classes = rows.shape[1]
        values, indices = rows.topk(self.k, dim=1)
        others = rows.scatter(1, indices, -math.inf)
        rest = (others / self.temperature).logsumexp(dim=1)
        kept = {"values": to_fp16(values, self.name), "indices": indices.to(_index_type(classes))}
        return {**kept, "rest": rest} if self.rest else kept

    def _decode(self, parts: Mapping[str, Tensor], num_classes: int) -> Tensor:
        if self.rest:
            shared = self.temperature * (parts["rest"].float() - math.log(num_classes - self.k))
        else:
            shared = parts["values"].float().amin(1) - NOTHING * self.temperature
        logits = shared[:, None].repeat(1, num_classes)
        indices = parts["indices"].long()
        if ((indices < 0) | (indices >= num_classes)).any():
            raise ArtifactError(f"topk: labels name a class that is none of the {num_classes}. Relabel.")
        return logits.scatter(1, indices, parts["values"].float())

    def _widths(self, num_classes: int) -> dict[str, int | None]:
        return {"values": self.k, "indices": self.k, **({"rest": None} if self.rest else {})}

    def _check_classes(self, num_classes: int) -> None:
        if self.k >= num_classes:
            raise ConfigError(
                f"topk: k = {self.k} must be below the number of classes, {num_classes}. Use a smaller k, or codec "
                "'fp16', which keeps every logit."
            )


def _index_type(num_classes: int) -> torch.dtype:
    return torch.int16 if num_classes <= 2**15 else torch.int32


PLUGINS = {"topk": TopK}
