"""How much sooner do more workers finish, and what does a larger set cost? One recovery by pools of one, two and more.

Every worker computes with one thread. The pools are warm: that their processes start (torch takes seconds to import) is
a column of its own. "× 1 worker" is the median over rounds of two times measured next to each other. More workers than
cores share these, so they show what that costs and not what more cores would bring; rows that say `extrapolated` are
multiplication: the rate of one worker, times their number, times the efficiency of as many workers as there are cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import Row, alternate, network, parser, ratio, report, started

from sre2l_core import recover
from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data.decode import cores
from sre2l_core.runtime import Runtime, compute_threads
from sre2l_core.work.executors import pool

GROWTH = {"images per class": (0.5, 2), "classes": (2, 4)}
"""Times the base, by one worker: how cost and memory grow."""
EXTRAPOLATED = {"classes": 1000, "ipc": 50, "workers": (1, 8, 64)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4], help="the first is the yardstick")
    made.add_argument("--batches", type=int, default=8, help="units: batches of one image of each class")
    made.add_argument("--classes", type=int, default=10)
    made.add_argument("--steps", type=int, default=40, help="of each batch")
    made.add_argument("--resolution", type=int, default=32)
    options = made.parse_args(arguments)
    device = started(options)
    runtime, config = Runtime.auto(str(device)), RecoverConfig(ipc=options.batches, steps=options.steps, stack=1)
    teachers = {
        n: network("resnet10", options.resolution, options.classes * n, width=16) for n in (1, *GROWTH["classes"])
    }
    base = teachers[1], config.but(group_size=options.classes)
    with ExitStack() as pools, compute_threads(1):
        executors: dict[str, Executor | None] = {"no executor": None}
        begun: dict[str, float] = {}
        for workers in options.workers:
            name, start = f"workers: {workers}", time.perf_counter()
            executors[name] = pools.enter_context(crew(workers))
            recover(base[0], base[1].but(steps=1, ipc=4 * workers), runtime=runtime, executor=executors[name])
            begun[name] = time.perf_counter() - start
        one = executors[f"workers: {options.workers[0]}"]
        programs = {name: partial(run, *base, runtime, executor) for name, executor in executors.items()}
        times = alternate(programs, options.rounds, device, warmup=0)
        yardstick = times[f"workers: {options.workers[0]}"]
        rows = [row(name, spent, yardstick, options, held(executors[name])) for name, spent in times.items()]
        for made_row in rows:
            made_row["s to start"] = begun.get(str(made_row["executor"]))
        for images, teacher, settings in grown(options, base, teachers):
            spent = alternate({"": partial(run, teacher, settings, runtime, one)}, options.rounds, device, warmup=0)[""]
            rows.append(row(f"workers: {options.workers[0]}", spent, [], options, held(one), images))
    rows += extrapolated(rows, options)
    notes = [
        f"resnet10 of width 16 at {options.resolution} pixels, {options.steps} steps; MiB: a worker's peak so far."
    ]
    report("scale", rows, options, device, notes)


def crew(workers: int) -> AbstractContextManager[Executor]:
    """A pool; the command line refuses more workers than cores, which share them here."""
    return pool(workers) if workers <= cores() else ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def grown(
    options: argparse.Namespace, base: tuple[Teacher, RecoverConfig], teachers: dict[int, Teacher]
) -> list[tuple[tuple[int, int], Teacher, RecoverConfig]]:
    """Larger sets than the base: images per class and classes, and what recovers them."""
    ipcs = [max(round(options.batches * times), 1) for times in GROWTH["images per class"]]
    more = [((ipc, options.classes), base[0], base[1].but(ipc=ipc)) for ipc in ipcs]
    for times in map(int, GROWTH["classes"]):
        classes = options.classes * times
        more.append(((options.batches, classes), teachers[times], base[1].but(group_size=classes)))
    return more


def run(teacher: Teacher, config: RecoverConfig, runtime: Runtime, executor: Executor | None) -> None:
    """Recover a small condensed set into a folder."""
    with TemporaryDirectory() as folder:
        recover(teacher, config, runtime=runtime, out=Path(folder) / "condensed", executor=executor)


def held(executor: Executor | None) -> float:
    """MiB of the largest worker, or of this process where there is none."""
    ask = partial(resource.getrusage, resource.RUSAGE_SELF)
    told = [ask()] if executor is None else [future.result() for future in [executor.submit(ask) for _ in range(16)]]
    return max(usage.ru_maxrss for usage in told) / (2**20 if sys.platform == "darwin" else 2**10)


def row(
    name: str,
    spent: list[float],
    yardstick: list[float],
    options: argparse.Namespace,
    memory: float,
    images: tuple[int, int] | None = None,
) -> Row:
    """One measurement: an executor, and what it made."""
    ipc, classes = images or (options.batches, options.classes)
    return {
        "executor": name,
        "ipc": ipc,
        "classes": classes,
        "s": statistics.median(spent),
        "images·steps/s": ipc * classes * options.steps / statistics.median(spent),
        f"× {options.workers[0]} worker": ratio(yardstick, spent) if yardstick else None,
        "MiB": memory,
        "s to start": None,
        "load": round(os.getloadavg()[0], 1),
        "is": "measured",
    }


def extrapolated(rows: Sequence[Row], options: argparse.Namespace) -> list[Row]:
    """What all of ImageNet's classes would take at this size, from the rates that were measured."""
    gain = f"× {options.workers[0]} worker"
    by_count = {count: next(r for r in rows if r["executor"] == f"workers: {count}") for count in options.workers}
    one = by_count[options.workers[0]]
    full = max((count for count in options.workers if count <= cores()), default=options.workers[0])
    efficiency = float(by_count[full][gain] or 1) * options.workers[0] / full
    made: list[Row] = []
    for workers in EXTRAPOLATED["workers"]:
        rate = float(one["images·steps/s"] or 0) / options.workers[0] * workers * (efficiency if workers > 1 else 1)
        work = EXTRAPOLATED["classes"] * EXTRAPOLATED["ipc"] * options.steps
        known = {"executor": f"workers: {workers}", "ipc": EXTRAPOLATED["ipc"], "classes": EXTRAPOLATED["classes"]}
        empty: Row = dict.fromkeys(rows[0])
        made.append({**empty, **known, "s": work / rate, "images·steps/s": rate, "is": "extrapolated"})
    return made


if __name__ == "__main__":
    sys.exit(main())
