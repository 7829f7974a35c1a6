"""Stages as steps: looped over, driven, awaited; what they make comes out, and leaving them closes the stage."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from sre2l_core.events import StepEvent
from sre2l_core.steps import Steps, drive, stepwise
from sre2l_core.worker import Run, State


class Stage:
    """A stage of three steps that keeps note of what it did."""

    def __init__(self, error: Exception | None = None) -> None:
        self.done: list[str] = []
        self.error = error

    def steps(self) -> Steps[str]:
        return Steps(self._steps())

    def _steps(self) -> Generator[StepEvent, None, str]:
        try:
            for step in (1, 2, 3):
                self.done.append(f"work {step}")
                yield StepEvent("stage", step, 3)
            if self.error is not None:
                raise self.error
            return "made"
        finally:
            self.done.append("left")


def test_nothing_is_done_before_the_first_step_is_asked_for() -> None:
    stage = Stage()
    steps = stage.steps()
    assert stage.done == []
    assert next(steps).step == 1
    assert stage.done == ["work 1"]


def test_what_a_loop_makes_is_its_result() -> None:
    steps = Stage().steps()
    with pytest.raises(RuntimeError, match="take all its steps first"):
        _ = steps.result
    assert [event.step for event in steps] == [1, 2, 3]
    assert steps.result == "made"
    assert [*steps] == []
    assert steps.result == "made"


def test_drive_tells_of_every_step_and_returns_what_was_made() -> None:
    told: list[int] = []
    assert drive(Stage().steps(), lambda event: told.append(event.step)) == "made"
    assert told == [1, 2, 3]
    assert drive(Stage().steps()) == "made"


def test_a_listener_that_fails_closes_the_stage() -> None:
    stage = Stage()

    def fail(event: StepEvent) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        drive(stage.steps(), fail)
    assert stage.done == ["work 1", "left"]


def test_closing_between_two_steps_ends_the_stage() -> None:
    stage = Stage()
    steps = stage.steps()
    next(steps)
    steps.close()
    assert stage.done == ["work 1", "left"]
    assert [*steps] == []


def test_delegating_hands_on_steps_and_result() -> None:
    @stepwise
    def twice() -> Generator[StepEvent, None, tuple[str, str]]:
        first = yield from Stage().steps()
        second = yield from Stage().steps()
        return first, second

    steps = twice()
    assert [event.step for event in steps] == [1, 2, 3, 1, 2, 3]
    assert steps.result == ("made", "made")


def test_awaiting_serves_the_loop_and_returns_what_was_made() -> None:
    async def main() -> str:
        return await Stage().steps()

    assert asyncio.run(main()) == "made"


def test_exceptions_come_out_of_loops_awaits_and_runs() -> None:
    with pytest.raises(ArithmeticError, match="no more"):
        [*Stage(ArithmeticError("no more")).steps()]

    async def main() -> None:
        await Stage(ArithmeticError("no more")).steps()

    with pytest.raises(ArithmeticError, match="no more"):
        asyncio.run(main())
    run = Run(Stage(ArithmeticError("no more")).steps)
    run.start()
    assert run.wait(10) is State.FAILED
    assert isinstance(run.error, ArithmeticError)
