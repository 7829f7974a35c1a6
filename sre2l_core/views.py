"""Views are data: drawn first as plain numbers, applied later by one differentiable function.

`draw` is a pure function of (seed, epoch, image id): no batch size, order, worker count or device enters. `render`
turns the drawn numbers into pixels. Relabelling and training call both with the same seed and so see the same crops.

Crop, resize, flip and roll together are linear, and act on rows and columns separately. So a view of an image X is
`A_h X A_w^T` with two small matrices: batched, deterministic on every device, and differentiable in the pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from sre2l_core.ahead import Pool
from sre2l_core.augment import Drawn, draw_operations, transformed
from sre2l_core.config import MixedViewConfig, RelabelConfig, StoredViewConfig, ViewConfig
from sre2l_core.counter_random import CounterRandom
from sre2l_core.errors import ConfigError

_CROP_TRIES = 10  # as torchvision's RandomResizedCrop, which then gives up: see `_largest_crop`
_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ViewParams:
    """One random view per row, N rows; all on the CPU, where questions such as `mixed` wait for no device."""

    box: Tensor
    """[N, 4] int64: top, left, height, width of the crop in source pixels (may reach outside by the padding)."""
    flip: Tensor
    """[N] bool: mirrored left-right."""
    roll: Tensor
    """[N, 2] int64: circular shift down and right, in output pixels, after crop and flip."""
    partner: Tensor
    """[N] int64: id of the image to mix with; an image's own id where nothing is mixed."""
    weight: Tensor
    """[N] float32: share of the image itself as it was drawn, 1 where nothing is mixed; see `shares` for labels."""
    paste: Tensor
    """[N, 4] float32: top, left, bottom, right of the pasted CutMix rectangle, as shares of the view; zeros if none."""
    order: Tensor | None = None
    """[N, P] int64: which of the image's P patches, row by row, takes each place; None where it stays whole."""
    operations: Drawn | None = None
    """Those of RandAugment on each view; None without any."""

    def __getitem__(self, rows: Tensor | slice) -> ViewParams:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
        return ViewParams(**chosen)

    def __len__(self) -> int:
        return len(self.flip)

    @property
    def geometry(self) -> Tensor:
        """[N, 7] int64: top, left, height and width of the crop, shift down and right, 1 where mirrored."""
        return torch.cat([self.box, self.roll, self.flip[:, None].long()], dim=1)

    @property
    def mixed(self) -> bool:
        """Whether any row mixes two images."""
        return bool((self.weight < 1).any())

    def pasted(self, size: int) -> Tensor:
        """[N, 4] int64: top, left, bottom, right of the pasted rectangle in pixels of a view of `size`."""
        return (self.paste * size).round().long()

    def shares(self, size: int) -> Tensor:
        """[N] float32: share of the image itself in a view of `size` pixels, which its own label weighs.

        After CutMix it is counted in whole pixels, because only whole ones are pasted.
        """
        top, left, bottom, right = self.pasted(size).unbind(1)
        kept = 1 - (bottom - top) * (right - left) / size**2
        return torch.where(self.cut, kept, self.weight)

    @property
    def cut(self) -> Tensor:
        """[N] bool: CutMix, a rectangle is pasted; otherwise Mixup, or nothing is mixed."""
        return self.paste[:, 2] > self.paste[:, 0]


def draw(config: ViewConfig, *, seed: int, epoch: int, ids: Tensor, size: tuple[int, int]) -> ViewParams:
    """Random views of images of `size` (height, width), in source pixels.

    Args:
        config: what is random and how far; a `MixedViewConfig` may also mix images.
        seed: any integer; the stream of views belongs to it.
        epoch: epoch, or step while recovering.
        ids: [N] int64 image ids; partners for mixing are drawn among these.
        size: height and width of the source images.

    Returns:
        The views, row i for `ids[i]`. A row depends on (seed, epoch, its id) alone; with mixing also on the set of ids.
    """
    rows = ids.numpy()
    random = CounterRandom(seed, epoch, rows)
    box = _boxes(config, random, size)
    flip = random.uniform("flip") < config.flip
    low, high = config.roll
    roll = np.stack([low + _integers(random.uniform(f"roll {axis}"), high - low + 1) for axis in "hw"], axis=1)
    partner, weight, paste = _mixes(config, random, rows)
    return ViewParams(
        torch.from_numpy(box),
        torch.from_numpy(flip),
        torch.from_numpy(roll),
        torch.from_numpy(partner),
        torch.from_numpy(weight.astype(np.float32)),
        torch.from_numpy(paste.astype(np.float32)),
        _orders(config, random, size),
        draw_operations(random, config.augment, config.augment_strength) if isinstance(config, RelabelConfig) else None,
    )


