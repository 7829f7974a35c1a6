"""First term of Equation 5: the teacher's loss on the class that each image stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sre2l_core.terms import ForwardPass, Term

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy(forward: ForwardPass) -> Tensor:
    """First term of Equation 5: mean cross-entropy of the teacher's prediction."""
    log_p = forward.logits.float().log_softmax(1)
    return forward.per_group(-log_p.gather(1, forward.targets[:, None])[:, 0])


PLUGINS = {"ce": Term("cross-entropy", "Equation 5", cross_entropy)}
