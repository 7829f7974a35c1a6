"""What all benchmarks share: arguments, clocks that alternate, memory in a fresh process, one table, one JSON file."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.data import DatasetSpec
from sre2l_core.runtime import Runtime, processor
from sre2l_core.storage import versions

RESULTS = Path(__file__).parent / "results"
Program = Callable[[], Any]
Row = dict[str, Any]

# Operations that only describe memory; everything else does work, and is a kernel on a GPU.
_BOOKKEEPING = (
    "empty", "view", "as_strided", "detach", "resize", "expand", "slice", "select", "transpose", "permute", "reshape",
    "unsqueeze", "squeeze", "unflatten", "flatten", "alias", "resolve", "lift", "result_type", "to", "t", "chunk",
    "split", "narrow", "_unsafe_view", "numpy_T", "matrix_H", "mT", "contiguous", "item", "is_", "set_", "unbind",
)  # fmt: skip


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments every benchmark takes."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", default="auto", help="cpu, cuda, …; default the best there is")
    made.add_argument("--threads", type=int, help="threads of a CPU; default torch's choice")
    made.add_argument("--rounds", type=int, default=3, help="measured rounds; every program runs once in each")
    made.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON file")
    return made


def started(options: argparse.Namespace) -> torch.device:
    """Apply `--threads` and say where to compute."""
    if options.threads:
        torch.set_num_threads(options.threads)
    return Runtime.auto(options.device).device


def network(name: str, resolution: int, classes: int, *, channels: int = 3, **options: Any) -> Teacher:
    """A network with random weights whose running statistics are those of random images: speed needs no training."""
    names = tuple(f"c{index:05d}" for index in range(classes))
    spec = DatasetSpec("benchmark", names, channels, resolution, (0.48, 0.45, 0.40)[:channels], (0.23,) * channels)
    net = empty_network(name, spec, options)
    images = torch.randn(8, channels, resolution, resolution, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for _ in range(2):
            net.train()(images)
    return Teacher(net, spec, name, options)


def finish(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(program: Program, device: torch.device) -> float:
    """Wall time of one call."""
    finish(device)
    start = time.perf_counter()
    program()
    finish(device)
    return time.perf_counter() - start


def alternate(
    programs: Mapping[str, Program], rounds: int, device: torch.device, warmup: int = 1
) -> dict[str, list[float]]:
    """Seconds of every call; the programs take turns, so that a busy machine slows all of them alike."""
    for program in programs.values():
        for _ in range(warmup):
            program()
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            times[name].append(seconds(program, device))
    return times


def ratio(base: Sequence[float], other: Sequence[float]) -> float:
    """How much faster `other` is: median over rounds of the two times measured next to each other."""
    return statistics.median(b / o for b, o in zip(base, other, strict=True))


def matmul(device: torch.device, dtype: torch.dtype) -> tuple[Program, float]:
    """A square matrix product and its number of TFLOP: measured in turn with the programs, it is the machine's peak."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return (lambda: a @ b), 2 * size**3 / 1e12


def flops_per_image(net: nn.Module, shape: tuple[int, int, int], *, backward: bool) -> float:
    """Floating-point operations of a forward pass, with `backward` also of the gradient with respect to the pixels."""
    place = next(net.parameters())
    image = torch.zeros(1, *shape, device=place.device, dtype=place.dtype, requires_grad=backward)
    with FlopCounterMode(display=False) as counter:
        out: Tensor = net(image)
        if backward:
            out.sum().backward()  # the network is frozen: only the image has a gradient
    return float(counter.get_total_flops())


def launches(program: Program, device: torch.device) -> int:
    """Kernels of one call on a GPU; on a CPU the operations that do work."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    program()
    with profile(activities=kinds) as seen:
        program()
        finish(device)
    if device.type == "cuda":
        return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in seen.events())
    leaves = (
        event.name.removeprefix("aten::")
        for event in seen.events()
        if event.name.startswith("aten::") and not any(c.name.startswith("aten::") for c in event.cpu_children)
    )
    return sum(not name.strip("_").startswith(_BOOKKEEPING) for name in leaves)


@contextmanager
def picture_files(condensed: CondensedSet) -> Iterator[tuple[list[Path], Path]]:
    """A condensed set's images as PNG files, in the order of their ids, and a folder for what is made from them."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        condensed.save(folder / "set")
        yield sorted((folder / "set").rglob("*.png"), key=lambda path: path.stem), folder


def condensed_set(spec: DatasetSpec, count: int) -> CondensedSet:
    """Random smooth pictures (noise at a quarter of the resolution), whose files are as large as photographs'."""
    small = torch.rand(count, spec.channels, -(-spec.resolution // 4), -(-spec.resolution // 4))
    images = nn.functional.interpolate(small, (spec.resolution, spec.resolution), mode="bilinear")
    return CondensedSet(images.mul(255).to(torch.uint8), torch.arange(count) % spec.num_classes, spec)


def peak_memory(program: Program, device: torch.device) -> float:
    """MiB of one call on top of what the process held before. Only of use in a process of its own (`in_child`)."""
    if device.type == "cuda":
        held = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        program()
        finish(device)
        return (torch.cuda.max_memory_allocated(device) - held) / 2**20
    held = _status("VmRSS")
    program()
    return _status("VmHWM") - held


def _status(field: str) -> float:
    """MiB of resident memory: now (VmRSS) or the most there ever was (VmHWM)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:  # not Linux: there is only the most there ever was
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 2**10


def in_child(program: str, arguments: Sequence[str]) -> Any:
    """Run a benchmark again in a process of its own; what it prints last is JSON."""
    command = [sys.executable, program, *arguments]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def machine(device: torch.device) -> dict[str, Any]:
    """Hardware and versions a figure depends on."""
    found = {
        "device": device.type,
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "versions": versions(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    if device.type == "cuda":
        found |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return found


def report(
    name: str, rows: Sequence[Row], options: argparse.Namespace, device: torch.device, notes: Iterable[str] = ()
) -> None:
    """Print the table and write `<out>/<name>.json` (`<name>.cuda.json` on a GPU)."""
    where, notes = machine(device), list(notes)
    hardware = where.get("gpu") or f"{where['cpu']}, {where['threads']} threads, load {where['load']}"
    print(f"\n{name}: {hardware}, torch {where['versions']['torch']}, {where['date']}\n")
    print(table(rows))
    for note in notes:
        print(f"\n{note}")
    private = (
        "out",
        "data_root",
        "runs",
        "picture",
        "memory_of",
    )  # paths of this machine, and what only the program itself sets
    settings = {key: value for key, value in vars(options).items() if key not in private}
    suffix = "" if device.type == "cpu" else f".{device.type}"
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{name}{suffix}.json"
    content = {"benchmark": name, "machine": where, "settings": settings, "rows": list(rows), "notes": notes}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, its columns those of the first row."""
    columns = list(rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    lines = [
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in [columns, *cells]
    ]
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]]).replace(f"| {rule} |", f"|-{rule}-|")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )
