"""What a user asks of a dataset: where it lies, which classes, which resolution."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from sre2l_core.data.split import Dataset
from sre2l_core.errors import ConfigError, DataError, came, plain


@dataclass(frozen=True)
class Request:
    """The arguments of `load`; a loader reads those that concern it."""

    name: str
    root: Path | None = None
    classes: tuple[str | int, ...] | None = None
    num_classes: int | None = None
    resolution: int | None = None
    skip_corrupt: bool = False
    download: bool = True
    seed: int = 0
    workers: int | None = None
    stream: bool | None = None

    def __post_init__(self) -> None:
        if self.resolution is not None and not 1 <= self.resolution <= 4096:
            raise ConfigError(f"{self.name}: resolution must be within 1..4096 pixels (got {self.resolution})")
        if self.seed < 0 or (self.workers or 0) < 0:
            raise ConfigError(f"{self.name}: seed and workers must not be negative")

    @property
    def folder(self) -> Path:
        """Where datasets are looked for: `root`, else $SRE2L_DATA, else ~/.cache/sre2l/data."""
        chosen = self.root or os.environ.get("SRE2L_DATA") or Path.home() / ".cache" / "sre2l" / "data"
        return Path(chosen).expanduser()

    def find(self, *names: str, holds: str = "train") -> Path | None:
        """The first of `folder` and its subfolders `names` that contains `holds`."""
        places = [self.folder, *(self.folder / name for name in names)]
        return next((place for place in places if (place / holds).is_dir()), None)

    def pick(self, known: Sequence[str], names: Sequence[str] = ()) -> tuple[int, ...]:
        """Indices, ascending, of the wanted classes among the dataset's own; all of them where nothing was asked.

        Args:
            known: class ids of the whole dataset, in its order.
            names: their readable names; one that stands for a single class may be used instead of its id, whole or up
                to the first comma.

        Returns:
            Positions in `known`. The dataset's order is kept, so that one set of classes always has one label map.

        Raises:
            ConfigError: for an unknown class (names the nearest), one asked twice, or a number out of range.
            DataError: if fewer than two classes are left.
        """
        wanted = tuple(range(len(known)))
        if self.classes is not None and self.num_classes is not None:
            raise ConfigError("give classes or num_classes, not both")
        if self.classes is not None:
            wanted = tuple(self._index(entry, known, names) for entry in self.classes)
            if len(set(wanted)) < len(wanted):
                raise ConfigError(
                    f"{self.name}: a class was asked for twice: {', '.join(map(plain, map(str, self.classes)))}"
                )
        if self.num_classes is not None:
            if not 2 <= self.num_classes <= len(known):
                raise ConfigError(f"{self.name}: num_classes must be within 2..{len(known)} (got {self.num_classes})")
            wanted = wanted[: self.num_classes]
        if len(wanted) < 2:
            raise DataError(f"{self.name}: at least two classes are needed (got {[known[index] for index in wanted]})")
        return tuple(sorted(wanted))

    def _index(self, entry: str | int, known: Sequence[str], names: Sequence[str]) -> int:
        if isinstance(entry, int):
            if not 0 <= entry < len(known):
                raise ConfigError(f"{self.name}: class index {entry} is not within 0..{len(known) - 1}")
            return entry
        if entry in known:
            return known.index(entry)
        short = [name.split(",")[0] for name in names]
        for readable in (list(names), short):
            if readable.count(entry) == 1:
                return readable.index(entry)
        nearest = get_close_matches(entry, [*known, *short], n=1, cutoff=0.4)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        shown = ", ".join(known) if len(known) <= 20 else f"{', '.join(known[:3])}, … {known[-1]}"
        raise ConfigError(f"unknown class {came(entry)} of {self.name}.{hint} Its {len(known)} classes: {shown}.")


Loader = Callable[[Request], Dataset]
