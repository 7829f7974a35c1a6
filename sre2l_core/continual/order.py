"""In which order classes arrive, and what is asked of a memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sre2l_core import starts
from sre2l_core.config import Config, setting
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, unknown

CONDENSED = "condensed"
"""The memory that is no start: what recovery made."""
SETTINGS = {False: "reference's setting", True: "leak-free"}
"""What the two are called on every curve and in every table."""


class ContinualConfig(Config):
    """In which order classes arrive, and what the memory holds of them."""

    steps: int = setting(5, ge=1, le=10_000, slider=(2, 10), description="in how many steps the classes arrive")
    seed: int = setting(0, ge=0, lt=2**32, slider=(0, 9), description="of the order; 0 is the authors' (NumPy's)")
    order: tuple[str, ...] | None = setting(None, description="class ids in the order of their arrival")
    memory: str = setting(
        CONDENSED, catalogue="starts", description="condensed images, or a baseline's: a name from sre2l_core/starts"
    )
    leak_free: bool = setting(False, description="teacher and images of a step know that step's classes only")
    budget: int | None = setting(
        None, ge=1, description="images the memory holds at most, as many of each class; default ipc of every class"
    )

    @property
    def title(self) -> str:
        """What the memory holds and in which setting, as on curves and in tables.

        Raises:
            ConfigError: for an unknown memory.
        """
        held = self.memory if self.memory == CONDENSED else starts.find(self.memory).title
        return f"{held}, {SETTINGS[self.leak_free]}"


def arrivals(spec: DatasetSpec, config: ContinualConfig) -> tuple[tuple[int, ...], ...]:
    """The labels that arrive in each step, in their order; where they cannot be shared evenly, early steps bring more.

    Raises:
        ConfigError: for more steps than classes (leak-free: than pairs of them), an order with unknown, missing or
            repeated ids, or a memory with less room than an image of each class.
    """
    count, most = spec.num_classes, spec.num_classes // (2 if config.leak_free else 1)
    if config.steps > most:
        why = "the teacher of a step has to tell two classes apart" if config.leak_free else "a step brings a class"
        raise ConfigError(f"{count} classes cannot arrive in {config.steps} steps: {why}. Take at most {most} steps.")
    if config.budget is not None and config.budget < count:
        raise ConfigError(f"a memory of {config.budget} images cannot hold one of each of {count} classes: enlarge it.")
    order = _labels(spec, config.order) if config.order is not None else _drawn(count, config.seed)
    return tuple(tuple(part.tolist()) for part in np.array_split(order, config.steps))


def _drawn(count: int, seed: int) -> list[int]:
    order: list[int] = np.random.RandomState(seed).permutation(count).tolist()  # as the authors draw it
    return order


def _labels(spec: DatasetSpec, order: Sequence[str]) -> list[int]:
    for name in order:
        if name not in spec.classes:
            raise unknown(f"class id of {spec.name}", name, spec.classes)
    if twice := sorted({name for name in order if order.count(name) > 1}):
        raise ConfigError(f"the order names {', '.join(twice)} more than once: each class arrives once.")
    if missing := [name for name in spec.classes if name not in order]:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise ConfigError(f"the order lacks {shown}: name each of the {spec.num_classes} classes.")
    return [spec.classes.index(name) for name in order]
