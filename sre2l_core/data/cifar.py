"""`cifar10` and `cifar100` (Krizhevsky, 2009), 32x32, read and downloaded by torchvision, which checks their hashes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sre2l_core.data.request import Request
from sre2l_core.data.resident import ResidentSplit, resized
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Dataset
from sre2l_core.errors import DataError

_STATISTICS = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
"""Customary for CIFAR-10; the reference's CIFAR-100 scripts use them too, so both sets do."""


def load_cifar10(request: Request) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 images in 10 classes."""
    from torchvision.datasets import CIFAR10

    return _load(request, CIFAR10)


def load_cifar100(request: Request) -> Dataset:
    """CIFAR-100 with its 100 fine classes: 50,000 + 10,000 images."""
    from torchvision.datasets import CIFAR100

    return _load(request, CIFAR100)


def _load(request: Request, kind: Any) -> Dataset:
    train, val = (_part(request, kind, train=train) for train in (True, False))
    known = train.classes
    wanted = request.pick(known)
    resolution = request.resolution or 32
    spec = DatasetSpec(request.name, tuple(known[index] for index in wanted), 3, resolution, *_STATISTICS)
    label_of = torch.full((len(known),), -1)
    label_of[list(wanted)] = torch.arange(len(wanted))

    def split(part: Any) -> ResidentSplit:
        labels = label_of[torch.tensor(part.targets)]
        pixels: Tensor = torch.from_numpy(part.data).permute(0, 3, 1, 2)
        return ResidentSplit(spec, resized(pixels[labels >= 0].contiguous(), resolution), labels[labels >= 0])

    return Dataset(spec, split(train), split(val))


def _part(request: Request, kind: Any, *, train: bool) -> Any:
    folder = request.folder
    places = [folder.parent] if folder.name == kind.base_folder else [folder, folder / request.name]
    place = next((place for place in places if (place / kind.base_folder).is_dir()), places[-1])
    with warnings.catch_warnings():
        # The official files are old pickles of NumPy arrays, about which NumPy 2.4 complains.
        warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
        try:
            return kind(place, train=train, download=False)
        except RuntimeError:
            if not request.download:
                raise DataError(
                    _missing(request, kind, place, "it is not there, or not all of it as it was published")
                ) from None
        try:
            return kind(place, train=train, download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(_missing(request, kind, place, f"the download failed: {error}")) from error


def _missing(request: Request, kind: Any, place: Any, reason: str) -> str:
    return f"{request.name}: {reason}. Download {kind.url} and unpack it so that {place / kind.base_folder} exists."


PLUGINS = {"cifar10": load_cifar10, "cifar100": load_cifar100}
