"""Herding: real images whose mean feature stays closest to that of their class (Welling, 2009; iCaRL, CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sre2l_core.starts.coreset import coreset


def herd(features: Tensor, count: int) -> Tensor:
    """Greedy mean matching, Algorithm 4 of iCaRL.

    With unit features φ and their mean μ, the k-th row is arg min over x of ‖μ - (φ(x) + Σ_{j<k} φ(p_j)) / k‖; none is
    taken twice.

    Args:
        features: [N, D] float32.
        count: rows wanted, 1..N.

    Returns:
        [count] int64 rows.
    """
    unit = F.normalize(features, dim=1)
    mean, total = unit.mean(0), torch.zeros_like(unit[0])
    free = torch.ones(len(unit), dtype=torch.bool)
    rows = []
    for number in range(1, count + 1):
        away = (mean - (unit + total) / number).norm(dim=1)
        row = int(away.masked_fill(~free, torch.inf).argmin())
        free[row] = False
        total = total + unit[row]
        rows.append(row)
    return torch.tensor(rows)


PLUGINS = {"herding": coreset("herding", herd)}
