"""Labels at scale: does a stored label cost what `labels.json` says, and who holds how much of them at a time?

All stages are the package's own: `relabel` writes a shard an epoch, by a small network on small pictures, for neither
enters what a label costs; then the batches of an epoch take their labels from the store, as students do. Each side
runs in a fresh process; "MiB to write" and "to read" are what it took on top of network and pictures at its peak. What
is read is mapped: it counts here, and the system takes it back when it needs the room.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness import RESULTS, Row, condensed_set, in_child, network, parser, peak_memory, report, started

from sre2l_core.config import RelabelConfig
from sre2l_core.data.split import train_id_batches
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import SoftLabels
from sre2l_core.stages.relabel import relabel

SIDE = 8
"""Pixels of a picture."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--images", type=int, default=50_000, help="ImageNet-1K at 50 images a class")
    made.add_argument("--classes", nargs="+", type=int, default=[10, 1000])
    made.add_argument("--epochs", type=int, default=3)
    made.add_argument("--batch-size", type=int, default=1024)
    made.add_argument("--no-memory", action="store_true", help="all in this process; its memory is not measured")
    made.add_argument("--memory-of", type=json.loads, help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    device = started(options)
    runtime = Runtime.auto(str(device))
    if options.memory_of:
        print(json.dumps(side(options, runtime, **options.memory_of)))
        return
    rows = []
    for classes in options.classes:
        for codec in sorted(catalogue("codecs")):
            with TemporaryDirectory() as folder:
                rows.append(row(options, runtime, classes, codec, Path(folder) / "labels"))
    report("label_store", rows, options, device, [f"{options.images:,} images, {options.epochs} epochs."])


def row(options: argparse.Namespace, runtime: Runtime, classes: int, codec: str, folder: Path) -> Row:
    """A store that was written and read."""
    what = {"classes": classes, "codec": codec, "folder": str(folder)}
    measured = partial(side, options, runtime) if options.no_memory else partial(child, options)
    written, read = (measured(**what, act=act) for act in ACTS)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return {
        "classes": classes,
        "codec": codec,
        "bytes a label": size / (options.images * options.epochs),
        "labels.json": known(classes, codec),
        "MiB an epoch": size / options.epochs / 2**20,
        "MiB to write": None if options.no_memory else written["MiB"],
        "MiB to read": None if options.no_memory else read["MiB"],
        "s an epoch, written": written["s"] / options.epochs,
        "s an epoch, read": read["s"] / options.epochs,
    }


def known(classes: int, codec: str) -> float | None:
    """Bytes on disk of a label, as `labels.py` found them; None for another number of classes."""
    rows = json.loads((RESULTS / "labels.json").read_text(encoding="utf-8"))["rows"]
    found = [one["bytes, on disk"] for one in rows if (one["classes"], one["codec"]) == (classes, codec)]
    return found[0] if found else None


def child(options: argparse.Namespace, **what: Any) -> dict[str, float]:
    """One side in a process of its own: MiB and seconds."""
    numbers = {name: getattr(options, name) for name in ("images", "epochs", "batch_size", "device", "threads")}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in numbers.items() if value]
    found: dict[str, float] = in_child(__file__, [*words, "--memory-of", json.dumps(what)])
    return found


def side(
    options: argparse.Namespace, runtime: Runtime, *, classes: int, codec: str, folder: str, act: str
) -> dict[str, float]:
    """In that process."""
    program = ACTS[act](options, runtime, classes, codec, Path(folder))
    begun = time.perf_counter()
    memory = peak_memory(program, runtime.device)
    return {"MiB": memory, "s": time.perf_counter() - begun}


def writing(options: argparse.Namespace, runtime: Runtime, classes: int, codec: str, folder: Path) -> Any:
    """`relabel` into a folder, network and pictures made already."""
    teacher = network("convnet", SIDE, classes, width=8, depth=2)
    pictures = condensed_set(teacher.spec, options.images)
    config = RelabelConfig(epochs=options.epochs, batch_size=options.batch_size, codec=codec)
    return partial(relabel, teacher, pictures, config, runtime=runtime, out=folder)


def reading(options: argparse.Namespace, runtime: Runtime, classes: int, codec: str, folder: Path) -> Any:
    """The labels of every batch of a student's epochs."""

    def read() -> None:
        labels = SoftLabels.load(folder)
        for epoch in range(options.epochs):
            for ids in train_id_batches(options.images, batch_size=options.batch_size, seed=0, epoch=epoch):
                labels.logits(epoch, ids)

    return read


ACTS = {"write": writing, "read": reading}


if __name__ == "__main__":
    sys.exit(main())
