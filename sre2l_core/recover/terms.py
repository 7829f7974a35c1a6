"""The terms of the recovery loss (Equations 5-7): what each step of `loop.Recovery` adds up, and all that is minimised.

A term looks at one forward pass and returns [S], a value for each of S independent groups.
To add one: a function here, a row in `TERMS`, and the weight it names in `config.RecoverConfig`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sre2l_core.bn_stats import BatchNormStats, layer_distances
from sre2l_core.config import RecoverConfig


@dataclass(frozen=True)
class Seen:
    """One forward pass: S groups of G images each, one after the other."""

    views: Tensor
    """[S * G, C, H, W] normalised pixels the teacher saw."""
    logits: Tensor
    """[S * G, K]"""
    targets: Tensor
    """[S * G] int64 class indices."""
    stats: BatchNormStats
    groups: int
    config: RecoverConfig

    def per_group(self, values: Tensor) -> Tensor:
        """Mean [S] within each group of one value per image [S * G]."""
        return values.view(self.groups, -1).mean(1)


Term = Callable[[Seen], Tensor]


def cross_entropy(seen: Seen) -> Tensor:
    """First term of Equation 5: mean cross-entropy of the teacher's prediction."""
    return seen.per_group(F.cross_entropy(seen.logits.float(), seen.targets, reduction="none"))


def r_bn(seen: Seen) -> Tensor:
    """Equation 7: distance of BatchNorm statistics to the running ones, summed over layers.

    *Departs from the paper:* the first layer counts `first_bn_multiplier` times, as in the reference code.
    """
    distances = layer_distances(seen.stats, seen.config.normalize_bn)
    first = (seen.config.first_bn_multiplier - 1) * distances[0]
    return distances.sum(0) + first


def r_tv(seen: Seen) -> Tensor:
    """Equation 6: total variation, sum over pixels of (dx^2 + dy^2)^(beta/2), mean over images.

    *Departs from the reference code*, whose term is a sum of norms over the whole batch.
    """
    views = seen.views.float()
    down = views[:, :, 1:, :-1] - views[:, :, :-1, :-1]
    right = views[:, :, :-1, 1:] - views[:, :, :-1, :-1]
    steepness = (down.square() + right.square() + 1e-12).pow(seen.config.tv_beta / 2)
    return seen.per_group(steepness.sum((1, 2, 3)))


def r_l2(seen: Seen) -> Tensor:
    """Equation 6: ||x||_2 of an image in normalised space, mean over images."""
    return seen.per_group(torch.linalg.vector_norm(seen.views.float().flatten(1), dim=1))


TERMS: dict[str, tuple[Term, str | None]] = {
    "ce": (cross_entropy, None),
    "r_bn": (r_bn, "alpha_bn"),
    "r_tv": (r_tv, "alpha_tv"),
    "r_l2": (r_l2, "alpha_l2"),
}
"""Name -> term and the config field that weighs it; None weighs 1."""


def active_terms(config: RecoverConfig) -> dict[str, tuple[Term, float]]:
    """Terms with a weight above zero; the others are never computed."""
    weights = {name: 1.0 if field is None else float(getattr(config, field)) for name, (_, field) in TERMS.items()}
    return {name: (term, weights[name]) for name, (term, _) in TERMS.items() if weights[name] > 0}
