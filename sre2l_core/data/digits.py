"""`digits`: the 1,797 grey 8x8 digits inside scikit-learn; needs no download.

Source: UCI "Optical Recognition of Handwritten Digits" (test part), as `sklearn.datasets.load_digits` ships it.
"""

from __future__ import annotations

import torch

from sre2l_core.data.request import Request
from sre2l_core.data.resident import ResidentSplit, resized
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Dataset, stratified_split

_LEVELS = 16
"""Grey values are 0..16."""
_SPLIT_SEED = 0
"""The split is the same for everyone: 20 % of each digit is held out, whatever seed a stage uses."""
_MEAN, _STD = (0.3060,), (0.3762,)
"""Of the training part at 8x8."""


def load_digits(request: Request) -> Dataset:
    """Digits, 80 % for training and 20 % for validation; 8x8, or resized bilinearly to `resolution`."""
    from sklearn.datasets import load_digits as bundled

    everything = bundled()
    known = tuple(str(label) for label in range(10))
    wanted = request.pick(known)
    resolution = request.resolution or 8
    spec = DatasetSpec(request.name, tuple(known[index] for index in wanted), 1, resolution, _MEAN, _STD)
    pixels = torch.from_numpy(everything.images).mul(255 / _LEVELS).round().to(torch.uint8)[:, None]
    pixels = resized(pixels, resolution)
    digits = torch.from_numpy(everything.target).long()
    label_of = torch.full((10,), -1)
    label_of[list(wanted)] = torch.arange(len(wanted))
    parts = []
    for ids in stratified_split(digits, val_share=0.2, seed=_SPLIT_SEED):
        chosen = ids[label_of[digits[ids]] >= 0]
        parts.append(ResidentSplit(spec, pixels[chosen], label_of[digits[chosen]]))
    return Dataset(spec, *parts)


PLUGINS = {"digits": load_digits}
