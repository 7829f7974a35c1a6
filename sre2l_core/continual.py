"""Class-incremental learning with a memory of images (section 3.7, Figure 6), after GDumb (Prabhu et al., 2020) and DM.

Classes arrive in steps. The memory holds images of the classes seen so far; after each step a fresh student learns from
the memory alone and is tested on all classes seen. Who made images and labels of a class is its *expert*, and decides
the setting:

- one expert for all classes, as in the reference: images and labels of early steps know the classes of later ones, so
  the future leaks into the past;
- an expert for each step, which saw that step's classes only: leak-free.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, ScoreRow, Teacher
from sre2l_core.config import Config, RelabelConfig, ValidateConfig, setting
from sre2l_core.data import Dataset, DatasetSpec, ResidentSplit
from sre2l_core.errors import ConfigError, DataError, unknown
from sre2l_core.events import Listener, StepEvent
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.validate import validating
from sre2l_core.steps import drive, stepwise
from sre2l_core.views import ViewParams, draw


class ContinualConfig(Config):
    """In which order classes arrive, and what the memory holds of them."""

    steps: int = setting(5, ge=1, le=10_000, slider=(2, 10), description="in how many steps the classes arrive")
    seed: int = setting(0, ge=0, lt=2**32, slider=(0, 9), description="of the order; 0 is the authors' (NumPy's)")
    order: tuple[str, ...] | None = setting(None, description="class ids in the order of their arrival")
    memory: str = setting(
        "condensed", catalogue="starts", description="condensed images, or a baseline's: a name from sre2l_core/starts"
    )
    leak_free: bool = setting(False, description="teacher and images of a step know that step's classes only")
    budget: int | None = setting(
        None, ge=1, description="images the memory holds at most, as many of each class; default ipc of every class"
    )


class Expert(NamedTuple):
    """What is left of some classes: a teacher that knows them and no others, and images of them."""

    teacher: Teacher
    images: CondensedSet


@dataclass(frozen=True)
class Learnt:
    """A point of the curve."""

    arrived: tuple[int, ...]
    """Labels of the classes that arrived in this step."""
    seen: int
    """Classes so far."""
    score: ScoreRow
    """Students of the memory, tested on all classes seen."""


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


def remember(
    experts: Sequence[Expert], spec: DatasetSpec, seen: Sequence[int], budget: int | None = None
) -> CondensedSet:
    """The memory: the experts' images of the labels `seen`, in the labels of `spec`; as many of each as fit `budget`.

    Raises:
        DataError: for images of other classes or another shape, or where no expert has one of a class seen.
    """
    places = [_columns(expert.images.spec, spec) for expert in experts]
    images = torch.cat([expert.images.images for expert in experts])
    labels = torch.cat([place[expert.images.labels] for place, expert in zip(places, experts, strict=True)])
    wanted = torch.tensor(sorted(seen))
    if absent := sorted({*wanted.tolist()} - {*labels.tolist()}):
        names = ", ".join(spec.classes[label] for label in absent[:5])
        raise DataError(f"there is no image of {names} to remember, among {len(labels)} images: an expert is missing.")
    kept = torch.isin(labels, wanted)
    memory = CondensedSet(images[kept], labels[kept], spec, {"method": "memory"})
    return memory if budget is None else memory.first(budget // len(wanted))


def _columns(part: DatasetSpec, whole: DatasetSpec) -> Tensor:
    """Where each class of `part` stands in `whole`."""
    replace(whole, classes=part.classes, class_names=part.class_names).check_fits(part)
    if strange := [name for name in part.classes if name not in whole.classes]:
        raise unknown(f"class id of {whole.name}", strange[0], whole.classes)
    return torch.tensor([whole.classes.index(name) for name in part.classes])


class JoinedLabels:
    """Soft labels of a memory over the classes seen, each class's by its own expert; a `LabelSource`.

    With s(k) the expert of class k, z^s the logits of its teacher, and w_s(x) the share of the view x that shows images
    of that expert's classes (1 or 0 where nothing is mixed),

        p_k(x) = w_s(k)(x) exp(z^s(k)_k(x) / T) / Σ_{l: s(l) = s(k)} exp(z^s(k)_l(x) / T),

    and 0 for classes that no expert knows. An expert is asked about views that show images of its classes and about no
    others, of which it knows nothing; so no label says how alike two classes of different experts are. With one expert
    for all classes these are its own labels. `logits` gives T log p: a student of the same temperature sees p.

    Args:
        experts: whose classes have nothing in common.
        memory: the images, of the experts' classes.
        config: how views are drawn.
        temperature: T, of the student.
        runtime: where the teachers label.

    Raises:
        ConfigError: where two experts know the same class.
        DataError: where an expert's images are of other classes or another shape than its teacher knows.
    """

    nowhere = -1e3
    """Logarithm of the probability of a class that a label excludes: 0 in float32, and no infinity in the loss."""

    def __init__(
        self,
        experts: Sequence[Expert],
        memory: CondensedSet,
        config: RelabelConfig,
        *,
        temperature: float,
        runtime: Runtime | None = None,
    ) -> None:
        self.config, self.condensed_id, self.temperature = config, memory.id, temperature
        self.teacher_id = ", ".join(expert.teacher.id for expert in experts)
        self._memory = memory
        self._columns = [_columns(expert.teacher.spec, memory.spec) for expert in experts]
        known = torch.cat(self._columns).tolist()
        if twice := sorted({label for label in known if known.count(label) > 1}):
            names = ", ".join(memory.spec.classes[label] for label in twice[:5])
            raise ConfigError(f"two experts know {names}: each class has one, either of all classes or of its step.")
        self._asked = [LiveLabels(*expert, config, runtime=runtime) for expert in experts]
        self._drawn: tuple[int, ViewParams] | None = None

    def views(self, epoch: int) -> ViewParams:
        """The views of all images in an epoch, row = image id."""
        if self._drawn is None or self._drawn[0] != epoch:
            ids, size = torch.arange(len(self._memory)), self._memory.spec.size
            self._drawn = epoch, draw(self.config, seed=self.config.seed, epoch=epoch, ids=ids, size=size)
        return self._drawn[1]

    def logits(self, epoch: int, ids: Tensor, pixels: Tensor) -> Tensor:
        """[B, K] float32: T log p of `pixels` [B, C, S, S], the views of images `ids` in `epoch`; K as the memory's."""
        ids, views, labels = ids.cpu(), self.views(epoch), self._memory.labels
        own, shares = labels[ids], views[ids].shares(self._memory.spec.resolution).cpu()
        partners = labels[views.partner[ids].cpu()]
        joined = torch.full((len(ids), self._memory.spec.num_classes), self.nowhere, device=pixels.device)
        for columns, asked in zip(self._columns, self._asked, strict=True):
            weight = shares * torch.isin(own, columns) + (1 - shares) * torch.isin(partners, columns)
            rows = weight.nonzero()[:, 0]
            if len(rows):
                logits = asked.logits(epoch, ids[rows], pixels[rows.to(pixels.device)]) / self.temperature
                labelled = logits.log_softmax(1) + weight[rows].log().to(logits)[:, None]
                joined[rows.to(joined.device)[:, None], columns.to(joined.device)] = labelled
        return self.temperature * joined


