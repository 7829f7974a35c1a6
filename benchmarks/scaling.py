"""Does the cost of recovery grow with the work and with nothing else? One knob at a time, the others at their base.

Work is images x steps x pixels of a small ResNet-10. Linear means that ms per image and iteration stay level along
images per class, classes and steps; flat means that MiB do along images per class, since finished groups go to disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from harness import Row, alternate, in_child, network, parser, peak_memory, report, started

from sre2l_core import recover
from sre2l_core.config import RecoverConfig
from sre2l_core.runtime import Runtime

BASE = {"ipc": 1, "classes": 10, "resolution": 32, "steps": 6, "stack": 1}
KNOBS = {
    "ipc": (1, 2, 4, 8),
    "classes": (10, 20, 40),
    "resolution": (16, 32, 64),
    "steps": (6, 12, 24),
    "stack": (1, 2, 4),
}
WITH_MEMORY = ("ipc", "stack")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--scale", type=int, default=1, help="multiplies classes and steps: for a GPU, 10 or more")
    made.add_argument("--knobs", nargs="+", choices=KNOBS, default=list(KNOBS), help="default all")
    made.add_argument("--shrink", type=int, default=1, help="divides steps and resolution: does it run through?")
    made.add_argument("--backbone", default="resnet10", help="network")
    made.add_argument("--no-memory", action="store_true", help="leave out peak memory (a process for each point)")
    made.add_argument("--memory-of", type=json.loads, help=argparse.SUPPRESS)
    options = made.parse_args(arguments)
    device = started(options)
    if options.memory_of:
        print(peak_memory(partial(run, options.memory_of, options.backbone, device), device))
        return
    rows = []
    for knob in options.knobs:
        values = KNOBS[knob]
        points = {value: point(knob, value, options.scale, options.shrink) for value in values}
        programs = {str(value): partial(run, settings, options.backbone, device) for value, settings in points.items()}
        times = alternate(programs, options.rounds, device)
        rows += [row(knob, value, settings, times[str(value)], options) for value, settings in points.items()]
    report("scaling", rows, options, device, [f"Base: {json.dumps(BASE)}, {options.backbone} of width 16."])


def point(knob: str, value: int, scale: int, shrink: int) -> dict[str, int]:
    """The base with one knob turned; several groups to stack need as many images per class."""
    settings = BASE | {knob: value}
    if knob == "stack":
        settings["ipc"] = max(KNOBS["stack"])
    larger = {name: settings[name] * scale for name in ("classes", "steps")}
    smaller = {name: (settings | larger)[name] // shrink for name in ("resolution", "steps")}
    return settings | larger | smaller


def run(settings: dict[str, int], backbone: str, device: torch.device) -> None:
    """Recover a small condensed set into a folder."""
    config = RecoverConfig(
        ipc=settings["ipc"], steps=settings["steps"], group_size=settings["classes"], stack=settings["stack"]
    )
    with TemporaryDirectory() as folder:
        teacher = network(backbone, settings["resolution"], settings["classes"], width=16)
        recover(teacher, config, runtime=Runtime.auto(str(device)), out=Path(folder) / "condensed")


def row(knob: str, value: int, settings: dict[str, int], spent: list[float], options: argparse.Namespace) -> Row:
    """One point."""
    work = settings["ipc"] * settings["classes"] * settings["steps"]
    memory = None
    if knob in WITH_MEMORY and not options.no_memory:
        wanted = ["--memory-of", json.dumps(settings), "--backbone", options.backbone, "--device", options.device]
        memory = float(in_child(__file__, wanted + (["--threads", str(options.threads)] if options.threads else [])))
    return {
        "knob": knob,
        "value": value,
        "images × steps": work,
        "s": statistics.median(spent),
        "ms/image·step": 1000 * statistics.median(spent) / work,
        "ns/image·step·pixel": 1e9 * statistics.median(spent) / work / settings["resolution"] ** 2,
        "MiB": memory,
    }


if __name__ == "__main__":
    sys.exit(main())
