"""Run: the state machine, what it promises to listeners, and that no sequence of calls gets it stuck."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig, SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.stages.squeeze import Squeezing
from sre2l_core.worker import Run, State

SOON = 10.0
"""Seconds after which something that should have happened has not."""


class Gated:
    """A stage whose every step waits to be let through, with two settings that must never be seen half changed."""

    def __init__(self, total: int = 3) -> None:
        self.total, self.gate, self.seen = total, threading.Semaphore(0), []
        self.left, self.right, self.closed = 0, 0, False

    def __iter__(self) -> Iterator[StepEvent]:
        try:
            for step in range(1, self.total + 1):
                left = self.left
                assert self.gate.acquire(timeout=SOON)
                self.seen.append((left, self.right))
                yield StepEvent("gated", step, self.total)
        finally:
            self.closed = True

    def let(self, steps: int = 1) -> None:
        self.gate.release(steps)

    def retune(self, left: int, right: int) -> None:
        if left < 0:
            raise ConfigError("left must not be negative")
        self.left = left
        self.right = right


def reaches(run: Run, state: State) -> bool:
    deadline = time.monotonic() + SOON
    while run.state is not state and time.monotonic() < deadline:
        time.sleep(0.001)
    return run.state is state


def count(total: int) -> Iterator[StepEvent]:
    for step in range(1, total + 1):
        yield StepEvent("count", step, total)


def test_runs_to_the_end_and_starts_only_once() -> None:
    seen: list[int] = []
    run = Run(lambda: count(5), on_frame=lambda run: seen.append(run.event.step))
    assert run.state is State.IDLE
    assert run.start()
    assert run.wait(SOON) is State.FINISHED
    assert seen == [1, 2, 3, 4, 5]
    assert not any((run.start(), run.pause(), run.resume(), run.stop()))
    assert repr(run) == "<Run of generator: finished, step 5/5>"


def test_pause_holds_the_stage_and_resume_lets_it_go_on() -> None:
    stage = Gated()
    run = Run(lambda: stage)
    run.start()
    assert run.pause()
    assert run.state is State.PAUSING
    assert not run.pause()
    stage.let(3)
    assert reaches(run, State.PAUSED)
    assert len(stage.seen) <= 1
    assert run.resume()
    assert run.wait(SOON) is State.FINISHED
    assert len(stage.seen) == 3


def test_a_request_for_a_pause_can_be_taken_back() -> None:
    stage = Gated()
    run = Run(lambda: stage)
    run.start()
    assert run.pause()
    assert run.resume()
    stage.let(3)
    assert run.wait(SOON) is State.FINISHED


@pytest.mark.parametrize("paused", [False, True])
def test_stop_ends_after_the_step_under_way_and_closes_the_stage(paused: bool) -> None:
    stage = Gated(100)
    run = Run(lambda: stage)
    run.start()
    stage.let()
    if paused:
        run.pause()
        stage.let()
        assert reaches(run, State.PAUSED)
    assert run.stop()
    stage.let()
    assert run.wait(SOON) is State.STOPPED
    assert len(stage.seen) <= 3
    assert stage.closed


def test_stop_before_start_never_touches_the_stage() -> None:
    stage = Gated()
    run = Run(lambda: stage)
    assert run.stop()
    assert run.wait(SOON) is State.STOPPED
    assert not run.start()
    assert stage.seen == []


def test_changes_arrive_together_and_between_steps() -> None:
    stage = Gated()
    run = Run(lambda: stage)
    assert run.retune(left=1, right=1)
    run.start()
    stage.let()
    while len(stage.seen) < 1:
        time.sleep(0.001)
    run.pause()
    stage.let()
    assert reaches(run, State.PAUSED)
    assert run.retune(left=2, right=0)
    assert run.retune(right=2)
    assert stage.left == 1
    run.resume()
    stage.let()
    assert run.wait(SOON) is State.FINISHED
    assert stage.seen == [(1, 1), (1, 1), (2, 2)]
    assert not run.retune(left=3, right=3)


def test_a_refused_change_is_kept_and_the_run_goes_on() -> None:
    stage = Gated()
    stage.let(3)
    run = Run(lambda: stage)
    run.retune(left=-1, right=0)
    run.start()
    assert run.wait(SOON) is State.FINISHED
    assert "left must not be negative" in run.problems[0]


def test_what_cannot_be_run_or_retuned_says_so() -> None:
    with pytest.raises(TypeError, match="function that makes its stage"):
        Run(count(1))  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="start"):
        Run(lambda: count(1)).wait()
    run = Run(lambda: count(2))
    run.retune(lr=1)  # nobody knows yet what will be made
    run.start()
    assert run.wait(SOON) is State.FINISHED
    assert "generator cannot be retuned" in run.problems[0]
    with pytest.raises(TypeError, match="generator cannot be retuned"):
        run.retune(lr=1)
    run = Run(lambda: 3)  # type: ignore[arg-type, return-value]
    run.start()
    assert run.wait(SOON) is State.FAILED
    assert "not iterable" in run.traceback


def test_every_step_is_told_also_those_without_a_frame() -> None:
    steps: list[int] = []
    frames: list[int] = []
    run = Run(
        lambda: count(9),
        on_step=lambda run: steps.append(run.event.step),
        on_frame=lambda run: frames.append(run.event.step),
        max_fps=0.01,
    )
    run.start()
    run.wait(SOON)
    assert steps == [*range(1, 10)]
    assert frames == [1, 9]


def test_a_stage_is_made_in_the_worker_and_after_the_run_before() -> None:
    first, made = Gated(), []
    before = Run(lambda: first)

    def build() -> Iterator[StepEvent]:
        made.append((threading.current_thread() is not threading.main_thread(), before.state.over))
        return count(1)

    run = Run(build, after=before)
    before.start()
    run.start()
    assert run.stage is None
    time.sleep(0.05)
    assert made == []
    first.let(3)
    assert run.wait(SOON) is State.FINISHED
    assert made == [(True, True)]


@pytest.mark.parametrize("error", [ValueError("no good"), SystemExit("out"), KeyboardInterrupt()])
def test_an_exception_of_the_stage_is_kept(error: BaseException) -> None:
    def broken() -> Iterator[StepEvent]:
        yield StepEvent("broken", 1, 2)
        raise error

    run = Run(broken)
    run.start()
    assert run.wait(SOON) is State.FAILED
    assert run.error is error
    assert type(error).__name__ in run.traceback
    assert run.event is not None
    assert run.event.step == 1


def test_listeners_cannot_kill_the_run() -> None:
    def fail(_: object) -> None:
        raise ValueError("a view broke")

    run = Run(lambda: count(50), on_frame=fail, on_state=fail)
    run.start()
    assert run.wait(SOON) is State.FINISHED
    assert run.error is None
    assert len(run.problems) == 20
    assert "a view broke" in run.problems[-1]


def test_frames_are_throttled_but_the_last_always_comes() -> None:
    seen: list[int] = []
    run = Run(lambda: count(10_000), on_frame=lambda run: seen.append(run.event.step), max_fps=1)
    run.start()
    run.wait(SOON)
    assert seen[0] == 1
    assert seen[-1] == 10_000
    assert len(seen) <= 4


def test_the_last_step_is_shown_before_a_pause() -> None:
    stage, seen = Gated(), []
    run = Run(lambda: stage, on_frame=lambda run: seen.append(run.event.step), max_fps=0.01)
    run.start()
    stage.let()
    while run.event is None:
        time.sleep(0.001)
    run.pause()
    stage.let()
    assert reaches(run, State.PAUSED)
    assert seen == [1, 2]
    run.stop()
    run.wait(SOON)


def test_listeners_have_seen_the_final_state_when_wait_returns() -> None:
    told: list[State] = []
    run = Run(lambda: count(3), on_state=lambda run: told.append(run.state))
    run.start()
    run.wait(SOON)
    assert told[-1] is State.FINISHED


def test_a_listener_that_waits_is_told_that_it_cannot() -> None:
    run = Run(lambda: count(1), on_frame=lambda run: run.wait())
    run.start()
    assert run.wait(SOON) is State.FINISHED
    assert "cannot wait" in run.problems[0]


def test_await_serves_the_loop_meanwhile() -> None:
    async def main() -> tuple[State, int]:
        stage = Gated()
        run, ticks = Run(lambda: stage), 0
        run.start()

        async def tick() -> None:
            nonlocal ticks
            for _ in range(3):
                await asyncio.sleep(0.01)
                stage.let()
                ticks += 1

        ticking = asyncio.create_task(tick())
        state = await run
        await ticking
        return state, ticks

    assert asyncio.run(main()) == (State.FINISHED, 3)


def test_cancelling_an_await_stops_the_run() -> None:
    async def main() -> Run:
        stage = Gated(1000)
        run = Run(lambda: stage)
        run.start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run._until_over(), 0.05)
        stage.let()
        return run

    assert asyncio.run(main()).wait(SOON) is State.STOPPED


def test_recovery_is_stepped_and_retuned(tiny_teacher: Teacher) -> None:
    config = RecoverConfig(ipc=1, steps=6)
    recovery = Recovery(tiny_teacher, plan(config, tiny_teacher.spec), config)
    run = Run(lambda: recovery)
    run.retune(alpha_bn=0.5, crop_scale=(0.5, 1.0))
    run.start()
    assert run.wait(60) is State.FINISHED
    assert recovery.done
    assert recovery.config.alpha_bn == 0.5
    assert [change["step"] for change in recovery.changes] == [0, 0]


def test_squeezing_is_iterated(tiny_data: Dataset) -> None:
    options = {"depth": 2, "width": 8}
    squeezing = Squeezing(
        tiny_data, SqueezeConfig(backbone="convnet", backbone_options=options, epochs=1, batch_size=30)
    )
    run = Run(lambda: squeezing)
    run.start()
    assert run.wait(60) is State.FINISHED
    assert squeezing.epoch == 1


def test_importing_it_needs_neither_torch_nor_jupyter() -> None:
    code = "import sys, sre2l_core.worker; sys.exit(bool({'torch', 'IPython', 'ipywidgets'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(usual)


class Pair:
    """Two settings changed one after the other: a step that sees them differ was torn."""

    def __init__(self, total: int) -> None:
        self.total, self.left, self.right, self.torn, self.steps = total, 0, 0, False, 0

    def __iter__(self) -> Iterator[StepEvent]:
        for step in range(1, self.total + 1):
            self.torn |= self.left != self.right
            self.steps = step
            yield StepEvent("pair", step, self.total)

    def retune(self, left: int, right: int) -> None:
        self.left = left
        self.right = right


@pytest.mark.usefixtures("hasty_threads")
def test_no_sequence_of_calls_gets_a_run_stuck() -> None:
    """Three threads press random buttons; then somebody resumes or stops, and the run must end and the view know."""
    rng = random.Random(0)
    for number in range(400):
        stage, shown, lock = Pair(rng.choice([0, 3, 300])), [], threading.Lock()

        def show(run: Run, shown: list[State] = shown, lock: threading.Lock = lock) -> None:
            with lock:
                shown.append(run.state)  # the present state, as a view has to read it

        run = Run(lambda stage=stage: stage, on_state=show, max_fps=500)

        def press(seed: int, run: Run = run) -> None:
            own = random.Random(seed)
            for _ in range(12):
                action = own.choice([run.start, run.pause, run.resume, run.pause, run.resume, run.stop, None])
                if own.random() < 0.2:
                    time.sleep(0)
                if action is None:
                    run.retune(left=(value := own.randrange(100)), right=value)
                elif action != run.stop or own.random() < 0.2:
                    action()

        threads = [threading.Thread(target=press, args=(3 * number + k,)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.start()
        run.stop() if rng.random() < 0.5 else run.resume()
        state = run.wait(SOON)
        assert state.over, f"stuck in {state} (sequence {number})"
        assert state is not State.FAILED, run.traceback
        assert shown[-1] is state
        assert not stage.torn
        assert not run.problems
        assert stage.steps == stage.total or state is State.STOPPED