@stepwise
def learning(
    data: Dataset,
    experts: Sequence[Expert],
    config: ContinualConfig,
    relabel: RelabelConfig,
    validate: ValidateConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
) -> Generator[StepEvent, None, list[Learnt]]:
    """The steps of `learn`: a `StepEvent` after every optimiser step of every student, and at the end the curve."""
    steps = arrivals(data.spec, config)
    if validate.loss not in ("kl", "kl_t2"):
        raise ConfigError(f"labels that are joined are probabilities: loss={validate.loss!r} needs logits; take kl.")
    students = validate.but(against=(), hard_labels=False, students=validate.students[:1])
    curve: list[Learnt] = []
    for number, arrived in enumerate(steps, start=1):
        seen = [label for step in steps[:number] for label in step]
        known = [one for one in experts if {*_columns(one.teacher.spec, data.spec).tolist()} & {*seen}]
        memory = remember(known, data.spec, seen, config.budget)
        labels = JoinedLabels(known, memory, relabel, temperature=students.temperature, runtime=runtime)
        place = None if out is None else Path(out) / f"step-{number}"
        options = {"runtime": runtime, "out": place, "wait": wait}
        score = yield from validating(memory, labels, seen_only(data, seen), students, **options)  # type: ignore[arg-type]
        curve.append(Learnt(arrived, len(seen), score.rows[0]))
    return curve


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
        out: folder with a score for each step, `step-1` and so on. Finished steps are found, and calling again
            continues.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        on_step: called with a `StepEvent` after every optimiser step.

    Raises:
        ConfigError: for what `arrivals` refuses, or a loss on plain logits.
        DataError: where experts and data do not fit, or a class seen has no image.
    """
    return drive(learning(data, experts, config, relabel, validate, runtime=runtime, out=out, wait=wait), on_step)


def seen_only(data: Dataset, seen: Sequence[int]) -> Dataset:
    """The same data with the validation images of the labels `seen` alone, held in memory."""
    rows = torch.isin(data.val.labels, torch.tensor(seen)).nonzero()[:, 0]
    val = ResidentSplit(data.spec, data.val.take(rows), data.val.labels[rows])
    return Dataset(data.spec, data.train, val)
