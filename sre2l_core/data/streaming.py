"""A dataset too large for memory: files are decoded by worker processes whenever they are used."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sre2l_core.config import MixedViewConfig, ViewConfig
from sre2l_core.data.decode import cores, decode_all, fit, open_rgb, to_pixels
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Batch, train_id_batches
from sre2l_core.errors import DataError
from sre2l_core.ranks import ALONE, Ranks, Share, local_count
from sre2l_core.views import ViewParams, draw, mix


class StreamSplit:
    """A `Split` of picture files.

    Order, crops and flips depend on (seed, epoch, image) alone, whatever the number of workers. A crop is drawn in the
    pixels of the file, before any shrinking. Partners for mixing come from the batch, so they depend on its size.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        paths: Sequence[Path],
        labels: Tensor,
        *,
        eval_scale: float = 1.0,
        upright: bool = False,
        skip_corrupt: bool = False,
        workers: int | None = None,
    ) -> None:
        """Note the files; nothing is read yet.

        Args:
            spec: the dataset (RGB).
            paths: N files.
            labels: [N] int64.
            eval_scale: shorter side before the central crop, in units of the resolution (256 / 224 for ImageNet).
            upright: turn photographs by their EXIF orientation.
            skip_corrupt: leave unreadable files out of their batch, with a warning, instead of raising.
            workers: decoding processes; None: one per core, at most 8, and of ranks on one machine a share each.
        """
        self.spec = spec
        self.labels = labels.cpu().long()
        self._files = _Files(
            np.array([os.fsencode(path) for path in paths]), spec.resolution, eval_scale, upright, skip_corrupt
        )
        self._workers = min(max(cores() // local_count(), 1), 8) if workers is None else workers

    def __len__(self) -> int:
        return len(self.labels)

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
        """One shuffled epoch of random views; partners for mixing come from the same batch (see `Split`)."""
        batches, used = train_id_batches(len(self), batch_size=batch_size, seed=seed, epoch=epoch), 0
        size, whole = ranks.part_size(batch_size, len(self)), iter(batches)

        def views_of(ids: Tensor) -> ViewParams:
            return draw(view, seed=seed, epoch=epoch, ids=ids, size=self.spec.size)

        # Which files can be read, and so who mixes with whom, is only known to those that have decoded all of a batch.
        every = ranks.count == 1 or self._files.skip_corrupt
        wanted = batches if every else [_needed(ids, views_of(ids), ranks.share(len(ids), size)) for ids in batches]
        for pixels, found in self.decoded(wanted, device, view, seed, epoch):
            ids = found if every else next(whole)
            if len(ids) == 1 < min(batch_size, len(self)):
                continue
            images = self.spec.normalize(pixels.to(device, non_blocking=True))
            rows, share = ranks.share(len(ids), size)
            params, own = views_of(ids)[rows], images[rows] if every else images[: rows.stop - rows.start]
            if params.mixed:
                order = found.argsort()
                partners = order[torch.searchsorted(found[order], params.partner)]
                own = mix(own, images[partners.to(device)], params)
            labels, partner_labels = self.labels[ids[rows]], self.labels[params.partner]
            used += len(ids)
            shares = params.shares(self.spec.resolution)
            yield Batch(own, labels.to(device), partner_labels.to(device), shares.to(device), share)
        if not used:
            raise DataError(f"{self.spec.name}: no batch has two images that can be read. Check the files named above.")

    def eval_batches(self, batch_size: int, device: torch.device | str) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order: resized, centre-cropped, normalised (see `Split`)."""
        for pixels, ids in self.decoded(torch.arange(len(self)).split(batch_size), device):
            yield self.spec.normalize(pixels.to(device, non_blocking=True)), self.labels[ids].to(device)

    def take(self, ids: Tensor) -> Tensor:
        """Some images resized and centre-cropped: [B] ids -> [B, 3, H, W] uint8 on the CPU.

        With `skip_corrupt` the next image of its class stands for one that cannot be read, with a warning.

        Raises:
            DataError: if one of them cannot be read.
        """
        files = self._files
        paths = [Path(os.fsdecode(files.paths[index])) for index in ids.tolist()]
        images, kept = decode_all(
            paths, files.size, scale=files.eval_scale, upright=files.upright, skip_corrupt=files.skip_corrupt
        )
        if len(kept) == len(ids):
            return images
        taken, readable = set(ids.tolist()), dict(zip(kept.tolist(), images, strict=True))
        return torch.stack(
            [
                readable[place] if place in readable else self._next(wanted, taken)
                for place, wanted in enumerate(ids.tolist())
            ]
        )

    def part(self, ids: Tensor) -> StreamSplit:
        """Some files as a split of their own (see `Split`)."""
        some = copy(self)
        some.labels, some._files = self.labels[ids], replace(self._files, paths=self._files.paths[ids.numpy()])
        return some

    def _next(self, index: int, taken: set[int]) -> Tensor:
        """The first readable image of the same class after `index`, the last followed by the first, but for `taken`."""
        same = (self.labels == self.labels[index]).nonzero()[:, 0]
        for other in same.roll(-int((same <= index).sum())).tolist():
            if other not in taken:
                taken.add(other)
                with suppress(DataError):
                    return self._files.decode(other, None, 0, 0)
        name = self.spec.classes[int(self.labels[index])]
        raise DataError(
            f"{self.spec.name}: too few readable images of class {name!r}. Replace the others, or ask for fewer."
        )

    def decoded(
        self,
        batches: Sequence[Tensor],
        device: torch.device | str = "cpu",
        view: ViewConfig | None = None,
        seed: int = 0,
        epoch: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels [B, 3, H, W] uint8 on the CPU, ready for the device, and the ids [B] of those that could be read.

        Batch by batch; random views, or the central squares if `view` is None.
        """
        loader: DataLoader[_Decoded] = DataLoader(
            _Batches(self._files, batches, view, seed, epoch),
            batch_size=None,
            num_workers=min(self._workers, len(batches)),
            collate_fn=_as_is,
            pin_memory=torch.device(device).type == "cuda",
            generator=torch.Generator(),
        )
        for pixels, ids, problems in loader:
            if problems and not self._files.skip_corrupt:
                raise DataError(problems[0])
            for problem in problems:
                warnings.warn(f"skipped: {problem}", stacklevel=3)
            if len(ids):
                yield pixels, ids


@dataclass(frozen=True)
class _Files:
    paths: npt.NDArray[np.bytes_]
    """One block of memory: a list of str would be copied into every worker bit by bit."""
    size: int
    eval_scale: float
    upright: bool
    skip_corrupt: bool

    def decode(self, index: int, view: ViewConfig | None, seed: int, epoch: int) -> Tensor:
        """One image [3, size, size]: a random view, or the central square if `view` is None."""
        image = open_rgb(os.fsdecode(self.paths[index]), upright=self.upright)
        if view is None:
            return to_pixels(fit(image, self.size, self.eval_scale))
        if view.crop != "resized":
            image = fit(image, self.size)
        params = draw(view, seed=seed, epoch=epoch, ids=torch.tensor([index]), size=(image.height, image.width))
        top, left, height, width = params.box[0].tolist()
        crop = image.crop((left, top, left + width, top + height))
        crop = crop.resize((self.size, self.size), Image.Resampling.BILINEAR)
        if params.flip[0]:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return to_pixels(crop).roll(params.roll[0].tolist(), dims=(1, 2))


class _Decoded(NamedTuple):
    pixels: Tensor
    ids: Tensor
    problems: list[str]


@dataclass(frozen=True)
class _Batches(Dataset[_Decoded]):
    """A batch is one item, so that a worker decodes whole batches and nothing is collated."""

    files: _Files
    batches: Sequence[Tensor]
    view: ViewConfig | None
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> _Decoded:
        images, ids, problems = [], [], []
        for image_id in self.batches[index].tolist():
            try:
                images.append(self.files.decode(image_id, self.view, self.seed, self.epoch))
                ids.append(image_id)
            except DataError as error:
                problems.append(str(error))
        pixels = torch.stack(images) if images else torch.empty(0, dtype=torch.uint8)
        return _Decoded(pixels, torch.tensor(ids, dtype=torch.long), problems)


def _needed(ids: Tensor, params: ViewParams, share: Share) -> Tensor:
    """Of a batch the images of a rank, and after them those that these are mixed with."""
    own, others = ids[share.rows], params.partner[share.rows]
    return torch.cat([own, others[~torch.isin(others, own)].unique()])


def _as_is(batch: Any) -> Any:
    return batch
