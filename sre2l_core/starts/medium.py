"""Crops of middling difficulty, as SRe2L++ and CV-DD begin (2025): neither those a teacher is surest of nor the worst.

Their papers rank crops as RDED does, by the teacher's cross-entropy on the class; how far from the middle is not said.
"""

from __future__ import annotations

from torch import Tensor

from sre2l_core.starts import Start
from sre2l_core.starts.median import from_the_middle
from sre2l_core.starts.rded import ranked_crops


def middling(losses: Tensor) -> tuple[Tensor, Tensor]:
    """Of each candidate the crop of median loss; candidates in the order of their distance to the median one.

    Args:
        losses: [K, N] of K crops of N candidates.

    Returns:
        [N] int64 candidates, and [N] int64 which of its crops each has.
    """
    value, number = losses.median(0)
    order = from_the_middle(value)
    return order, number[order]


PLUGINS = {"medium": Start("middling patches", ranked_crops(middling, lambda spec: 1), needs_teacher=True)}
