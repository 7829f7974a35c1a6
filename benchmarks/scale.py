"""How much sooner do more workers finish? The same condensed set by one process, and by pools of one, two and more.

Every worker computes with one thread. The pools are warm: that their processes start (torch takes seconds to import) is
a row of its own. "× one worker" is the median over rounds of two times measured next to each other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Row, alternate, network, parser, ratio, report, started

from sre2l_core import recover
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data.decode import cores
from sre2l_core.runtime import Runtime, compute_threads
from sre2l_core.work.executors import pool


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--workers", nargs="+", type=int, default=[n for n in (1, 2, 4) if n <= cores()])
    made.add_argument("--batches", type=int, default=8, help="units: batches of ten images")
    made.add_argument("--steps", type=int, default=40, help="of each")
    made.add_argument("--resolution", type=int, default=32)
    options = made.parse_args(arguments)
    device = started(options)
    teacher = network("resnet10", options.resolution, 10, width=16)
    config = RecoverConfig(ipc=options.batches, steps=options.steps, group_size=10, stack=1)
    runtime = Runtime.auto(str(device))
    with ExitStack() as pools, compute_threads(1):
        executors: dict[str, Executor | None] = {"no executor": None}
        begun: dict[str, float] = {}
        for workers in options.workers:
            name, start = f"workers: {workers}", time.perf_counter()
            executors[name] = pools.enter_context(pool(workers))
            recover(teacher, config.but(steps=1, ipc=4 * workers), runtime=runtime, executor=executors[name])
            begun[name] = time.perf_counter() - start
        programs = {name: partial(run, teacher, config, runtime, executor) for name, executor in executors.items()}
        times = alternate(programs, options.rounds, device, warmup=0)
    base = times[f"workers: {options.workers[0]}"]
    rows = [row(name, spent, base, options, begun.get(name)) for name, spent in times.items()]
    notes = [f"resnet10 of width 16 at {options.resolution} pixels, {options.batches} batches of ten images."]
    report("scale", rows, options, device, notes)


def run(teacher: Teacher, config: RecoverConfig, runtime: Runtime, executor: Executor | None) -> None:
    """Recover a small condensed set into a folder."""
    with TemporaryDirectory() as folder:
        recover(teacher, config, runtime=runtime, out=Path(folder) / "condensed", executor=executor)


def row(name: str, spent: list[float], base: list[float], options: argparse.Namespace, begun: float | None) -> Row:
    """One kind of executor."""
    work = 10 * options.batches * options.steps
    return {
        "executor": name,
        "s": statistics.median(spent),
        "images·steps/s": work / statistics.median(spent),
        f"× {options.workers[0]} worker": ratio(base, spent),
        "s to start": begun,
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())
