"""Datasets: axis 1. One file per dataset; `load` finds them by name.

A plug-in file offers `PLUGINS: dict[str, Loader]`. Data lies in `root`, else in `$SRE2L_DATA`, else in
`~/.cache/sre2l/data`; decoded images are kept in `$SRE2L_CACHE`, else in `~/.cache/sre2l/decoded`, which may be deleted
at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sre2l_core.data.holdout import held_out
from sre2l_core.data.request import Loader, Request
from sre2l_core.data.resident import ResidentSplit
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Batch, Dataset, Split
from sre2l_core.registry import catalogue, lookup

__all__ = ["Batch", "Dataset", "DatasetSpec", "Loader", "Request", "ResidentSplit", "Split"]
__all__ += ["held_out", "load", "names"]


def names() -> list[str]:
    """The datasets of the catalogue."""
    return sorted(catalogue("data"))


def load(
    name: str,
    root: str | Path | None = None,
    *,
    classes: Sequence[str | int] | None = None,
    num_classes: int | None = None,
    resolution: int | None = None,
    skip_corrupt: bool = False,
    holdout: float = 0.0,
    holdout_seed: int = 0,
    download: bool = True,
    seed: int = 0,
    workers: int | None = None,
    stream: bool | None = None,
) -> Dataset:
    """Load a dataset of the catalogue.

    Args:
        name: one of `names()`.
        root: folder of the data or one above it; None: `$SRE2L_DATA`, else `~/.cache/sre2l/data`.
        classes: only these classes, by id, readable name or index; labels follow the dataset's order.
        num_classes: only the first so many classes.
        resolution: height and width in pixels; None: the dataset's own.
        skip_corrupt: skip files that cannot be read, with a warning, instead of stopping.
        holdout: share of each class's training images that takes the place of the validation images; see `held_out`.
        holdout_seed: fixes which images these are.
        download: fetch what is missing, where the dataset can be downloaded.
        seed: fixes the validation part of a folder that has none.
        workers: decoding processes of a streamed dataset; None: one per core, at most 8.
        stream: decode images whenever they are used (True) or once (False); None: by size.

    Returns:
        The dataset with its training and validation split.

    Raises:
        ConfigError: for an unknown dataset or class, naming the nearest.
        DataError: if the data is missing or unusable; says what is expected where.
    """
    loader: Loader = lookup("data", "dataset", name)
    data = loader(
        Request(
            name=name,
            root=None if root is None else Path(root),
            classes=None if classes is None else tuple(classes),
            num_classes=num_classes,
            resolution=resolution,
            skip_corrupt=skip_corrupt,
            download=download,
            seed=seed,
            workers=workers,
            stream=stream,
        )
    )
    return held_out(data, holdout, holdout_seed) if holdout else data
