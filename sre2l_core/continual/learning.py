"""A curve: after each step fresh students of the memory, tested on all classes seen; and what they have forgotten."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from math import inf, nan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, ScoreRow
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.continual.memory import Expert, JoinedLabels, columns_in, labels_of, remember
from sre2l_core.continual.order import ContinualConfig, arrivals
from sre2l_core.data import Dataset, ResidentSplit
from sre2l_core.data.split import batch_count
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.events import Listener, StepEvent
from sre2l_core.runtime import Runtime
from sre2l_core.stages.training import class_accuracy
from sre2l_core.stages.validate import validating
from sre2l_core.steps import drive, stepwise


@dataclass(frozen=True)
class Learnt:
    """A point of the curve."""

    arrived: tuple[int, ...]
    """Labels of the classes that arrived in this step."""
    seen: int
    """Classes so far."""
    score: ScoreRow
    """Students of the memory, tested on all classes seen."""
    confusion: Tensor | None = field(default=None, compare=False, repr=False)
    """[K, K] validation images of the classes seen by true class (row) and predicted class (column), of all students
    together; None where the score was made without it."""

    @property
    def by_class(self) -> Tensor:
        """[K] share of each class that is recognised, NaN for those that have not come yet.

        Raises:
            DataError: where the confusion matrix is missing.
        """
        if self.confusion is None:
            raise DataError(
                f"the step with {self.seen} classes was tested before confusion matrices were kept: delete the folder "
                "of its score and learn the curve again."
            )
        return class_accuracy(self.confusion)


def forgetting(curve: Sequence[Learnt]) -> Tensor:
    """How much of each class was lost after each step (Chaudhry et al., ECCV 2018).

    With a_l(k) the accuracy of class k after step l, the class has lost f_s(k) = max_{l < s} a_l(k) - a_s(k) by step s,
    below 0 where it was never recognised better.

    Args:
        curve: the steps, in their order.

    Returns:
        [steps, K] float64; NaN for a class that was not tested in an earlier step.

    Raises:
        DataError: where a confusion matrix is missing, or there is no step.
    """
    if not curve:
        raise DataError("a curve without a step forgets nothing: learn one first.")
    known = torch.stack([point.by_class for point in curve])
    best = torch.full_like(known, -inf)
    best[1:] = known.where(~known.isnan(), -inf).cummax(0).values[:-1]
    return torch.where(best.isinf(), nan, best - known)


class Learning:
    """A curve while it is learnt: an iterator of optimiser steps, counted over the students of all its steps.

    Args are those of `learn`.
    """

    def __init__(
        self,
        data: Dataset,
        experts: Sequence[Expert],
        config: ContinualConfig,
        relabel: RelabelConfig,
        validate: ValidateConfig,
        *,
        runtime: Runtime | None = None,
        out: str | Path | None = None,
        wait: bool = False,
        executor: Executor | None = None,
    ) -> None:
        self.data, self.experts, self.config = data, experts, config
        self.steps = arrivals(data.spec, config)
        """The labels that arrive in each step."""
        if validate.loss not in ("kl", "kl_t2"):
            raise ConfigError(
                f"labels that are joined are probabilities: loss={validate.loss!r} needs logits; take kl."
            )
        self._check_leak_free()
        self._relabel, self._runtime, self._out = relabel, runtime, None if out is None else Path(out)
        self._students = validate.but(against=(), hard_labels=False, students=validate.students[:1])
        self._how: dict[str, Any] = {"runtime": runtime, "wait": wait, "executor": executor}
        self._learnt: dict[int, Learnt] = {}

    @property
    def curve(self) -> list[Learnt]:
        """The steps that are done, in their order."""
        return [self._learnt[number] for number in sorted(self._learnt)]

    def seen(self, number: int) -> list[int]:
        """The labels that have arrived by a step, counted from 1, in the order of their arrival."""
        return [label for step in self.steps[:number] for label in step]

    def memory(self, number: int) -> CondensedSet:
        """What students of a step learn from; raises `DataError` where a class seen has no image."""
        return remember(self._known(number), self.data.spec, self.seen(number), self.config.budget, self.config.title)

    def step(self, number: int) -> Generator[StepEvent, None, Learnt]:
        """Students of the memory of one step, which needs no other step; afterwards the curve has its point."""
        seen, memory = self.seen(number), self.memory(number)
        temperature = self._students.temperature
        labels = JoinedLabels(
            self._known(number), memory, self._relabel, temperature=temperature, runtime=self._runtime
        )
        how = {**self._how, "out": self._place(number), "confusion": True}
        score = yield from validating(memory, labels, seen_only(self.data, seen), self._students, **how)
        counts = [*score.confusions.values()]
        confusion = torch.stack(counts).sum(0) if counts else None
        self._learnt[number] = Learnt(self.steps[number - 1], len(seen), score.rows[0], confusion)
        return self._learnt[number]

    def __iter__(self) -> Generator[StepEvent, None, list[Learnt]]:
        """Learn all steps: one after the other, or by workers all at the same time; returns the curve."""
        self.forget()
        sizes = {number: self.size(number) for number in range(1, len(self.steps) + 1)}
        done = {number: self._is_finished(number) * size for number, size in sizes.items()}
        taken = self._in_turn(sizes) if self._how["executor"] is None else self._together(sizes)
        with closing(taken):
            for number, event in taken:
                done[number] = event.step
                note = f"step {number} of {len(sizes)}, {event.note}"
                yield StepEvent(event.stage, sum(done.values()), sum(sizes.values()), event.metrics, note)
        return self.curve

    def forget(self) -> None:
        """Begin anew: what lies in the folder is found again."""
        self._learnt.clear()

    def size(self, number: int) -> int:
        """Optimiser steps of all students of a step."""
        labels, seen = labels_of(self._known(number), self.data.spec), self.seen(number)
        most = len(labels) if self.config.budget is None else self.config.budget // len(seen)
        held = labels.bincount(minlength=self.data.spec.num_classes)[seen].clamp(max=most)
        students = self._students
        return students.seeds * students.epochs * batch_count(int(held.sum()), students.batch_size)

    def _in_turn(self, numbers: Iterable[int]) -> Generator[tuple[int, StepEvent], None, None]:
        for number in numbers:
            with closing(self.step(number)) as events:
                for event in events:
                    yield number, event

    def _together(self, numbers: Iterable[int]) -> Generator[tuple[int, StepEvent], None, None]:
        """An event of each step in turn; each hands its students to the executor with its first."""
        with ExitStack() as opened:
            going = {number: opened.enter_context(closing(self.step(number))) for number in numbers}
            while going:
                for number, events in list(going.items()):
                    event = next(events, None)
                    if event is None:
                        del going[number]
                    else:
                        yield number, event

    def _known(self, number: int) -> list[Expert]:
        """The experts of classes that have arrived by a step."""
        seen, spec = {*self.seen(number)}, self.data.spec
        return [one for one in self.experts if seen & {*columns_in(one.teacher.spec, spec).tolist()}]

    def _place(self, number: int) -> Path | None:
        return None if self._out is None else self._out / f"step-{number}"

    def _is_finished(self, number: int) -> bool:
        place = self._place(number)
        return place is not None and (place / storage.MANIFEST).exists()

    def _check_leak_free(self) -> None:
        """Raise `ConfigError` where an expert knows more than a step brings, and yet nothing is to leak."""
        for expert in self.experts if self.config.leak_free else ():
            known = {*columns_in(expert.teacher.spec, self.data.spec).tolist()}
            if not any(known <= {*step} for step in self.steps):
                names = ", ".join(self.data.spec.classes[label] for label in sorted(known)[:5])
                raise ConfigError(
                    f"an expert knows {names}{' and more' if len(known) > 5 else ''}, which do not all arrive in one "
                    "step: that leaks. Make an expert for each step, or take leak_free=False."
                )


@stepwise
def learning(
    data: Dataset,
    experts: Sequence[Expert],
    config: ContinualConfig,
    relabel: RelabelConfig,
    validate: ValidateConfig,
    **how: Any,
) -> Generator[StepEvent, None, list[Learnt]]:
    """The steps of `learn`: a `StepEvent` after every optimiser step of every student, and at the end the curve."""
    return (yield from Learning(data, experts, config, relabel, validate, **how))


def learn(
    data: Dataset,
    experts: Sequence[Expert],
    config: ContinualConfig,
    relabel: RelabelConfig,
    validate: ValidateConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    executor: Executor | None = None,
    on_step: Listener | None = None,
) -> list[Learnt]:
    """Section 3.7: after each step fresh students on the memory, tested on all classes seen.

    As in the reference, a student has an output for every class from the beginning, and none is masked in the test.

    Args:
        data: real data of all classes; its validation images judge.
        experts: one of all classes, or in the leak-free setting one for each step, which knows that step's classes.
        config: steps, order and budget.
        relabel: views of the images.
        validate: students, the first network of them; their number and seed.
        runtime: device and precision; the best there is by default.
        out: folder with a score and confusion matrices for each step, `step-1` and so on. Finished steps are found, and
            calling again continues.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        executor: whose workers train students, those of all steps at the same time; see `work.Workers`.
        on_step: called with a `StepEvent` after every optimiser step, with an executor after every student.

    Raises:
        ConfigError: for what `arrivals` refuses, a loss on plain logits, or an expert that would leak.
        DataError: where experts and data do not fit, or a class seen has no image.
    """
    how: dict[str, Any] = {"runtime": runtime, "out": out, "wait": wait, "executor": executor}
    return drive(learning(data, experts, config, relabel, validate, **how), on_step)


def seen_only(data: Dataset, seen: Sequence[int]) -> Dataset:
    """The same data with the validation images of the labels `seen` alone, held in memory."""
    rows = torch.isin(data.val.labels, torch.tensor(seen)).nonzero()[:, 0]
    val = ResidentSplit(data.spec, data.val.take(rows), data.val.labels[rows])
    return Dataset(data.spec, data.train, val)
