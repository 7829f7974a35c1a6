"""Curves of class-incremental learning side by side: a step of each in turn, so that their memories fill together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from sre2l_core.continual import Learning, Learnt
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent


class Curves:
    """Learns several curves; an iterator of optimiser steps, counted over all of them.

    Args:
        learnings: of memories or settings that differ, with the same classes in the same steps.

    Raises:
        ConfigError: for no curve, two of one title, or steps that differ.
    """

    def __init__(self, learnings: Sequence[Learning]) -> None:
        titles = [one.config.title for one in learnings]
        if not learnings or len(set(titles)) < len(titles):
            got = ", ".join(titles) or "none"
            raise ConfigError(f"curves that are compared differ in memory or setting (got {got}).")
        if len({one.steps for one in learnings}) > 1:
            raise ConfigError("curves that are compared have the same order of classes, in the same number of steps.")
        self.learnings = dict(zip(titles, learnings, strict=True))
        """Title -> the curve."""
        self.steps = learnings[0].steps
        """The labels that arrive in each step."""
        self.spec = learnings[0].data.spec
        self.under_way = 1
        """The step that is learnt now."""

    def __iter__(self) -> Iterator[StepEvent]:
        """Learn all steps of all curves; what is found is not learnt again."""
        for one in self.learnings.values():
            one.forget()
        numbers = range(1, len(self.steps) + 1)
        sizes = {(number, title): one.size(number) for number in numbers for title, one in self.learnings.items()}
        before, total = 0, sum(sizes.values())
        for number in numbers:
            self.under_way = number
            for title, one in self.learnings.items():
                with closing(one.step(number)) as events:
                    for event in events:
                        note = f"step {number} of {len(self.steps)}, {event.note}"
                        yield replace(event, step=before + event.step, total=total, note=note)
                before += sizes[number, title]
        # The last step's result is there only after its last event.
        yield StepEvent("validate", before, before, {}, f"all {len(self.steps)} steps are learnt")

    def curves(self) -> dict[str, list[Learnt]]:
        """Title -> the steps that are done."""
        return {title: one.curve for title, one in self.learnings.items()}
