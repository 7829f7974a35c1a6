"""A dataset that lies on the device as uint8 and is augmented there in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sre2l_core.config import MixedViewConfig
from sre2l_core.data.decode import check_memory
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Batch, train_id_batches
from sre2l_core.errors import DataError
from sre2l_core.ranks import ALONE, Ranks
from sre2l_core.views import ViewParams, apply, draw, mix


class ResidentSplit:
    """A `Split` held in memory; copied once, as uint8, to each device that asks for batches.

    Images of an epoch are the same for every batch size, and up to rounding on every device.
    """

    def __init__(self, spec: DatasetSpec, images: Tensor, labels: Tensor) -> None:
        """Check and keep the images.

        Args:
            spec: the dataset.
            images: [N, C, H, W] uint8 pixels at the dataset's resolution.
            labels: [N] int64 within 0..num_classes-1.

        Raises:
            DataError: if shapes, dtypes or labels do not fit `spec`, or there is no image.
        """
        if images.dtype != torch.uint8 or images.shape[1:] != (spec.channels, *spec.size):
            expected = f"uint8 [N, {spec.channels}, {spec.resolution}, {spec.resolution}]"
            raise DataError(f"{spec.name}: expected {expected} (got {images.dtype} {list(images.shape)})")
        if len(images) == 0 or labels.shape != (len(images),):
            raise DataError(f"{spec.name}: {len(images)} images need one label each (got {list(labels.shape)})")
        if labels.min() < 0 or labels.max() >= spec.num_classes:
            raise DataError(f"{spec.name}: labels must be within 0..{spec.num_classes - 1}")
        self.spec = spec
        self.images = images.cpu()
        self.labels = labels.cpu().long()
        self._copies: dict[torch.device, Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copies": {}}  # another process has devices of its own

    def __len__(self) -> int:
        return len(self.images)

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
        """One shuffled epoch of random views; partners for mixing come from the whole split (see `Split`)."""
        pool = self._on(torch.device(device))
        params = draw(view, seed=seed, epoch=epoch, ids=torch.arange(len(self)), size=self.spec.size)
        black, size = self.spec.black if view.crop == "padded" else None, ranks.part_size(batch_size, len(self))
        for batch in train_id_batches(len(self), batch_size=batch_size, seed=seed, epoch=epoch):
            rows, share = ranks.share(len(batch), size)
            ids = batch[rows]
            chosen = params[ids]
            images = self._views(pool, ids, chosen, black)
            if chosen.mixed:
                partners = self._views(pool, chosen.partner, params[chosen.partner], black)
                images = mix(images, partners, chosen)
            labels, partner_labels = self.labels[ids], self.labels[chosen.partner]
            shares = chosen.shares(self.spec.resolution)
            yield Batch(images, labels.to(device), partner_labels.to(device), shares.to(device), share)

    def eval_batches(self, batch_size: int, device: torch.device | str) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order without augmentation (see `Split`)."""
        pool = self._on(torch.device(device))
        for pixels, labels in zip(torch.split(pool, batch_size), torch.split(self.labels, batch_size), strict=True):
            yield self.spec.normalize(pixels), labels.to(device)

    def take(self, ids: Tensor) -> Tensor:
        """Some images as they are: [B] ids -> [B, C, H, W] uint8 on the CPU."""
        return self.images[ids.cpu()]

    def part(self, ids: Tensor) -> ResidentSplit:
        """A copy of some images as a split of their own (see `Split`)."""
        return ResidentSplit(self.spec, self.take(ids), self.labels[ids])

    def _on(self, device: torch.device) -> Tensor:
        if device.type == "cpu":
            return self.images
        if device not in self._copies:
            self._copies[device] = self.images.to(device)
        return self._copies[device]

    def _views(self, pool: Tensor, ids: Tensor, params: ViewParams, black: Tensor | None) -> Tensor:
        images = self.spec.normalize(pool[ids.to(pool.device)])
        return apply(images, params, size=self.spec.resolution, black=black)


_RESIZED_AT_ONCE = 2**26
"""Values, of four bytes each while they are computed."""


def resized(images: Tensor, resolution: int) -> Tensor:
    """uint8 [N, C, H, W] -> [N, C, resolution, resolution], bilinear and antialiased; unchanged if it is that size.

    Raises:
        DataError: if the memory does not hold them.
    """
    if images.shape[-2:] == (resolution, resolution):
        return images
    count, channels = images.shape[:2]
    check_memory(count, channels, resolution)
    result = torch.empty(count, channels, resolution, resolution, dtype=torch.uint8)
    at_once = max(1, min(1000, _RESIZED_AT_ONCE // (channels * resolution**2)))
    for some, target in zip(torch.split(images, at_once), torch.split(result, at_once), strict=True):
        smooth = interpolate(some.float(), (resolution, resolution), mode="bilinear", antialias=True)
        target.copy_(smooth.clamp(0, 255).round())
    return result
