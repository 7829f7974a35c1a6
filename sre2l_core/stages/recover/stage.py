"""Stage 2, recover: a `Recovery` for each batch of groups, driven to the end, saved and continued."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sre2l_core import pictures, storage
from sre2l_core.artifacts import CondensedSet, Teacher, condensed_path
from sre2l_core.config import RecoverConfig
from sre2l_core.data import Dataset
from sre2l_core.events import Listener, StepEvent
from sre2l_core.groups import Group, plan, stacked
from sre2l_core.losses import accuracy
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover.loop import Recovery
from sre2l_core.steps import drive, stepwise

SAVE_EVERY_SECONDS = 30.0


@stepwise
def recovering(
    teacher: Teacher,
    config: RecoverConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    data: Dataset | None = None,
    verifier: Teacher | None = None,
) -> Generator[StepEvent, None, CondensedSet]:
    """The steps of `recover`: a `StepEvent` after every iteration of a batch of groups, and at the end the images."""
    groups, folder = plan(config, teacher.spec), None if out is None else Path(out)
    request = {"teacher": teacher.id, "config": config.model_dump(mode="json")}
    if folder is not None and storage.begin(folder, "condensed_set", request):
        return CondensedSet.load(folder)
    origin = {"method": f"SRe2L recovery from {config.init}", "teacher": teacher.id, "config": request["config"]}
    kept: dict[int, Tensor] = {}
    batches = stacked(groups, _stack(config, groups, teacher, runtime))
    with storage.in_background() as do:
        for number, batch in enumerate(batches):
            if folder is not None and _written(folder, teacher, batch, config):
                continue
            recovery = Recovery(teacher, batch, config, runtime=runtime, data=data)
            for event in _resumable(recovery, None if folder is None else folder / storage.PROGRESS):
                metrics = dict(event.metrics)
                if verifier is not None and (event.step % 100 == 0 or recovery.done):
                    metrics["verifier"] = accuracy(recovery.predict(verifier), recovery.targets)
                step, total = number * config.steps + event.step, len(batches) * config.steps
                yield StepEvent("recover", step, total, metrics, f"images {batch[0].ids[0]}-{batch[-1].ids[-1]}")
            if folder is not None:
                do(_write_snapshots, recovery.snapshots, recovery.ids, folder)
            for index, label, pixels in zip(
                recovery.ids, recovery.targets.tolist(), recovery.pixels().cpu(), strict=True
            ):
                if folder is None:
                    kept[index] = pictures.as_stored(pixels, config.image_format)
                else:
                    do(CondensedSet.write_image, folder, teacher.spec, index, label, pixels, config.image_format)
    if folder is not None:
        CondensedSet.finish(folder, teacher.spec, origin)
        return CondensedSet.load(folder)
    label_of = {index: label for group in groups for index, label in zip(group.ids, group.labels, strict=True)}
    order = sorted(kept)
    labels = torch.tensor([label_of[index] for index in order])
    return CondensedSet(torch.stack([kept[index] for index in order]), labels, teacher.spec, origin)


def recover(
    teacher: Teacher,
    config: RecoverConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    on_step: Listener | None = None,
    data: Dataset | None = None,
    verifier: Teacher | None = None,
) -> CondensedSet:
    """Stage 2: recover `config.ipc` images per class from a teacher.

    Args:
        teacher: stage 1's result.
        config: settings of the recovery.
        runtime: device and precision; the best there is by default.
        out: folder of the condensed set. Finished groups are written as they come, and calling again continues.
        on_step: called with a `StepEvent` after every step.
        data: real data, needed by starts other than noise.
        verifier: another classifier; its accuracy on the whole images is reported every 100 steps.

    Returns:
        The condensed set: images quantised to uint8, ids ordered by image index, then class.
    """
    return drive(recovering(teacher, config, runtime=runtime, out=out, data=data, verifier=verifier), on_step)


def _written(folder: Path, teacher: Teacher, batch: Sequence[Group], config: RecoverConfig) -> bool:
    images = ((index, label) for group in batch for index, label in zip(group.ids, group.labels, strict=True))
    return all(condensed_path(folder, teacher.spec, i, label, config.image_format).exists() for i, label in images)


def _stack(config: RecoverConfig, groups: Sequence[Group], teacher: Teacher, runtime: Runtime | None) -> int:
    if config.stack != "auto":
        return config.stack
    return (runtime or Runtime.auto()).stack(len(groups[0]) * teacher.spec.resolution**2)


def _write_snapshots(snapshots: Sequence[tuple[int, Tensor]], ids: Sequence[int], folder: Path) -> None:
    for step, images in snapshots:
        for index, pixels in zip(ids, images, strict=True):
            with storage.replacing(folder / "snapshots" / f"{step:06d}" / f"{index:08d}.png") as partial:
                pictures.write(pixels, partial, "png")


def _resumable(recovery: Recovery, path: Path | None) -> Iterator[StepEvent]:
    """Step to the end; with a path, continue the state saved there, and save one now and then and when interrupted."""
    if path is not None and path.exists():
        state = storage.read_notes(path)
        if state["images"] == recovery.ids:
            recovery.load_state_dict({**state, "tensors": storage.read_tensors(path)})
    saved = time.monotonic()
    try:
        while not recovery.done:
            yield recovery.step()
            if path is not None and time.monotonic() - saved > SAVE_EVERY_SECONDS:
                _save_state(recovery.state_dict(), recovery.ids, path)
                saved = time.monotonic()
    except BaseException:  # an interrupt may have cut a step in two: the last checked state is whole
        if path is not None and not recovery.done:
            _save_state(recovery.checked, recovery.ids, path)
        raise


def _save_state(state: Mapping[str, Any], ids: list[int], path: Path) -> None:
    notes = {name: value for name, value in state.items() if name != "tensors"}
    storage.write_tensors(path, state["tensors"], {**notes, "images": ids})
