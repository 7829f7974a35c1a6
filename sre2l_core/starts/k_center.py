"""k-center: real images such that none of their class is far from all of them (Sener and Savarese, ICLR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from sre2l_core.starts.coreset import coreset


def cover(features: Tensor, count: int) -> Tensor:
    """The greedy 2-approximation of k-center (Gonzalez, 1985): each row is the one farthest from those before it.

    The k-th row is arg max over x of min_{j<k} ‖φ(x) - φ(p_j)‖. The method leaves the first open: here it is the one
    nearest to the mean, so that nothing is left to chance.

    Args:
        features: [N, D] float32.
        count: rows wanted, 1..N.

    Returns:
        [count] int64 rows.
    """
    rows = [int((features - features.mean(0)).norm(dim=1).argmin())]
    nearest = torch.full((len(features),), torch.inf)
    for _ in range(1, count):
        nearest = torch.minimum(nearest, (features - features[rows[-1]]).norm(dim=1))
        nearest[rows[-1]] = -1.0  # of two images that look alike, the other may still be taken
        rows.append(int(nearest.argmax()))
    return torch.tensor(rows)


PLUGINS = {"k-center": coreset("k-center", cover)}
