"""Stage 4, validate: students trained on condensed images + soft labels, judged on real data (Equation 9)."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from torch import Tensor

from sre2l_core import storage
from sre2l_core.artifacts import CONFUSIONS, CondensedSet, Score, Teacher
from sre2l_core.committee import members
from sre2l_core.config import ValidateConfig
from sre2l_core.data import Dataset
from sre2l_core.data.decoded import decoded_once
from sre2l_core.data.split import part_of_rank
from sre2l_core.errors import DataError
from sre2l_core.events import Listener, StepEvent
from sre2l_core.ranks import ALONE, Ranks
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LabelSource, SoftLabels
from sre2l_core.stages.rows import Row, baselines, grid
from sre2l_core.stages.students import Student
from sre2l_core.stages.students_by_workers import Materials, StudentKey, by_workers
from sre2l_core.steps import drive, stepwise
from sre2l_core.work import threads_of


@stepwise
def validating(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    confusion: bool = False,
) -> Generator[StepEvent, None, Score]:
    """The steps of `validate`: a `StepEvent` after every optimiser step of every student, and at the end the table.

    With an executor there is one after every student, and one now and then while they learn. Of several ranks all take
    the same steps and return the same table; the first alone knows the folder.
    """
    runtime = runtime or Runtime.auto()
    ranks = runtime.ranks
    ranks.check_no_workers(executor is not None)
    rows = grid(condensed, labels, data, config, teacher=teacher, runtime=runtime)
    _check_judge(data, teacher)
    made_from = {"condensed": condensed.id, "labels": _describe(labels), **data.to_json()}
    request = {**made_from, "config": config.request()}
    judge = teacher.id if teacher is not None and baselines(config) else None
    part = config.batch_size if ranks.count == 1 else ranks.part_size(config.batch_size, len(condensed))
    how = runtime.how(config.micro_batch or part, threads_of(executor))
    asked = {"teacher of baselines": judge, **request}
    with storage.claimed(out if ranks.first else None, "score", asked, how, wait=wait) as work:
        if out is not None and ranks.from_first(lambda: work.finished):
            return ranks.from_first(partial(Score.load, out))
        results = Results(work, rows, ranks, confusion=confusion)
        place = work.folder if ranks.first else Path(gettempdir())
        data = replace(data, val=decoded_once(part_of_rank(data.val, ranks), place))
        if executor is None:
            yield from _one_by_one(rows, data, runtime, results, work)
        else:
            materials = Materials(condensed, labels, data, config, teacher, confusion=confusion)
            yield from _by_workers(executor, materials, rows, runtime, results)
        origin = {**request, "precision": runtime.precision}
        score = Score(tuple(row.score(results.of(row)) for row in rows), origin, results.confusions)
        score.write(work)
        return score


def validate(
    condensed: CondensedSet,
    labels: LabelSource,
    data: Dataset,
    config: ValidateConfig,
    *,
    teacher: Teacher | None = None,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    confusion: bool = False,
    on_step: Listener | None = None,
) -> Score:
    """Stage 4: students on the condensed set beside students on what one would otherwise use, under the same recipe.

    Args:
        condensed: the images.
        labels: soft labels of these images, stored or made on the fly.
        data: real data; its validation images judge, its training images serve the baselines.
        config: students, recipe, seeds, baselines.
        teacher: labels the baselines' images; needed for `against=("random",)`.
        runtime: device and precision; the best there is by default.
        out: folder of the score. Every finished student is written, and calling again continues.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        executor: whose workers train students; see `work.Workers`.
        confusion: keep the confusion matrix of every student too, in `Score.confusions`. A score that was finished
            without them has none; of an unfinished one, students without them are trained anew, to the same bits.
        on_step: called with a `StepEvent` after every optimiser step, with an executor after every student.

    Raises:
        ConfigError: if there are too few epochs of labels, or a baseline is not known or lacks what it needs.
        DataError: if the classes of images and data differ, or the teacher saw what is held out to judge.
    """
    options: dict[str, Any] = {"teacher": teacher, "runtime": runtime, "out": out, "wait": wait, "executor": executor}
    return drive(validating(condensed, labels, data, config, confusion=confusion, **options), on_step)


def _one_by_one(
    rows: Sequence[Row], data: Dataset, runtime: Runtime, results: Results, work: storage.Work
) -> Generator[StepEvent, None, None]:
    """Train the students that are left, in this process."""
    students = [(row, seed) for row in rows for seed in row.seeds]
    for number, (row, seed) in enumerate(students):
        if results.get(row, seed) is not None:
            continue
        with closing(_train(row, seed, data, runtime, results, work)) as steps:
            for event in steps:
                done, total = number * row.steps + event.step, len(students) * row.steps
                yield StepEvent("validate", done, total, event.metrics, _note(row, seed))


def _by_workers(
    executor: Executor, materials: Materials, rows: Sequence[Row], runtime: Runtime, results: Results
) -> Generator[StepEvent, None, None]:
    """Have workers train the students that are left."""
    keys = [StudentKey(number, seed) for number, row in enumerate(rows) for seed in row.seeds]
    todo = [(key, _note(rows[key.row], key.seed)) for key in keys if results.get(rows[key.row], key.seed) is None]
    done, note, metrics = len(keys) - len(todo), "", dict[str, float]()
    with closing(by_workers(executor, materials, todo, runtime)) as answers:
        for answer in answers:
            if answer is not None:
                key, found = answer
                results.add(rows[key.row], key.seed, *found)
                done, note, metrics = done + 1, _note(rows[key.row], key.seed), {"top1": found.result["last"]}
            yield StepEvent("validate", done * rows[0].steps, len(keys) * rows[0].steps, metrics, note)


def _note(row: Row, seed: int) -> str:
    of_all = f"{seed - row.config.seed + 1}/{row.config.seeds}"
    return f"{row.images} + {row.labels}, {row.student}, seed {of_all}"


def _train(
    row: Row, seed: int, data: Dataset, runtime: Runtime, results: Results, work: storage.Work
) -> Generator[StepEvent, None, None]:
    """A student's steps: a saved state continues, and is saved now and then and where it is stopped.

    The student and the images that it learns from are let go before the next are made.
    """
    student, key = row.begin(seed, data, runtime), results.key(row, seed)
    state = runtime.ranks.from_first(work.state)
    if state is not None and state["student"] == key:
        student.load_state_dict(state)
    saved = time.monotonic()
    try:
        for event in student:
            yield event
            if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                _save_state(work, student, key)
                saved = time.monotonic()
    except GeneratorExit:  # between two steps
        _save_state(work, student, key)
        raise
    results.add(row, seed, student.result(), student.confusion() if results.confusion else None)
    work.forget_state()


def _save_state(work: storage.Work, student: Student, key: str) -> None:
    state = student.state_dict()
    tensors = state.pop("tensors")
    if all(bool(tensor.isfinite().all()) for tensor in tensors.values()):  # what diverged is not gone on with
        work.save_state(tensors, {**state, "student": key})


SAVE_EVERY_SECONDS = 30.0
STUDENTS = "students.json"


class Results:
    """Accuracies of finished students, kept in `students.json` if there is a folder, in the order of the rows.

    With `confusion` a student is finished only where its confusion matrix is there too.
    """

    def __init__(
        self, work: storage.Work, rows: Sequence[Row], ranks: Ranks = ALONE, *, confusion: bool = False
    ) -> None:
        self._work, self.confusion = work, confusion
        self._order = [self.key(row, seed) for row in rows for seed in row.seeds]
        self._done: dict[str, dict[str, float]] = ranks.from_first(lambda: work.read_json(STUDENTS))
        self.confusions: dict[str, Tensor] = (
            ranks.from_first(lambda: work.read_tensors(CONFUSIONS)) if confusion else {}
        )
        """What a student is called -> [K, K] validation images by true and predicted class."""

    @staticmethod
    def key(row: Row, seed: int) -> str:
        """What a student is called."""
        return f"{row.images} | {row.labels} | {row.student} | seed {seed}"

    def get(self, row: Row, seed: int) -> dict[str, float] | None:
        """The result of a finished student."""
        key = self.key(row, seed)
        return None if self.confusion and key not in self.confusions else self._done.get(key)

    def add(self, row: Row, seed: int, result: dict[str, float], counts: Tensor | None = None) -> None:
        """Keep a result, after the confusion matrix that belongs to it."""
        if counts is not None:
            self.confusions[self.key(row, seed)] = counts.int()
            self._work.write(CONFUSIONS, storage.save_tensors, self.confusions)
        self._done[self.key(row, seed)] = result
        self._work.write_json(STUDENTS, {key: self._done[key] for key in self._order if key in self._done})

    def of(self, row: Row) -> list[dict[str, float]]:
        """The results of all students of a row, by seed; every one is finished."""
        return [self._done[self.key(row, seed)] for seed in row.seeds]


def _describe(labels: LabelSource) -> dict[str, Any]:
    kind = "stored" if isinstance(labels, SoftLabels) else "on the fly"
    return {"kind": kind, "teacher": labels.teacher_id, "config": labels.config.request()}


def _check_judge(data: Dataset, teacher: Teacher | None) -> None:
    """Raise `DataError` where the teacher was trained on images that are held out to judge what it taught."""
    if data.holdout is None or teacher is None:
        return
    learnt = (one.origin for one in members(teacher) if not one.origin.get("config", {}).get("pretrained"))
    if any(origin.get("holdout") != data.to_json()["holdout"] for origin in learnt):
        raise DataError(
            f"the teacher was trained on images that are to judge: {data.holdout}. Squeeze one with the same holdout "
            "and holdout_seed, or let the validation images judge (holdout 0)."
        )
