"""R_TV, Equation 6: total variation, which smooths; off by default (Table 8: off is better)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sre2l_core.terms import ForwardPass, Term

if TYPE_CHECKING:
    from torch import Tensor


def r_tv(forward: ForwardPass) -> Tensor:
    """Equation 6: total variation, sum over pixels of (dx^2 + dy^2)^(beta/2), mean over images.

    *Departs from the reference code*, whose term is a sum of norms over the whole batch: its weight would depend on how
    many images are optimised together.
    """
    views = forward.views.float()
    down = views[:, :, 1:, :-1] - views[:, :, :-1, :-1]
    right = views[:, :, :-1, 1:] - views[:, :, :-1, :-1]
    # The power's slope at zero is infinite for beta < 2: a constant image must still have a gradient.
    steepness = (down.square() + right.square() + 1e-12).pow(forward.config.tv_beta / 2)
    return forward.per_group(steepness.sum((1, 2, 3)))


PLUGINS = {"r_tv": Term("R_TV", "Equation 6", r_tv, weight="alpha_tv")}
