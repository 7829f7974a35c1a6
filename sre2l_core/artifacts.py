"""What the stages exchange: Teacher, CondensedSet, Score (and `labels.SoftLabels`); frozen, readable folders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from statistics import mean, stdev
from tempfile import gettempdir
from typing import Annotated, Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from sre2l_core import backbones, pictures, storage
from sre2l_core.config import check_fields
from sre2l_core.data.decoded import room_for
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Holdout
from sre2l_core.errors import ArtifactError, ConfigError, DataError, came, plain
from sre2l_core.runtime import Runtime
from sre2l_core.tabular import ENDINGS, Table, in_markdown


@dataclass(frozen=True, eq=False)
class Teacher:
    """Stage 1's result: a frozen classifier in eval mode, and the data it knows."""

    net: nn.Module
    spec: DatasetSpec
    backbone: str
    options: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    """Share of the validation images, by `top1` and `top5`; empty where there was no validation data."""
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, ArtifactError)
        self.net.eval().requires_grad_(False)

    @cached_property
    def id(self) -> str:
        """Fingerprint of the weights."""
        return storage.fingerprint(self.net.state_dict())

    def save(self, folder: str | Path) -> None:
        """Write `weights.safetensors` and the manifest; raises `ArtifactError` where a number is not finite."""
        with storage.saving(Path(folder), "teacher") as work:
            self.write(work)

    def write(self, work: storage.Work) -> None:
        """Write everything into a claimed folder, and finish it."""
        weights = self.net.state_dict()
        if sick := [name for name, tensor in weights.items() if not tensor.isfinite().all()]:
            raise ArtifactError(
                f"the teacher is of no use: {sick[0]} is infinite or no number ({len(sick)} tensors in all). "
                "Squeeze it anew with a lower lr or more warmup_epochs."
            )
        work.write(WEIGHTS, storage.save_tensors, weights)
        body = {name: getattr(self, name) for name in ("id", "backbone", "options", "accuracy", "origin")}
        work.finish({**body, "spec": self.spec.to_json()})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a teacher; raises `ArtifactError` where weights and network do not fit."""
        body = storage.read_manifest(Path(folder), "teacher")
        spec = DatasetSpec.from_json(body["spec"])
        net = empty_network(body["backbone"], spec, body["options"])
        weights = body.piece(WEIGHTS).checked()
        fill(net, storage.read_tensors(weights), source=weights)
        return cls(net, spec, body["backbone"], body["options"], body["accuracy"], body["origin"])


WEIGHTS = "weights.safetensors"


def empty_network(backbone: str, spec: DatasetSpec, options: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """A network for the dataset, its weights drawn from `seed`."""
    if given := sorted({"num_classes", "channels", "resolution", "seed"} & options.keys()):
        raise ConfigError(
            f"{backbone}: {', '.join(given)} comes from the dataset: leave it out of the network's options."
        )
    return backbones.build(
        backbone, num_classes=spec.num_classes, channels=spec.channels, resolution=spec.resolution, seed=seed, **options
    )


def fill(net: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Load `weights` into `net`; raises `ArtifactError` naming the first tensors that do not fit."""
    own = net.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{plain(name)} is unknown" for name in weights if name not in own]
    wrong += [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    wrong += [
        f"{name} is {weights[name].dtype}, expected {own[name].dtype}"
        for name in own
        if name in weights and weights[name].dtype != own[name].dtype
    ]
    wrong += [f"{plain(name)} is infinite or no number" for name in weights if not weights[name].isfinite().all()]
    if wrong:
        raise ArtifactError(f"{source} does not fit the network: {'; '.join(wrong[:3])} ({len(wrong)} in all).")
    net.load_state_dict(dict(weights))


@dataclass(frozen=True, eq=False)
class CondensedSet:
    """Stage 2's result: few labelled images, row = image id. Baselines of real images have the same form."""

    images: Tensor
    """[N, C, H, W] uint8 pixels."""
    labels: Tensor
    """[N] int64 class indices."""
    spec: DatasetSpec
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, DataError)
        if self.labels.ndim != 1 or self.labels.dtype != torch.int64:
            raise DataError(f"labels must be int64 [N] (got {self.labels.dtype}, {list(self.labels.shape)})")
        expected = (len(self.labels), self.spec.channels, *self.spec.size)
        if self.images.shape != expected or self.images.dtype != torch.uint8:
            raise DataError(
                f"a condensed set of {self.spec.name} takes uint8 images {list(expected)} "
                f"(got {self.images.dtype}, {list(self.images.shape)})"
            )
        if len(self) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.spec.num_classes:
            low, high = int(self.labels.min()), int(self.labels.max())
            raise DataError(f"labels must be within 0..{self.spec.num_classes - 1} (got {low}..{high})")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def id(self) -> str:
        """Fingerprint of pixels and labels."""
        return storage.fingerprint({"images": self.images, "labels": self.labels})

    def pool(self, runtime: Runtime) -> Tensor:
        """[N, C, H, W] uint8 where batches are taken from: moved to a device once, however many epochs and students."""
        if runtime.device not in self._pools:
            self._pools[runtime.device] = runtime.pool(self.images)
        return self._pools[runtime.device]

    @cached_property
    def _pools(self) -> dict[torch.device, Tensor]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_pools"}  # of this process's devices

    @property
    def ipc(self) -> int:
        """Images of the largest class."""
        return int(self.labels.bincount().max())

    def first(self, ipc: int) -> Self:
        """The first `ipc` images of each class; their ids, and so their views, stay the same."""
        rank = torch.zeros_like(self.labels)
        for label in self.labels.unique():
            chosen = self.labels == label
            rank[chosen] = torch.arange(int(chosen.sum()))
        keep = rank < ipc
        return replace(self, images=self.images[keep], labels=self.labels[keep])

    def save(self, folder: str | Path, image_format: str = "png") -> None:
        """Write an ImageFolder and the manifest."""
        with storage.saving(Path(folder), "condensed_set") as work:
            for index, (label, pixels) in enumerate(zip(self.labels.tolist(), self.images, strict=True)):
                work.write(image_name(self.spec, index, label, image_format), pictures.write, pixels, image_format)
            work.finish({"origin": self.origin, "spec": self.spec.to_json()})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the images back, in the order of their ids; many are mapped to a temporary file."""
        stored = StoredImages.open(folder)
        shape = (len(stored.labels), stored.spec.channels, *stored.spec.size)
        mapped = room_for(shape, Path(gettempdir()))
        images = torch.empty(shape, dtype=torch.uint8) if mapped is None else mapped
        for row, pixels in zip(images, stored, strict=True):  # filled one by one: a list of them would double them
            row.copy_(pixels)
        return cls(images, torch.tensor(stored.labels), stored.spec, stored.origin)


@dataclass(frozen=True)
class StoredImages:
    """The images of a condensed set on disk, read one by one, in the order of their ids."""

    labels: tuple[int, ...]
    """Class indices."""
    spec: DatasetSpec
    origin: Mapping[str, Any]
    pieces: Sequence[storage.Piece]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Read the manifest; raises `ArtifactError` where it lists no images."""
        body = storage.read_manifest(Path(folder), "condensed_set")
        files = sorted(body.pieces("images/").items(), key=lambda item: Path(item[0]).stem)
        if not files:
            raise ArtifactError(f"{folder} lists no images.")
        labels = tuple(_label_in(name, body.folder) for name, _ in files)
        return cls(labels, DatasetSpec.from_json(body["spec"]), body["origin"], [piece for _, piece in files])

    def __iter__(self) -> Iterator[Tensor]:
        """[C, H, W] uint8 pixels; raises `ArtifactError` for a damaged file."""
        for piece in self.pieces:
            yield pictures.read(piece.checked(), self.spec.channels, self.spec.size)


