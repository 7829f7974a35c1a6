"""R_ℓ2, Equation 6: the norm of an image, which keeps it grey; off by default (Table 8: off is better)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sre2l_core.terms import ForwardPass, Term

if TYPE_CHECKING:
    from torch import Tensor


def r_l2(forward: ForwardPass) -> Tensor:
    """Equation 6: ||x||_2 of an image in normalised space, mean over images."""
    return forward.per_group(forward.views.float().flatten(1).norm(dim=1))


PLUGINS = {"r_l2": Term("R_ℓ2", "Equation 6", r_l2, weight="alpha_l2")}
