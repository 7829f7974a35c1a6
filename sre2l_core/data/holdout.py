"""Tuning without the test images: a part of the training images is held out, and judges in their place."""

from __future__ import annotations

from dataclasses import replace

from sre2l_core.data.folders import listed
from sre2l_core.data.split import Dataset, Holdout, stratified_split
from sre2l_core.errors import ConfigError, DataError


def held_out(data: Dataset, share: float, seed: int = 0) -> Dataset:
    """The same classes and statistics; trained on the rest of the training images, judged on a part of them.

    The dataset's own validation images, on which papers report, cannot be reached from what comes back.

    Args:
        data: any dataset.
        share: of each class, in (0, 1), rounded to whole images; at least one image of each class in either part.
        seed: fixes which images; no seed of a stage changes that.

    Raises:
        ConfigError: for a share that is none.
        DataError: where a class has a single training image.
    """
    if not 0 < share < 1:
        raise ConfigError(f"{data.name}: holdout must be a share between 0 and 1 (got {share})")
    if small := [data.spec.classes[label] for label, rows in enumerate(data.train_rows) if len(rows) < 2]:
        raise DataError(
            f"{data.name} has fewer than two training images of class {listed(small)}: none can be held out. Choose "
            "other classes, or do without holdout."
        )
    holdout, (rest, held) = Holdout(share, seed), stratified_split(data.train.labels, val_share=share, seed=seed)
    note = f"judged on {len(held):,} images, {holdout}; the test images are not looked at"
    return replace(
        data, train=data.train.part(rest), val=data.train.part(held), notes=(*data.notes, note), holdout=holdout
    )