def requests(batches: Iterable[Tensor], params: ViewParams) -> Iterator[Tensor]:
    """The rows of a pool that `render` asks for, batch by batch: the images, then those that they are mixed with."""
    for ids in batches:
        yield ids
        if (chosen := params[ids]).mixed:
            yield chosen.partner


def render(
    pool: Pool,
    ids: Tensor,
    params: ViewParams,
    *,
    size: int,
    black: Tensor | None = None,
    prepare: Callable[[Tensor], Tensor] | None = None,
    bounds: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The pixels of views, mixed where `params` say so.

    Args:
        pool: [P, C, H, W] images, row = image id; float, or uint8 with `prepare`.
        ids: [B] int64 ids of the wanted images.
        params: views of the whole pool, row = image id.
        size: height and width of a view in pixels.
        black: [C] value of padding outside the image; None leaves it at 0.
        prepare: turns the rows taken from the pool into floats, such as `DatasetSpec.normalize`.
        bounds: values of black and white, see `DatasetSpec.bounds`; needed where `params` have operations.

    Returns:
        [B, C, size, size] float, differentiable with respect to a float pool.
    """

    def view(rows: Tensor) -> Tensor:
        images, seen = pool[rows.to(pool.device)], params[rows]
        whole = images if prepare is None else prepare(images)
        views = apply(whole if seen.order is None else shuffled(whole, seen.order), seen, size=size, black=black)
        return views if seen.operations is None else transformed(views, seen.operations, bounds)

    chosen = params[ids]
    return mix(view(ids), view(chosen.partner), chosen) if chosen.mixed else view(ids)


def apply(images: Tensor, params: ViewParams, *, size: int, black: Tensor | None = None) -> Tensor:
    """Crop, resize (bilinear, antialiased when shrinking), flip and roll: [B, C, H, W] -> [B, C, size, size].

    With fewer views than images, each view serves as many images in a row: B is a multiple of their number.
    """
    geometry = params.geometry.to(images.device, non_blocking=True)  # no wait for the device
    rows, columns = matrices(geometry, (images.shape[2], images.shape[3]), size)
    views = resample(images, rows, columns)
    if black is None or not _reaches_outside(params.box, images):
        return views
    # The weights of an output pixel sum to 1 inside the image and to 0 outside: what is missing to 1 is padding.
    covered = rows.sum(2)[:, None, :, None] * columns.sum(2)[:, None, None, :]
    missing = (1 - covered).to(views.dtype) * black.to(views)[:, None, None]
    padded: Tensor = (views.unflatten(0, (len(params), -1)) + missing[:, None]).flatten(0, 1)
    return padded


def matrices(geometry: Tensor, source: tuple[int, int], size: int) -> tuple[Tensor, Tensor]:
    """A_h [N, size, H] and A_w [N, size, W] of views [N, 7] of images of `source` (height, width), float32."""
    top, left, height, width, down, right, flip = geometry[:, :, None].unbind(1)
    rows = _weights(top, height, source[0], size, down, torch.zeros_like(flip))
    return rows, _weights(left, width, source[1], size, right, flip)


def resample(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """A_h X A_w^T: images [B, C, H, W] seen through N pairs of `matrices`, each for B / N images in a row."""
    # Autocast would round the views to bf16, while terms such as R_TV measure them in float32.
    with torch.autocast(images.device.type, enabled=False):
        rows, columns = rows.to(images.dtype), columns.to(images.dtype)
        # Images of a view and their channels stand below one another: one large product is faster than many small ones.
        runs = images.unflatten(0, (len(rows), -1)).flatten(1, 2)
        views: Tensor = rows[:, None] @ (runs.flatten(1, 2) @ columns.mT).unflatten(1, runs.shape[1:3])
    return views.reshape(len(images), -1, *views.shape[2:])


def mix(own: Tensor, other: Tensor, params: ViewParams) -> Tensor:
    """CutMix (rows with a pasted rectangle) or Mixup (rows without) of two batches of views [B, C, S, S]."""
    size, device = own.shape[-1], own.device
    top, left, bottom, right = params.pasted(size).to(device)[:, :, None].unbind(1)
    # A mask instead of slices, because every row has a rectangle of its own.
    place = torch.arange(size, device=device)
    pasted = ((place >= top) & (place < bottom))[:, None, :, None] & ((place >= left) & (place < right))[
        :, None, None, :
    ]
    share = torch.where(params.cut, 1.0, params.weight).to(own)[:, None, None, None]
    return torch.where(pasted, other, share * own + (1 - share) * other)


def resized_to(images: Tensor, resolution: int) -> Tensor:
    """[B, C, H, W] -> [B, C, resolution, resolution], bilinear, antialiased; the images themselves if so large."""
    if images.shape[-2:] == (resolution, resolution):
        return images
    sized: Tensor = interpolate(images, (resolution, resolution), mode="bilinear", antialias=True)
    return sized


def shuffled(images: Tensor, order: Tensor) -> Tensor:
    """Images [B, C, H, W] whose patches change places: at each of the P places, row by row, the one that `order` names.

    Args:
        images: with a height and width that sqrt(P) divides.
        order: [B, P] int64.
    """
    side = round(order.shape[1] ** 0.5)
    height, width = images.shape[2] // side, images.shape[3] // side
    patches = images.unflatten(3, (side, width)).unflatten(2, (side, height)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    moved = patches[torch.arange(len(images), device=images.device)[:, None], order.to(images.device)]
    whole: Tensor = moved.unflatten(1, (side, side)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return whole


def _reaches_outside(box: Tensor, images: Tensor) -> bool:
    start, length = box[:, :2], box[:, 2:]
    return bool(((start < 0) | (start + length > torch.tensor(images.shape[2:]))).any())


def _weights(start: Tensor, length: Tensor, source: int, size: int, roll: Tensor, flip: Tensor) -> Tensor:
    """[N, size, source] float32 weights of source pixels in output pixels along one axis; views are columns [N, 1].

    Bilinear with half-pixel centres, restricted to the crop's own pixels; the triangle widens when the crop shrinks.
    Equals slice + `interpolate(align_corners=False, antialias=True)`. Rows outside the image are zero.
    """
    place = torch.remainder(torch.arange(size, device=start.device) - roll, size)
    place = torch.where(flip > 0, size - 1 - place, place)
    # In units of 1 / (2 size) source pixels all numbers are whole, and as float32 exact below 2^24. As fractions the
    # centres would lose the digits that the weights are made of, and not every device has float64.
    centre = (2 * size * start + (2 * place + 1) * length - size)[:, :, None]
    pixel = torch.arange(source, device=start.device)
    reach = 2 * length.clamp_min(size)[:, :, None]
    weights = (reach - (centre - 2 * size * pixel).abs()).clamp_min(0)
    weights = weights * ((pixel >= start[:, :, None]) & (pixel < (start + length)[:, :, None]))
    return weights.float() / weights.sum(2, keepdim=True).clamp_min(1).float()


def _boxes(config: ViewConfig, random: CounterRandom, size: tuple[int, int]) -> _Integers:
    """Crops of the image, or of one of the smaller ones that it holds."""
    parts = config.formation if isinstance(config, StoredViewConfig) else 1
    if parts == 1:
        return _crop_boxes(config, random, size)
    if config.crop == "padded":
        raise ConfigError(f"formation={parts} needs crop='resized' or 'none': padding would show what lies beside.")
    check_divides("formation", parts, size)
    small = (size[0] // parts, size[1] // parts)
    box = _crop_boxes(config, random, small)
    for axis, name in enumerate("hw"):
        box[:, axis] += small[axis] * _integers(random.uniform(f"part {name}"), parts)
    return box


def _orders(config: ViewConfig, random: CounterRandom, size: tuple[int, int]) -> Tensor | None:
    """Where patches go: those with the smaller random numbers come first."""
    side = config.shuffle if isinstance(config, RelabelConfig) else 1
    if side == 1:
        return None
    check_divides("shuffle", side, size)
    keys = np.stack([random.uniform(f"patch {number}") for number in range(side**2)], axis=1)
    return torch.from_numpy(keys.argsort(axis=1, kind="stable"))


def check_divides(name: str, parts: int, size: tuple[int, int]) -> None:
    """Raise `ConfigError` where images of `size` (height, width) cannot be cut into so many parts along each side."""
    if size[0] % parts or size[1] % parts:
        raise ConfigError(f"{name}={parts} must divide the height and width of the images, {size[0]} x {size[1]}.")


def _crop_boxes(config: ViewConfig, random: CounterRandom, size: tuple[int, int]) -> _Integers:
    height, width = size
    count = len(random.ids)
    if config.crop == "none":
        return np.tile(np.array([0, 0, height, width]), (count, 1))
    if config.crop == "padded":
        top, left = (_integers(random.uniform(f"pad {axis}"), 2 * config.padding + 1) - config.padding for axis in "hw")
        return np.stack([top, left, np.full(count, height), np.full(count, width)], axis=1)
    low, high = config.crop_scale
    log_low, log_high = np.log(config.crop_ratio)
    # All tries of all images at once: drawing the ones that are not needed costs less than finding out which are.
    tries = range(_CROP_TRIES)
    area = height * width * (low + (high - low) * np.stack([random.uniform(f"area {t}") for t in tries]))
    ratio = np.exp(log_low + (log_high - log_low) * np.stack([random.uniform(f"ratio {t}") for t in tries]))
    w, h = np.rint(np.sqrt(area * ratio)).astype(np.int64), np.rint(np.sqrt(area / ratio)).astype(np.int64)
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.argmax(0)
    found = fits.any(0)
    w, h = w[first, np.arange(count)], h[first, np.arange(count)]
    top = _integers(random.uniform("top"), height - h + 1)
    left = _integers(random.uniform("left"), width - w + 1)
    return np.where(found[:, None], np.stack([top, left, h, w], axis=1), _largest_crop(size, config.crop_ratio))


def _largest_crop(size: tuple[int, int], ratio: tuple[float, float]) -> _Integers:
    """[4] the largest centred crop whose width over height is within `ratio`: torchvision's choice if no draw fits."""
    height, width = size
    w = min(width, max(1, round(height * ratio[1])))
    h = min(height, max(1, round(width / ratio[0])))
    return np.array([(height - h) // 2, (width - w) // 2, h, w])


def _mixes(config: ViewConfig, random: CounterRandom, ids: _Integers) -> tuple[_Integers, _Floats, _Floats]:
    """Partner, own share and pasted rectangle; CutMix centres are uniform and its box is clipped (Yun et al., 2019)."""
    count = len(ids)
    if not isinstance(config, MixedViewConfig) or config.mix == "none":
        return ids.copy(), np.ones(count), np.zeros((count, 4))
    partner = ids[_integers(random.uniform("partner"), count)]
    share = random.symmetric_beta("share", config.mix_alpha)
    if config.mix == "mixup":
        return partner, share, np.zeros((count, 4))
    half = np.sqrt(1 - share) / 2
    middle = np.stack([random.uniform(f"paste {axis}") for axis in "hw"], axis=1)
    paste = np.concatenate([middle - half[:, None], middle + half[:, None]], axis=1).clip(0, 1)
    area = (paste[:, 2] - paste[:, 0]) * (paste[:, 3] - paste[:, 1])
    return partner, 1 - area, paste


def _integers(uniform: _Floats, high: int | _Integers) -> _Integers:
    """Uniform integers in [0, high) from uniform numbers in [0, 1)."""
    # A number just below 1 times a large `high` may round up to it.
    whole: _Integers = np.minimum(np.floor(uniform * high), np.asarray(high) - 1).astype(np.int64)
    return whole
