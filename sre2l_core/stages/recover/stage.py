"""Stage 2, recover: a `Recovery` for each batch of groups, driven to the end, saved and continued."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from pathlib import Path
from typing import Any

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.committee import members
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.events import Listener, StepEvent
from sre2l_core.groups import Group, plan, stacked
from sre2l_core.losses import accuracy
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.by_workers import by_workers
from sre2l_core.stages.recover.images import Images
from sre2l_core.stages.recover.loop import Recovery, check_teacher
from sre2l_core.stages.recover.teaching import apart
from sre2l_core.steps import drive, stepwise
from sre2l_core.work import threads_of

SAVE_EVERY_SECONDS = 30.0


@stepwise
def recovering(
    teacher: Teacher,
    config: RecoverConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    data: Dataset | None = None,
    verifier: Teacher | None = None,
) -> Generator[StepEvent, None, CondensedSet]:
    """The steps of `recover`: a `StepEvent` after every iteration of a batch of groups, and at the end the images.

    With an executor there is one after every batch, and one now and then while they are at work.
    """
    check_teacher(teacher, config)
    for other in (data, verifier):
        if other is not None:
            teacher.spec.check_fits(other.spec)
    runtime, spec, groups = runtime or Runtime.auto(), teacher.spec, plan(config, teacher.spec)
    runtime.ranks.check_alone("recover")
    request = {"teacher": teacher.id, "config": config.request()}
    origin = {"method": f"SRe2L recovery from {config.init}", "teacher": teacher.id, "config": request["config"]}
    if len(every := members(teacher)) > 1:
        origin["teachers"] = [member.id for member in every]
    stack = _stack(config, len(every), len(groups[0]) * spec.resolution**2, runtime)
    how = runtime.how(stack * len(groups[0]), threads_of(executor))
    # How many groups fit may differ from day to day; what was begun goes on as it began.
    with storage.claimed(out, "condensed_set", request, how, adopt=("images_per_pass",), wait=wait) as work:
        if not work.finished:
            batches = stacked(groups, work.how["images_per_pass"] // len(groups[0]))
            with storage.in_background() as do:
                images = Images(work, do, spec, config)
                options: dict[str, Any] = {"runtime": runtime, "data": data, "verifier": verifier}
                if executor is not None:
                    yield from by_workers(executor, teacher, config, batches, images, **options)
                else:
                    yield from _one_by_one(teacher, config, batches, images, work, do, **options)
            work.finish({"origin": origin, "spec": spec.to_json()})
        if out is not None:
            return CondensedSet.load(out)
    return CondensedSet(*images.in_memory(), spec, origin)


def recover(
    teacher: Teacher,
    config: RecoverConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    on_step: Listener | None = None,
    data: Dataset | None = None,
    verifier: Teacher | None = None,
) -> CondensedSet:
    """Stage 2: recover `config.ipc` images per class from a teacher.

    Args:
        teacher: stage 1's result; of a committee each member teaches as `config.teaching` says.
        config: settings of the recovery.
        runtime: device and precision; the best there is by default.
        out: folder of the condensed set. Finished groups are written as they come, and calling again continues.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        executor: whose workers recover batches of groups; see `work.Workers`. The same images come out as without one,
            where this process uses as many threads as each of them does.
        on_step: called with a `StepEvent` after every step, with an executor after every batch.
        data: real data, needed by starts other than noise; compared with what the teacher knows in any case.
        verifier: another classifier of the same classes and size; its accuracy on the whole images is reported every
            100 steps.

    Returns:
        The condensed set: images quantised to uint8, ids ordered by image index, then class.

    Raises:
        DataError: if data or verifier have other classes than the teacher, or another resolution.
    """
    options: dict[str, Any] = {"executor": executor, "data": data, "verifier": verifier}
    return drive(recovering(teacher, config, runtime=runtime, out=out, wait=wait, **options), on_step)


def _stack(config: RecoverConfig, teachers: int, pixels: int, runtime: Runtime) -> int:
    """Groups of so many pixels that share a pass."""
    if config.stack != "auto":
        return config.stack
    alone = config.nudge or config.rounds > 1 or apart(config, teachers)
    return 1 if alone else runtime.stack(pixels)


def _one_by_one(
    teacher: Teacher,
    config: RecoverConfig,
    batches: Sequence[Sequence[Group]],
    images: Images,
    work: storage.Work,
    do: Callable[..., None],
    *,
    runtime: Runtime,
    data: Dataset | None,
    verifier: Teacher | None,
) -> Iterator[StepEvent]:
    """Recover the batches that are not there yet, in this process; a state of the one under way is saved."""
    for number, batch in enumerate(batches):
        if images.has(batch):
            continue
        recovery = Recovery(teacher, batch, config, runtime=runtime, data=data)
        with closing(_resumable(recovery, images, work, do)) as steps:
            for event in steps:
                yield _of_all(event, number, len(batches), recovery, verifier)
        if not config.steps:  # a start that is kept as it is may have taken long
            yield StepEvent("recover", number + 1, len(batches))


def _of_all(event: StepEvent, number: int, batches: int, recovery: Recovery, verifier: Teacher | None) -> StepEvent:
    """A step of one batch of groups as one of the whole stage, with what the verifier makes of the images now."""
    metrics = dict(event.metrics)
    if verifier is not None and (event.step % 100 == 0 or recovery.done):
        metrics["verifier"] = accuracy(recovery.predict(verifier), recovery.targets)
    note = f"images {recovery.ids[0]}-{recovery.ids[-1]}"
    return StepEvent("recover", number * event.total + event.step, batches * event.total, metrics, note)


def _resumable(
    recovery: Recovery, images: Images, work: storage.Work, do: Callable[..., None]
) -> Generator[StepEvent, None, None]:
    """Step to the end and keep the images; continue a saved state, and save one now and then and when interrupted."""
    state = work.state()
    if state is not None and state["images"] == recovery.ids:
        recovery.load_state_dict(state)
    saved = time.monotonic()
    try:
        while not recovery.done:
            yield recovery.step()
            images.keep_snapshots(recovery.ids, recovery.snapshots)
            recovery.snapshots.clear()
            if work.folder is not None and time.monotonic() - saved > SAVE_EVERY_SECONDS:
                do(_save_state, work, recovery.state_dict(), recovery.ids)
                saved = time.monotonic()
    except BaseException:  # an interrupt may have cut a step in two: the last checked state is whole
        if work.folder is not None and not recovery.done:
            do(_save_state, work, recovery.checked, recovery.ids)
        raise
    images.keep(recovery.ids, recovery.targets.tolist(), recovery.pixels().cpu())


def _save_state(work: storage.Work, state: Mapping[str, Any], ids: list[int]) -> None:
    notes = {name: value for name, value in state.items() if name != "tensors"}
    work.save_state(state["tensors"], {**notes, "images": ids})
