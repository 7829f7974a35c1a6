"""Stage 1, squeeze: dataset + backbone -> Teacher (Equation 4)."""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sre2l_core import storage
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.committee import join
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.data.imagenet import weights_spec
from sre2l_core.data.split import Batch, batch_count, part_of_rank
from sre2l_core.errors import ConfigError, DivergenceError, unknown
from sre2l_core.events import Listener, StepEvent
from sre2l_core.losses import accuracy, cross_entropy, hard_targets
from sre2l_core.runtime import Runtime
from sre2l_core.stages.training import Trainer, evaluate
from sre2l_core.steps import drive, stepwise


class Squeezing:
    """Trains a classifier on real data, a step per iteration; saves and restores its state between any two steps."""

    def __init__(self, data: Dataset, config: SqueezeConfig, *, runtime: Runtime | None = None) -> None:
        self.data, self.config = data, config
        self.runtime = runtime or Runtime.auto()
        self.runtime.ranks.part_size(config.batch_size, len(data.train))  # or what is wrong with it
        self.net = empty_network(config.backbone, data.spec, config.backbone_options, config.seed)
        self.trainer = Trainer(self.net, config, self.runtime)
        self.epoch = 0
        """Epochs finished."""
        self.batch = 0
        """Batches taken of the epoch under way."""

    def __iter__(self) -> Iterator[StepEvent]:
        """Train the epochs that are left, yielding after every optimiser step."""
        config, spec = self.config, self.data.spec
        per_epoch, ranks = batch_count(len(self.data.train), config.batch_size), self.runtime.ranks
        asked: dict[str, Any] = {"batch_size": config.batch_size, "device": self.runtime.device, "ranks": ranks}
        for epoch in range(self.epoch, config.epochs):
            batches = self.data.train.train_batches(config, seed=config.seed, epoch=epoch, **asked)
            marked = enumerate(islice(_marked(batches), self.batch, None), self.batch)
            for number, (batch, is_last) in marked:
                targets = hard_targets(batch.labels, batch.partners, batch.weights, spec.num_classes)
                now = epoch + number / per_epoch
                loss, logits = self.trainer.step(batch.images, partial(_loss, targets), now, batch.share)
                metrics = ranks.mean({"loss": loss, "train_top1": batch.share * accuracy(logits, batch.labels)})
                step = epoch * per_epoch + number + 1
                self.batch = number + 1
                if is_last:
                    self.epoch, self.batch = epoch + 1, 0
                    self._check(metrics["loss"])
                    step = self.epoch * per_epoch
                yield StepEvent(
                    "squeeze", step, config.epochs * per_epoch, metrics, f"epoch {epoch + 1}/{config.epochs}"
                )

    def teacher(self) -> Teacher:
        """The classifier as it is now, its accuracy measured on the validation images."""
        measured = evaluate(self.net, self.data.val, self.runtime)
        origin = {**self.data.to_json(), "dataset": self.data.name, "config": self.config.model_dump(mode="json")}
        options = dict(self.config.backbone_options)
        net = copy.deepcopy(self.net)  # a teacher is frozen; this network may train on
        return Teacher(net, self.data.spec, self.config.backbone, options, measured, origin)

    def state_dict(self) -> dict[str, Any]:
        """Tensors of network and optimiser, and how far it is."""
        return {"tensors": self.trainer.state(), "epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the step that `state` was taken at."""
        self.trainer.restore(state["tensors"])
        self.epoch, self.batch = int(state["epoch"]), int(state["batch"])

    def _check(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"squeeze: the loss became {float(loss)} in epoch {self.epoch}. The last finite epoch is kept. "
                f"Lower lr ({self.config.lr}) or add warmup_epochs ({self.config.warmup_epochs})."
            )


def _marked(batches: Iterator[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each batch, and whether it is the last of its epoch: where files cannot be read, there are fewer than planned."""
    batch = next(batches, None)
    while batch is not None:
        following = next(batches, None)
        yield batch, following is None
        batch = following


def _loss(targets: Tensor, logits: Tensor, rows: slice) -> Tensor:
    return cross_entropy(logits, targets[rows])


@stepwise
def squeezing(
    data: Dataset,
    config: SqueezeConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    members: Sequence[Path] = (),
) -> Generator[StepEvent, None, Teacher]:
    """The steps of `squeeze`: a `StepEvent` after every optimiser step, and at the end the teacher.

    Of several ranks all take the same steps and return the same teacher; the first alone knows the folder.
    """
    runtime = runtime or Runtime.auto()
    if config.others:
        return (yield from _committee(data, config, runtime, out, wait, members))
    ranks = runtime.ranks
    request = {**data.to_json(), "config": config.request()}
    part = config.batch_size if ranks.count == 1 else ranks.part_size(config.batch_size, len(data.train))
    how = runtime.how(config.micro_batch or part)
    with storage.claimed(out if ranks.first else None, "teacher", request, how, wait=wait) as work:
        if out is not None and ranks.from_first(lambda: work.finished):
            return ranks.from_first(partial(Teacher.load, out))
        data = replace(data, val=part_of_rank(data.val, ranks))
        if config.pretrained:
            teacher = pretrained(data, config, runtime)
        else:
            training = Squeezing(data, config, runtime=runtime)
            yield from _resumable(training, work)
            teacher = training.teacher()
        teacher.write(work)
        return teacher


def _committee(
    data: Dataset,
    config: SqueezeConfig,
    runtime: Runtime,
    out: str | Path | None,
    wait: bool,
    members: Sequence[Path],
) -> Generator[StepEvent, None, Teacher]:
    """The steps of several teachers, one after the other, each in a folder of its own, and what joins them."""
    ranks, each = runtime.ranks, config.each()
    places: Sequence[Path | None] = members or [None] * len(each)
    if out is not None and not members:
        places = [Path(out).with_name(f"{Path(out).name}-{number}") for number in range(1, len(each) + 1)]
    request = {**data.to_json(), "config": config.request()}
    with storage.claimed(out if ranks.first else None, "teacher", request, runtime.how(1), wait=wait) as work:
        if out is not None and ranks.from_first(lambda: work.finished):
            return ranks.from_first(partial(Teacher.load, out))
        teachers = []
        for one, place in zip(each, places, strict=True):
            teachers.append((yield from squeezing(data, one, runtime=runtime, out=place, wait=wait)))
        teacher = join(teachers)
        teacher.write(work)
        return teacher


def squeeze(
    data: Dataset,
    config: SqueezeConfig,
    *,
    runtime: Runtime | None = None,
    out: str | Path | None = None,
    wait: bool = False,
    members: Sequence[Path] = (),
    on_step: Listener | None = None,
) -> Teacher:
    """Stage 1: train a classifier with BatchNorm on the real data, or take pretrained weights and measure them.

    Args:
        data: training and validation images.
        config: network and recipe; of `others` each is a teacher too, and a committee of all comes back.
        runtime: device and precision; the best there is by default.
        out: folder of the teacher. The state is saved after every epoch, and calling again continues.
        wait: until another process that works in the folder is done, instead of raising `InUseError`.
        members: folders of the members of a committee, where finished ones are found; by default beside `out`, with
            -1, -2 and so on behind its name.
        on_step: called with a `StepEvent` after every optimiser step.
    """
    return drive(squeezing(data, config, runtime=runtime, out=out, wait=wait, members=members), on_step)


def pretrained(data: Dataset, config: SqueezeConfig, runtime: Runtime | None = None) -> Teacher:
    """A torchvision model with its own weights as Teacher: nothing is trained, its accuracy is measured.

    Raises:
        ConfigError: if there are no such weights, or for another number of classes.
        DataError: if the classes are others, or in another order.
    """
    runtime = runtime or Runtime.auto()
    categories = _weights(config.backbone, str(config.pretrained)).meta["categories"]
    if len(categories) != data.spec.num_classes:
        raise ConfigError(
            f"squeeze: {config.backbone} {config.pretrained} knows {len(categories)} classes, {data.spec.name} has "
            f"{data.spec.num_classes} here. Take all classes, or leave out pretrained, so that a network is trained."
        )
    if data.spec.classes != tuple(categories):  # readable names in this order will do
        weights_spec(categories).check_same_classes(data.spec)
    net = empty_network(config.backbone, data.spec, {**config.backbone_options, "weights": config.pretrained})
    measured = evaluate(runtime.place(net), data.val, runtime)
    origin = {"dataset": data.spec.name, "config": config.model_dump(mode="json")}
    return Teacher(net, data.spec, config.backbone, dict(config.backbone_options), measured, origin)


def from_weights(backbone: str, weights: str = "IMAGENET1K_V1", resolution: int = 224) -> Teacher:
    """A torchvision model with ImageNet weights as Teacher where the data is not at hand; its accuracy stays unknown.

    The paper takes V1 weights: networks with V2 weights recover worse (Appendix A.2).
    """
    spec = weights_spec(_weights(backbone, weights).meta["categories"], resolution)
    net = empty_network(backbone, spec, {"weights": weights})
    return Teacher(net, spec, backbone, {}, {}, {"weights": f"torchvision {backbone} {weights}"})


def _weights(backbone: str, weights: str) -> Any:
    """The entry of torchvision for the weights of a network; nothing is loaded."""
    import torchvision

    networks = torchvision.models.list_models(module=torchvision.models)
    if backbone not in networks:
        raise unknown("torchvision network", backbone, networks)
    known = torchvision.models.get_model_weights(backbone).__members__
    if weights not in known:
        raise unknown(f"weights of {backbone}", weights, known)
    return known[weights]


def _resumable(training: Squeezing, work: storage.Work) -> Iterator[StepEvent]:
    """Train to the end, continuing a saved state; one is saved after every epoch, and where it is stopped."""
    if (state := training.runtime.ranks.from_first(work.state)) is not None:
        training.load_state_dict(state)
    finished = training.epoch
    try:
        for event in training:
            yield event
            if training.epoch > finished:
                _save_state(work, training.state_dict())
                finished = training.epoch
    except GeneratorExit:  # between two steps; an epoch's loss is looked at when it is over
        if isfinite(event.value("loss")):
            _save_state(work, training.state_dict())
        raise


def _save_state(work: storage.Work, state: dict[str, Any]) -> None:
    work.save_state(state.pop("tensors"), state)
