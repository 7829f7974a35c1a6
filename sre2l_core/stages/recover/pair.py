"""Several recoveries in step, from the same noise: what one setting does (Figure 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sre2l_core.events import StepEvent
from sre2l_core.stages.recover.loop import Recovery

SIDES = ("left", "right")


class Together:
    """Steps recoveries together; metrics carry the name of theirs, as in `left r_bn`.

    Args:
        recoveries: by name; names have no dots.
    """

    def __init__(self, recoveries: Mapping[str, Recovery]) -> None:
        self.recoveries = dict(recoveries)

    @property
    def done(self) -> bool:
        """Whether all took all their steps."""
        return all(one.done for one in self.recoveries.values())

    def __iter__(self) -> Iterator[StepEvent]:
        """Take the steps that are left."""
        while not self.done:
            yield self.step()

    def step(self) -> StepEvent:
        """One step of each."""
        events = {name: one.step() for name, one in self.recoveries.items() if not one.done}
        metrics = {f"{name} {term}": value for name, event in events.items() for term, value in event.metrics.items()}
        return StepEvent(
            "recover", max(e.step for e in events.values()), max(e.total for e in events.values()), metrics
        )

    def retune(self, **changes: Any) -> None:
        """Change settings of one of them: names are as `left.alpha_bn`."""
        for name, one in self.recoveries.items():
            own = {field.split(".")[1]: value for field, value in changes.items() if field.startswith(f"{name}.")}
            if own:
                one.retune(**own)

    def of(self, name: str) -> Recovery:
        """The recovery of this name."""
        return self.recoveries[name]


class Pair(Together):
    """Two of them, side by side."""

    def __init__(self, left: Recovery, right: Recovery) -> None:
        self.left, self.right = left, right
        super().__init__({"left": left, "right": right})
