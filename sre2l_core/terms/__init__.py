"""Axis 3: terms of the recovery loss (Equations 5-7). `ls` is the catalogue: what a step adds up, and all of it.

A file offers a `Term` in `PLUGINS`: its function looks at one forward pass and returns [S], a value for each of S
independent groups. The command line, loss curves, legends and sliders read the rest. A weight that `RecoverConfig` does
not have yet comes with the term. The files here import no torch of their own, so that `--help` answers at once; a new
one may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic.fields import FieldInfo

from sre2l_core.config import RecoverConfig
from sre2l_core.registry import catalogue

if TYPE_CHECKING:
    from torch import Tensor

    from sre2l_core.bn_stats import BatchNormStats


TOTAL = "loss"
"""What a step calls the weighted sum of all terms."""


@dataclass(frozen=True)
class ForwardPass:
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
    bn_targets: Tensor | None = None
    """[2, S, C] BatchNorm statistics wanted in place of the running ones; see `recover.class_statistics`."""

    def per_group(self, values: Tensor) -> Tensor:
        """Mean [S] within each group of one value per image [S * G]."""
        return values.view(self.groups, -1).mean(1)


@dataclass(frozen=True)
class Term:
    """One summand of the loss, and what people see of it."""

    label: str
    """As in legends and numbers, such as `R_BN`."""
    source: str
    """Where its formula stands, such as `Equation 7`."""
    function: Callable[[ForwardPass], Tensor]
    """The formula: [S], finite also on constant images."""
    weight: str = ""
    """Field of `RecoverConfig` that weighs it; none weighs 1."""
    field: FieldInfo | None = None
    """That field, made by `config.setting`, where the term brings its own."""


def all_terms() -> dict[str, Term]:
    """Every term by name: cross-entropy, then in the order of their weights in `RecoverConfig`."""
    place = {field: number for number, field in enumerate(RecoverConfig.model_fields)}
    known: dict[str, Term] = catalogue("terms")
    return dict(sorted(known.items(), key=lambda item: place.get(item[1].weight, -1)))


def legend() -> dict[str, str]:
    """What legends call the numbers of a step: the total, then every term."""
    return {TOTAL: "total"} | {name: term.label for name, term in all_terms().items()}


def active(config: RecoverConfig) -> dict[str, float]:
    """Terms whose weight is above zero, and that weight; the others are never computed."""
    weights = {name: float(getattr(config, term.weight)) if term.weight else 1.0 for name, term in all_terms().items()}
    return {name: weight for name, weight in weights.items() if weight > 0}


def register(name: str, term: Term) -> None:
    """Add a term that is not a file here, such as one written in a notebook's cell; the same name replaces it."""
    catalogue("terms")[name] = term
    _complete(term)


def _complete(term: Term) -> None:
    """Give `RecoverConfig` the weight that a term brings."""
    if term.field is not None and term.weight not in RecoverConfig.model_fields:
        RecoverConfig.extend(term.weight, term.field)


for _term in all_terms().values():
    _complete(_term)
