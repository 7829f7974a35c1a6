"""Two recoveries in step, from the same noise: what one setting does (Figure 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sre2l_core.events import StepEvent
from sre2l_core.stages.recover.loop import Recovery

SIDES = ("left", "right")


class Pair:
    """Steps two recoveries together; metrics carry the side's name, as in `left r_bn`."""

    def __init__(self, left: Recovery, right: Recovery) -> None:
        self.left, self.right = left, right

    @property
    def done(self) -> bool:
        """Whether both took all their steps."""
        return self.left.done and self.right.done

    def __iter__(self) -> Iterator[StepEvent]:
        """Take the steps that are left."""
        while not self.done:
            yield self.step()

    def step(self) -> StepEvent:
        """One step of each."""
        events = {side: self.of(side).step() for side in SIDES if not self.of(side).done}
        metrics = {f"{side} {name}": value for side, event in events.items() for name, value in event.metrics.items()}
        return StepEvent(
            "recover", max(e.step for e in events.values()), max(e.total for e in events.values()), metrics
        )

    def retune(self, **changes: Any) -> None:
        """Change settings of one side: names are `left.alpha_bn` or `right.alpha_bn`."""
        for side in SIDES:
            own = {name.split(".")[1]: value for name, value in changes.items() if name.startswith(f"{side}.")}
            if own:
                self.of(side).retune(**own)

    def of(self, side: str) -> Recovery:
        """The recovery of a side."""
        return self.left if side == "left" else self.right
