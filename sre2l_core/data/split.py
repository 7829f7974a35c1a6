"""What stages see of a dataset: two splits that yield batches, whatever lies behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from sre2l_core.config import MixedViewConfig
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.ranks import ALONE, Ranks


class Batch(NamedTuple):
    """Augmented training images and what they show; all on the asked device."""

    images: Tensor
    """[B, C, H, W] float32, normalised."""
    labels: Tensor
    """[B] int64 label of the image itself."""
    partners: Tensor
    """[B] int64 label of the image mixed in; equal to `labels` where nothing is mixed."""
    weights: Tensor
    """[B] float32 share of the image's own label: 1 where nothing is mixed."""
    share: float = 1.0
    """Weight of its mean loss where ranks have parts of the batch; see `ranks.Share`."""


class Split(Protocol):
    """The training or validation images of a dataset."""

    @property
    def spec(self) -> DatasetSpec:
        """The dataset this is a part of."""

    @property
    def labels(self) -> Tensor:
        """[N] int64 on the CPU."""

    def __len__(self) -> int:
        """Number of images N."""

    def train_batches(
        self,
        view: MixedViewConfig,
        *,
        batch_size: int,
        seed: int,
        epoch: int,
        device: torch.device | str,
        ranks: Ranks = ALONE,
    ) -> Iterator[Batch]:
        """One shuffled epoch of random views; of each batch the part of this one of the `ranks`.

        The order is a pure function of (seed, epoch) and a view of (seed, epoch, image); a last batch of a single image
        is dropped, because BatchNorm cannot use it.
        """

    def eval_batches(self, batch_size: int, device: torch.device | str) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order without augmentation: ([B, C, H, W] float32 normalised, [B] int64 labels)."""

    def take(self, ids: Tensor) -> Tensor:
        """Some images as pixels on the CPU: [B] ids in 0..N-1 -> [B, C, H, W] uint8 at the dataset's resolution."""

    def part(self, ids: Tensor) -> Split:
        """Some images as a split of their own: row i of it is row ids[i] of this one."""


@dataclass(frozen=True)
class Holdout:
    """The part of the training images that judges in place of the validation images: what was tuned never saw these."""

    share: float
    """Of each class, in (0, 1)."""
    seed: int

    def __str__(self) -> str:
        return f"{100 * self.share:g} % of the training images, held out with seed {self.seed}"


@dataclass(frozen=True)
class Dataset:
    """A loaded dataset."""

    spec: DatasetSpec
    train: Split
    val: Split
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    """What whoever asked for the data should know: files left out, classes without validation images, and the like."""
    holdout: Holdout | None = field(default=None, kw_only=True)
    """What `val` is, where it is not the dataset's own."""

    @property
    def name(self) -> str:
        """Name in the catalogue."""
        return self.spec.name

    def to_json(self) -> dict[str, Any]:
        """What it is, for the request of an artifact that is made from it."""
        held = {} if self.holdout is None else {"holdout": asdict(self.holdout)}
        return {"dataset": self.spec.to_json(), **held}

    @cached_property
    def train_rows(self) -> tuple[Tensor, ...]:
        """Rows of each class among the training images, ascending; looked for once, not for every image asked for."""
        labels = self.train.labels
        counts = labels.bincount(minlength=self.spec.num_classes).tolist()
        return torch.split(labels.argsort(stable=True), counts)


def epoch_order(count: int, *, seed: int, epoch: int) -> Tensor:
    """[N] int64 permutation of 0..N-1, a pure function of its arguments."""
    keys = np.random.default_rng((seed, epoch)).random(count)
    return torch.from_numpy(np.argsort(keys, kind="stable").astype(np.int64))


def train_id_batches(count: int, *, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """The image ids of each batch of an epoch, shuffled; a leftover of one image is dropped (BatchNorm)."""
    batches = list(torch.split(epoch_order(count, seed=seed, epoch=epoch), batch_size))
    return batches[:-1] if len(batches) > 1 and batch_size > 1 and len(batches[-1]) == 1 else batches


def batch_count(count: int, batch_size: int) -> int:
    """How many batches `train_id_batches` makes."""
    full, rest = divmod(count, batch_size)
    return full + (rest > 1 or full == 0 or (rest == 1 and batch_size == 1))


def stratified_split(labels: Tensor, *, val_share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Ids of a training and a validation part with about `val_share` of every class, at least one image in each part.

    Args:
        labels: [N] int64; every class has two images or more.
        val_share: share of each class held out, rounded to whole images.
        seed: fixes the choice; a class's part depends on its label and its number of images only.

    Returns:
        Two ascending id tensors that together hold 0..N-1 once.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.bincount().nonzero()[:, 0].tolist():
        members = (labels == label).nonzero()[:, 0]
        count = min(max(round(val_share * len(members)), 1), len(members) - 1)
        order = np.argsort(np.random.default_rng((seed, label)).random(len(members)), kind="stable")
        held[members[torch.from_numpy(order[:count])]] = True
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def part_of_rank(split: Split, ranks: Ranks) -> Split:
    """The images of a split that one of several ranks evaluates; all of them where there are too few to share."""
    own = torch.arange(len(split))[ranks.number :: ranks.count]
    return split if ranks.count == 1 or len(split) < ranks.count else split.part(own)
