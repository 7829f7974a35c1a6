"""R_BN, Equation 7: the images' BatchNorm statistics should be those that the teacher remembers of real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sre2l_core.terms import ForwardPass, Term

if TYPE_CHECKING:
    from torch import Tensor


def r_bn(forward: ForwardPass) -> Tensor:
    """Equation 7: distance of BatchNorm statistics to the running ones, summed over layers.

    *Departs from the paper:* the first layer counts `first_bn_multiplier` times, as in the reference code.
    """
    from sre2l_core.bn_stats import layer_distances

    config = forward.config
    distances = layer_distances(forward.stats, config.normalize_bn, config.bn_variance, forward.bn_targets)
    first = (config.first_bn_multiplier - 1) * distances[0]
    return distances.sum(0) + first


PLUGINS = {"r_bn": Term("R_BN", "Equation 7", r_bn, weight="alpha_bn")}
