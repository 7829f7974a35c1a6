"""Soft labels: stored (`SoftLabels`) or made on the fly (`LiveLabels`); a student cannot tell which it learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol, Self, runtime_checkable

import torch
from pydantic import Field, InstanceOf, PositiveInt
from torch import Tensor, nn

from sre2l_core import storage
from sre2l_core.ahead import Pool
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.bn_stats import batchnorms
from sre2l_core.codecs import Codec, build_codec
from sre2l_core.committee import labelling
from sre2l_core.config import RelabelConfig
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.errors import ArtifactError, ConfigError, plain
from sre2l_core.runtime import Runtime
from sre2l_core.settings import check_fields
from sre2l_core.views import ViewParams, draw, render


class LabelSource(Protocol):
    """Soft labels of random views, stored or made on the fly: what a student trains on (Equation 9)."""

    @property
    def config(self) -> RelabelConfig:
        """How the views are drawn."""

    @property
    def condensed_id(self) -> str:
        """The condensed set whose images were labelled."""

    @property
    def teacher_id(self) -> str:
        """Fingerprint of the network that labels."""

    def views(self, epoch: int) -> ViewParams:
        """The views of all images in an epoch, row = image id."""

    def logits(self, epoch: int, ids: Tensor, pixels: Tensor) -> Tensor:
        """[B, K] float32 logits of the teacher on `pixels` [B, C, S, S], the views of images `ids` in `epoch`."""


def views_of(
    spec: DatasetSpec,
    pool: Tensor | Pool,
    ids: Tensor,
    params: ViewParams,
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """[B, C, S, S] normalised: the views of images `ids`, as the teacher labels them and a student sees them.

    Args:
        spec: of the images.
        pool: [N, C, H, W] uint8.
        ids: [B] rows of the pool.
        params: of the views of all images.
        prepare: in place of `spec.normalize`, such as `Runtime.preparing` makes of it.
    """
    bounds = None if params.operations is None else spec.bounds()
    ready = spec.normalize if prepare is None else prepare
    return render(pool, ids, params, size=spec.resolution, black=spec.black, prepare=ready, bounds=bounds)


@runtime_checkable
class MadeOnTheFly(Protocol):
    """Soft labels that networks make when they are asked: wherever the student learns."""

    runtime: Runtime
    """Where they are made."""


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Stage 3's result: the teacher's logits of every view, packed by a codec, one shard an epoch; views are a seed."""

    config: InstanceOf[RelabelConfig]
    num_images: Annotated[int, Field(gt=0, le=10**7)]
    num_classes: PositiveInt
    size: tuple[PositiveInt, PositiveInt]
    """Height and width of the images the views are taken from."""
    teacher_id: str
    condensed_id: str
    shards: Sequence[Mapping[str, Tensor] | storage.Piece]
    """Codec parts by epoch, in memory or as files; only the epoch in use is read, and checked."""
    classes: tuple[str, ...] = ()
    """Class ids, in the order of the logits."""

    def __post_init__(self) -> None:
        check_fields(self, ArtifactError)

    @cached_property
    def codec(self) -> Codec:
        """How the logits are packed."""
        return build_codec(self.config.codec, **self.config.codec_options)

    @cached_property
    def _open(self) -> dict[int, Mapping[str, Tensor]]:
        return {}

    def views(self, epoch: int) -> ViewParams:
        """The views of all images in an epoch, row = image id."""
        return draw(self.config, seed=self.config.seed, epoch=epoch, ids=torch.arange(self.num_images), size=self.size)

    def logits(self, epoch: int, ids: Tensor, pixels: Tensor | None = None) -> Tensor:
        """[B, K] float32 logits of images `ids` in `epoch`, on the CPU or the device of `pixels`; any batch, any order.

        Raises:
            ArtifactError: if there are fewer epochs of labels than asked for, or the file of one is damaged.
        """
        if not 0 <= epoch < len(self.shards):
            raise ArtifactError(f"epoch {epoch} of the soft labels was asked for, {len(self.shards)} are stored.")
        if epoch not in self._open:
            self._open.clear()
            self._open[epoch] = self._shard(epoch)
        parts = {name: tensor[ids.cpu()] for name, tensor in self._open[epoch].items()}
        decoded = self.codec.decode(parts, self.num_classes)
        return decoded if pixels is None else decoded.to(pixels.device)

    def _shard(self, epoch: int) -> Mapping[str, Tensor]:
        shard = self.shards[epoch]
        parts = storage.read_tensors(shard.checked()) if isinstance(shard, storage.Piece) else shard
        for name, part in parts.items():
            if part.shape[:1] != (self.num_images,) or not part.isfinite().all():
                raise ArtifactError(
                    f"the labels of epoch {epoch} hold {plain(name)} {list(part.shape)}, not a row of finite numbers "
                    f"for each of {self.num_images} images. Relabel."
                )
        return parts

    def in_memory(self) -> Self:
        """The same with all shards read, and checked."""
        return replace(self, shards=[self._shard(epoch) for epoch in range(len(self.shards))])

    def save(self, folder: str | Path) -> None:
        """Write all shards and the manifest."""
        with storage.saving(Path(folder), "soft_labels") as work:
            for epoch in range(len(self.shards)):
                work.write(shard_name(epoch), storage.save_tensors, self._shard(epoch))
            work.finish(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Everything but the shards, for the manifest."""
        names = ("num_images", "num_classes", "classes", "size", "teacher_id", "condensed_id")
        return {**{name: getattr(self, name) for name in names}, "config": self.config.request()}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Open a label store; shards are read when needed."""
        body = storage.read_manifest(Path(folder), "soft_labels")
        config = RelabelConfig.of(body["config"])
        shards = [body.piece(shard_name(epoch)) for epoch in range(config.epochs)]
        size, classes = tuple(body["size"]), tuple(body["classes"])
        ids = (body["teacher_id"], body["condensed_id"])
        return cls(config, body["num_images"], body["num_classes"], size, *ids, shards, classes)


def shard_name(epoch: int) -> str:
    """Where an epoch's labels lie."""
    return f"labels/epoch_{epoch:05d}.safetensors"


class LiveLabels:
    """Soft labels made on the fly: nothing is stored, the teacher labels the very pixels the student sees."""

    def __init__(
        self,
        teacher: Teacher,
        condensed: CondensedSet,
        config: RelabelConfig,
        *,
        runtime: Runtime | None = None,
        codec: Codec | None = None,
    ) -> None:
        """Note what labels what.

        Args:
            teacher: labels; the members of a committee by the mean of their logits, weighted by `config.vote`.
            condensed: the images.
            config: views, and how the teacher's BatchNorm takes a batch.
            runtime: where the teacher labels.
            codec: what stored labels lose, these lose too, so that one may be compared with the other; None: nothing.

        Raises:
            ConfigError: if views show parts of images that have none, or the other way round.
            DataError: if the teacher's classes are not those of the images.
        """
        teacher.spec.check_fits(condensed.spec)
        _check_formation(condensed, config)
        self.config, self.teacher_id = config, teacher.id
        self.runtime = runtime or Runtime.auto()
        self.condensed = condensed
        self._teacher, self._codec = teacher, codec

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_net"}  # of this process's device

    @cached_property
    def _net(self) -> nn.Module:
        """Copied and folded when it is first asked: a finished label store is opened without it."""
        place = self.runtime.place if self.config.teacher_mode == "batch" else self.runtime.place_folded
        return place(labelling(self._teacher, self.config))

    @property
    def condensed_id(self) -> str:
        """The condensed set whose images are labelled."""
        return self.condensed.id

    def views(self, epoch: int) -> ViewParams:
        """The views of all images in an epoch, row = image id."""
        ids, size = torch.arange(len(self.condensed)), self.condensed.spec.size
        return draw(self.config, seed=self.config.seed, epoch=epoch, ids=ids, size=size)

    def logits(self, epoch: int, ids: Tensor, pixels: Tensor) -> Tensor:
        """[B, K] float32 logits on `pixels` [B, C, S, S]."""
        exact = self._exact(pixels)
        return exact if self._codec is None else self._codec.decode(self._codec.encode(exact), exact.shape[1])

    @torch.no_grad()
    def _exact(self, pixels: Tensor) -> Tensor:
        if self.config.teacher_mode == "eval":
            return self.runtime.logits(self._net, pixels)
        parts = pixels.chunk(self.config.batch_split)  # how it is parted enters the labels
        with batch_statistics(self._net):
            return torch.cat([self.runtime.forward(self._net, part).float() for part in parts])


def _check_formation(condensed: CondensedSet, config: RelabelConfig) -> None:
    made = condensed.origin.get("config")
    held = made.get("formation", 1) if isinstance(made, Mapping) else config.formation
    if held != config.formation:
        raise ConfigError(
            f"these images hold {held} x {held} smaller ones, the views are of {config.formation} x {config.formation}:"
            f" relabel with formation {held}."
        )


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[None]:
    """BatchNorm takes the batch's own statistics, as while training, and changes none it keeps."""
    layers = batchnorms(net)
    kept = [(layer.running_mean, layer.running_var) for layer in layers]
    for layer in layers:
        layer.running_mean = layer.running_var = None
    try:
        yield
    finally:
        for layer, (mean, var) in zip(layers, kept, strict=True):
            layer.running_mean, layer.running_var = mean, var
