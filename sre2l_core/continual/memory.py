"""The memory: images of the classes seen, and their labels, each class's by whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.errors import ConfigError, DataError, unknown
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.views import ViewParams, draw


class Expert(NamedTuple):
    """What is left of some classes: a teacher that knows them and no others, and images of them."""

    teacher: Teacher
    images: CondensedSet


def remember(
    experts: Sequence[Expert],
    spec: DatasetSpec,
    seen: Sequence[int],
    budget: int | None = None,
    title: str = "memory",
) -> CondensedSet:
    """The memory: the experts' images of the labels `seen`, in the labels of `spec`; as many of each as fit `budget`.

    Tables call it by its `title`.

    Raises:
        DataError: for images of other classes or another shape, or where no expert has one of a class seen.
    """
    wanted, labels = torch.tensor(sorted(seen)), labels_of(experts, spec)
    if absent := sorted({*wanted.tolist()} - {*labels.tolist()}):
        names = ", ".join(spec.classes[label] for label in absent[:5])
        raise DataError(f"there is no image of {names} to remember, among {len(labels)} images: an expert is missing.")
    images, kept = torch.cat([expert.images.images for expert in experts]), torch.isin(labels, wanted)
    memory = CondensedSet(images[kept], labels[kept], spec, {"method": "memory", "title": title})
    return memory if budget is None else memory.first(budget // len(wanted))


def labels_of(experts: Sequence[Expert], spec: DatasetSpec) -> Tensor:
    """[N] int64: what the experts' images show, in the labels of `spec`."""
    shown = [columns_in(expert.images.spec, spec)[expert.images.labels] for expert in experts]
    return torch.cat([torch.empty(0, dtype=torch.int64), *shown])


def columns_in(part: DatasetSpec, whole: DatasetSpec) -> Tensor:
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
        self._columns = [columns_in(expert.teacher.spec, memory.spec) for expert in experts]
        known = torch.cat(self._columns).tolist()
        if twice := sorted({label for label in known if known.count(label) > 1}):
            names = ", ".join(memory.spec.classes[label] for label in twice[:5])
            raise ConfigError(f"two experts know {names}: each class has one, either of all classes or of its step.")
        self._asked = [LiveLabels(*expert, config, runtime=runtime) for expert in experts]
        self._drawn: tuple[int, ViewParams] | None = None

    @property
    def runtime(self) -> Runtime:
        """Where the teachers label."""
        return self._asked[0].runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        for asked in self._asked:
            asked.runtime = runtime

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
