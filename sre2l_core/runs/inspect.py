"""What lies in an artifact folder, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from sre2l_core import storage
from sre2l_core.artifacts import Score, StoredImages, Teacher
from sre2l_core.bn_stats import batchnorms
from sre2l_core.committee import members
from sre2l_core.config import Config, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.errors import ArtifactError, plain
from sre2l_core.files import size_of
from sre2l_core.manifests import strangers
from sre2l_core.stages.labels import SoftLabels

SHADES = " .:-=+*#%@"
_SHOWN = 6
"""Images of a condensed set that are drawn."""
PARTS = ("teacher", "condensed", "labels", "score")
"""Folders of a run."""


def describe(folder: Path) -> Iterator[str]:
    """Lines about an artifact, or about every artifact of a run; raises `ArtifactError` where hashes do not match."""
    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}.")
    if _is_artifact(folder):
        yield from _artifact(folder)
        return
    parts = [part for part in folder.iterdir() if part.is_dir()]
    found = [part for part in parts if _is_artifact(part)]
    if not found:
        raise ArtifactError(
            f"{folder} holds no artifact of this package (no {storage.MANIFEST} in it or one level below)."
        )
    if lost := [part for part in parts if part.name in PARTS and part not in found and strangers(part, ())]:
        raise ArtifactError(
            f"{lost[0] / storage.MANIFEST} is missing: nobody can tell what lies beside it. "
            f"Delete the folder {lost[0]} and run the command that made it again."
        )
    for part in sorted(found, key=lambda part: (storage.KINDS.index(_kind(part)), part)):
        yield from _artifact(part)
        yield ""


def _is_artifact(folder: Path) -> bool:
    return (folder / storage.MANIFEST).exists() or (folder / storage.REQUEST).exists()


def _kind(folder: Path) -> str:
    if (folder / storage.MANIFEST).exists():
        return str(storage.read_manifest(folder)["kind"])
    kind = storage.read_json(folder / storage.REQUEST).get("kind")
    if kind not in storage.KINDS:
        raise ArtifactError(
            f"{folder / storage.REQUEST} asks for a {plain(str(kind))}, expected {' or '.join(storage.KINDS)}."
        )
    return str(kind)


def _artifact(folder: Path) -> Iterator[str]:
    if not (folder / storage.MANIFEST).exists():
        yield f"{folder}: unfinished {_kind(folder).replace('_', ' ')}; the command that began it continues it"
        if at_work := storage.holder(folder):
            yield f"  {at_work}"
        return
    body = storage.read_manifest(folder)
    count = storage.verify(folder)
    size = size_of(folder)
    files = f"{count} file{'s' * (count != 1)}"
    yield f"{folder}: {body['kind'].replace('_', ' ')}, {files}, {in_bytes(size)}, all hashes match"
    yield "  made with " + ", ".join(f"{name} {number}" for name, number in body["versions"].items())
    if how := body["how"]:
        yield "  computed with " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in how.items())
    yield from _CONTENTS[body["kind"]](folder)


def _teacher(folder: Path) -> Iterator[str]:
    teacher = Teacher.load(folder)
    layers = batchnorms(teacher.net)
    parameters = sum(parameter.numel() for parameter in teacher.net.parameters())
    yield f"  {teacher.backbone} {_options(teacher.options)}: {parameters:,} parameters"
    yield f"  {len(layers)} BatchNorm layers, {sum(layer.num_features for layer in layers):,} channels"
    yield f"  knows {teacher.spec.name}: {teacher.spec.num_classes} classes, {_shape(teacher.spec)}"
    yield "  accuracy " + (", ".join(f"{k} {100 * v:.2f} %" for k, v in teacher.accuracy.items()) or "not measured")
    yield from _config(teacher.origin, SqueezeConfig)
    for one in members(teacher) if teacher.backbone == "committee" else ():
        known = ", ".join(f"{name} {100 * share:.2f} %" for name, share in one.accuracy.items()) or "not measured"
        yield f"  teacher {one.id}: {one.backbone} {_options(one.options)}, accuracy {known}"


def _condensed(folder: Path) -> Iterator[str]:
    stored, first = StoredImages.open(folder), list[torch.Tensor]()
    levels = torch.zeros(256, dtype=torch.long)
    for pixels in stored:  # one at a time: there may be more of them than the memory holds
        levels += pixels.flatten().bincount(minlength=256)
        first += [pixels] * (len(first) < _SHOWN)
    counts = torch.tensor(stored.labels).unique(return_counts=True)[1].tolist()
    per_class = "-".join(str(count) for count in sorted({min(counts), max(counts)}))
    yield f"  {len(stored.labels)} images of {len(counts)} classes, {per_class} a class"
    yield f"  {stored.spec.name}, {_shape(stored.spec)}; {stored.origin.get('method', 'origin unknown')}"
    mean, std = _mean_and_std(levels)
    yield f"  pixels: mean {mean:.3f}, std {std:.3f} (0..1)"
    yield from _config(stored.origin, RecoverConfig)
    yield "  first images: " + ", ".join(stored.spec.class_names[label] for label in stored.labels[:_SHOWN])
    yield from _in_characters(torch.stack(first))


def _labels(folder: Path) -> Iterator[str]:
    labels = SoftLabels.load(folder)
    yield f"  {len(labels.shards)} views of {labels.num_images} images, {labels.num_classes} classes"
    yield f"  codec {labels.config.codec}: {labels.codec.bytes_per_row(labels.num_classes)} bytes a label"
    yield f"  of teacher {labels.teacher_id}, images {labels.condensed_id}"
    yield from _config({"config": labels.config.model_dump(mode="json")}, RelabelConfig)


def _score(folder: Path) -> Iterator[str]:
    score = Score.load(folder)
    yield from (f"  {line}" for line in score.table().splitlines())
    yield from _config(score.origin, ValidateConfig)


_CONTENTS = {"teacher": _teacher, "condensed_set": _condensed, "soft_labels": _labels, "score": _score}


def _mean_and_std(levels: torch.Tensor) -> tuple[float, float]:
    """Of all pixels, as shares of white, from how often each of the 256 levels occurs [256]."""
    share = levels.double() / levels.sum()
    white = torch.arange(256) / 255
    mean = (share * white).sum()
    return float(mean), float((share * (white - mean).square()).sum().sqrt())


def _in_characters(images: torch.Tensor, width: int = 12) -> Iterator[str]:
    """Images [N, C, H, W] uint8 side by side as rows of characters, dark to bright."""
    grey = images.float().mean(1, keepdim=True)
    small = torch.nn.functional.interpolate(grey, size=(width // 2, width), mode="area")[:, 0]
    for row in range(width // 2):
        cells = ["".join(SHADES[min(int(value / 25.6), 9)] for value in image[row]) for image in small]
        yield "  " + "   ".join(cells)


def _config(origin: Mapping[str, Any], kind: type[Config]) -> Iterator[str]:
    config = origin.get("config")
    if isinstance(config, dict):
        usual = kind().model_dump(mode="json")
        shown = [f"{name}={value}" for name, value in config.items() if value != usual.get(name)]
        yield f"  {kind.__name__}({', '.join(shown)}), otherwise defaults"


def _options(options: Mapping[str, Any]) -> str:
    return f"({', '.join(f'{name}={value}' for name, value in options.items())})" if options else ""


def _shape(spec: Any) -> str:
    return f"{spec.resolution}x{spec.resolution} {'grey' if spec.channels == 1 else 'RGB'}"


def in_bytes(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"