def image_name(spec: DatasetSpec, index: int, label: int, image_format: str) -> str:
    """Where a condensed image lies: `images/<label>_<class id>/<index>.<format>`, so ImageFolder keeps the labels."""
    name = "".join(c if c.isalnum() or c in "-." else "-" for c in spec.classes[label])
    short = name.encode()[:_LONGEST].decode(errors="ignore")
    return f"images/{label:05d}_{short}/{index:08d}.{image_format}"


def _label_in(name: str, folder: Path) -> int:
    """The label in the name of an image, see `image_name`; raises `ArtifactError` where there is none."""
    if found := re.match(r"images/([0-9]{1,9})_", name):
        return int(found[1])
    raise ArtifactError(f"{folder / name} is no image of a class: its folder must be called as in images/00003_cat.")


_LONGEST = 200
"""Bytes of a class id in the name of a folder; file systems take 255 in all."""


@dataclass(frozen=True)
class ScoreRow:
    """Students trained one way; accuracies in [0, 1] on the real validation images, one per seed."""

    data: str
    labels: str
    student: str
    images: int
    steps: int
    """Optimiser steps of each student."""
    last: Annotated[tuple[float, ...], Field(min_length=1)]
    """Top-1 after the last epoch: the headline."""
    best: Annotated[tuple[float, ...], Field(min_length=1)]
    """Best top-1 of any evaluated epoch: chosen on the test data, for comparison with papers that do so."""
    last_top5: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, ArtifactError)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A row from the lists and numbers of a JSON file; raises `ArtifactError` where it is none."""
        names = {entry.name for entry in fields(cls)}
        if not isinstance(values, Mapping) or names - {"last_top5"} - values.keys() or values.keys() - names:
            raise ArtifactError(f"a row of a score has {', '.join(sorted(names))} (got {came(values)}).")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)

    def mean_std(self, which: str = "last") -> tuple[float, float]:
        """Mean and sample standard deviation (0 for a single seed)."""
        values: tuple[float, ...] = getattr(self, which)
        return mean(values), stdev(values) if len(values) > 1 else 0.0

    def cells(self) -> tuple[str, ...]:
        """As they stand in a table."""
        (last, spread), (best, _) = self.mean_std(), self.mean_std("best")
        numbers = (f"{100 * last:.1f} ± {100 * spread:.1f}", f"{100 * best:.1f}")
        return (self.data, self.labels, self.student, str(self.images), str(self.steps), *numbers)

    def record(self) -> dict[str, Any]:
        """Plain values, accuracies in %: what a CSV file holds."""
        (last, spread), (best, best_spread) = self.mean_std(), self.mean_std("best")
        several = len(self.last) > 1
        return {
            "images": self.data, "labels": self.labels, "student": self.student,
            "n": self.images, "steps": self.steps, "seeds": len(self.last),
            "last": 100 * last, "last_std": 100 * spread if several else None,
            "best": 100 * best, "best_std": 100 * best_spread if several else None,
            "last_values": " ".join(f"{100 * value:.3f}" for value in self.last),
        }  # fmt: skip


_COLUMNS = ("images", "labels", "student", "n", "steps", "top-1 last (%)", "best (%)")


@dataclass(frozen=True)
class Score:
    """Stage 4's result: a table of students trained on condensed and on real images."""

    rows: tuple[ScoreRow, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)
    confusions: Mapping[str, Tensor] = field(default_factory=dict, compare=False, repr=False)
    """Student -> [K, K] int32 validation images by true class (row) and predicted class (column); empty where nobody
    asked for them. Students are called as in `students.json`."""

    def row(self, data: str, labels: str, student: str | None = None) -> ScoreRow:
        """The row of a data and label kind; raises `KeyError` where there is none."""
        for row in self.rows:
            if (row.data, row.labels) == (data, labels) and student in (None, row.student):
                return row
        raise KeyError(f"no row {data} + {labels} among {[(row.data, row.labels) for row in self.rows]}")

    @property
    def judge(self) -> str:
        """The images that the students were tested on, in words."""
        held = self.origin.get("holdout")
        return "the validation images" if held is None else str(Holdout(**held))

    def tabulated(self) -> Table:
        """Top-1 in % of the last epoch and of the best one, and how it was measured."""
        notes = list[str]()
        if precision := self.origin.get("precision"):
            notes.append(f"students trained in {in_markdown(str(precision))}")
        if "holdout" in self.origin:
            notes += [""] * bool(notes) + [f"judged on {self.judge}; the test images were not looked at"]
        return Table(_COLUMNS, [row.cells() for row in self.rows], [row.record() for row in self.rows], notes)

    def table(self) -> str:
        """The table as text, best viewed in a fixed-width font; also valid Markdown."""
        return self.tabulated().to_markdown()

    def save(self, folder: str | Path) -> None:
        """Write everything into the manifest, and the table as `score.md`, `score.csv` and `score.tex`."""
        with storage.saving(Path(folder), "score") as work:
            self.write(work)

    def write(self, work: storage.Work) -> None:
        """Write everything into a claimed folder, and finish it."""
        table = self.tabulated()
        for form, ending in ENDINGS.items():
            work.write(f"score.{ending}", Path.write_text, table.text_of_file(form), "utf-8")
        if self.confusions:
            work.write(CONFUSIONS, storage.save_tensors, self.confusions)
        work.finish({"rows": [asdict(row) for row in self.rows], "origin": self.origin})

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a table back."""
        body = storage.read_manifest(Path(folder), "score")
        rows = tuple(ScoreRow.from_json(row) for row in body["rows"])
        return cls(rows, body["origin"], _confusions(body) if CONFUSIONS in body["files"] else {})


CONFUSIONS = "confusions.safetensors"


def _confusions(body: storage.Manifest) -> dict[str, Tensor]:
    """Confusion matrices beside a score; raises `ArtifactError` where they are none."""
    path = body.piece(CONFUSIONS).checked()
    found = storage.read_tensors(path)
    for name, counts in found.items():
        square = counts.ndim == 2 and counts.shape[0] == counts.shape[1] and not counts.is_floating_point()
        if not square or (counts < 0).any():
            got = list(counts.shape)
            raise ArtifactError(f"{path}: {plain(name)} is no confusion matrix, [K, K] counts (got {got}).")
    return found
