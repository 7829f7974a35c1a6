"""One iteration of recovery: this package's engine against the textbook procedure, in turns, in one process.

Table 1 of the paper is ms per image and iteration at 64x64 and batch 200 (`--batch 200`), on an RTX 4090. On a CPU the
batches are smaller unless `--batch` says otherwise, and only the networks marked with * are measured unless
`--networks all`. Peak memory is what a fresh process needs on top of the imported libraries: weights, pixels and three
iterations (resident memory on a CPU, allocated memory on a GPU).
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
from collections.abc import Callable, Sequence

import torch
from harness import (
    Program,
    Row,
    alternate,
    flops_per_image,
    in_child,
    launches,
    matmul,
    network,
    parser,
    peak_memory,
    ratio,
    report,
    started,
)  # fmt: skip
from textbook import TextbookRecovery

from sre2l_core.artifacts import Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.runtime import Runtime
from sre2l_core.stages.recover import Recovery, plan

NETWORKS = ("convnet4@64", "resnet18@64", "resnet50@64", "resnet18@224", "resnet50@224", "mobilenet_v2@224")
QUICK = ("convnet4@64", "resnet18@64", "mobilenet_v2@224")
PAPER = {"convnet4@64": 0.24, "resnet18@64": 0.75, "resnet50@64": 2.75, "resnet18@224": 0.83, "resnet50@224": 2.62}
"""ms per image and iteration on an RTX 4090: Table 1 (64 pixels, batch 200) and Table 3 (224 pixels)."""
PAPER_GB = {"convnet4@64": 4.2, "resnet18@64": 7.6, "resnet50@64": 33.8}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = arguments_of(arguments)
    device = started(options)
    if options.memory_of:
        print(json.dumps(memory(options, device)))
        return
    rows = []
    for name in chosen(options, device):
        rows += measure(name, options, device)
    notes = ["TFLOPS count convolutions and matrix products of the forward pass and of the gradient to the pixels."]
    if device.type == "cpu" and options.batch is None:
        notes.append("Batches are small because this is a CPU; the paper's are 200 (64 pixels) and 100 (224 pixels).")
    report("recover_step", rows, options, device, notes)


def measure(name: str, options: argparse.Namespace, device: torch.device) -> list[Row]:
    """One network: the programs and a matrix product in each precision take turns."""
    batch, teacher = batch_of(options, name, device), teacher_of(name)
    flops = batch * flops_per_image(teacher.net, (3, *teacher.spec.size), backward=True)
    programs = {kind: make(kind, teacher, batch, device)() for kind in kinds(options)}
    products = {"fp32": matmul(device, torch.float32), "bf16": matmul(device, torch.bfloat16)}
    turns = programs | {f"matmul {precision}": product for precision, (product, _) in products.items()}
    times = alternate(turns, options.rounds, device, warmup=2)
    memories = {} if options.no_memory else {kind: child_memory(options, name, kind) for kind in programs}
    rows = []
    for kind, program in programs.items():
        spent, precision = statistics.median(times[kind]), "bf16" if "bf16" in kind else "fp32"
        peak = products[precision][1] / statistics.median(times[f"matmul {precision}"])
        rows.append(
            {
                "network": name,
                "batch": batch,
                "program": kind,
                "ms/image": 1000 * spent / batch,
                "× textbook": ratio(times["textbook"], times[kind]),
                "MiB": memories.get(kind),
                "× its memory": memories[kind] / memories["textbook"] if memories else None,
                "TFLOPS": flops / spent / 1e12,
                "of matmul peak": flops / spent / 1e12 / peak,
                # On a CPU a profile does not show the kernels of a compiled step.
                "launches": None if device.type == "cpu" and "compile" in kind else launches(program, device),
                "paper ms (4090)": PAPER.get(name),
                "paper GB (batch 200)": PAPER_GB.get(name),
            }
        )
    return rows


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    made = parser(__doc__)
    starred = [name + "*" * (name in QUICK) for name in NETWORKS]
    made.add_argument(
        "--networks", nargs="+", metavar="NAME@PIXELS", help=f"all, or some of {' '.join(starred)}, or any"
    )
    made.add_argument("--batch", type=int, help="images per step; default 200 and 100 on a GPU, 10 and 4 on a CPU")
    made.add_argument("--precision", choices=("fp32", "bf16", "both"), default="both", help="of this package's engine")
    made.add_argument("--compile", action="store_true", help="also measure the compiled step")
    made.add_argument("--no-memory", action="store_true", help="leave out peak memory (a process for each program)")
    made.add_argument("--memory-of", help=argparse.SUPPRESS)
    return made.parse_args(arguments)


def precisions(options: argparse.Namespace) -> list[str]:
    """Precisions of the engine."""
    return ["fp32", "bf16"] if options.precision == "both" else [options.precision]


def kinds(options: argparse.Namespace) -> list[str]:
    """Programs that take turns."""
    return ["textbook", *precisions(options), *(f"{p}+compile" for p in precisions(options) if options.compile)]


def chosen(options: argparse.Namespace, device: torch.device) -> Sequence[str]:
    """Networks to measure."""
    if options.networks is None:
        return QUICK if device.type == "cpu" else NETWORKS
    return NETWORKS if options.networks == ["all"] else options.networks


def batch_of(options: argparse.Namespace, name: str, device: torch.device) -> int:
    """Images per step."""
    small = int(name.split("@")[1]) < 128
    return options.batch or ((10 if small else 4) if device.type == "cpu" else (200 if small else 100))


def teacher_of(name: str) -> Teacher:
    """A network by `name@pixels`, with Tiny-ImageNet's or ImageNet's number of classes."""
    network_name, pixels = name.split("@")
    return network(network_name, int(pixels), 200 if int(pixels) < 128 else 1000)


def make(kind: str, teacher: Teacher, batch: int, device: torch.device) -> Callable[[], Program]:
    """A function that sets a program up and returns its step."""
    config = RecoverConfig(ipc=-(-batch // teacher.spec.num_classes), group_size=batch, steps=10_000, roll=(-4, 4))
    group = plan(config, teacher.spec)[0]

    def start() -> Program:
        if kind == "textbook":
            return TextbookRecovery(teacher.net, teacher.spec, torch.tensor(group.labels), config, device).step
        own = Teacher(copy.deepcopy(teacher.net), teacher.spec, teacher.backbone)
        precision = kind.removesuffix("+compile")
        runtime = Runtime(device, "bf16" if precision == "bf16" else "fp32", compile=kind.endswith("+compile"))
        return Recovery(own, [group], config, runtime=runtime).step

    return start


def memory(options: argparse.Namespace, device: torch.device) -> float:
    """Peak of three iterations of one program, weights and pixels included."""
    (name,) = options.networks
    start = make(options.memory_of, teacher_of(name), batch_of(options, name, device), device)

    def run() -> None:
        step = start()
        for _ in range(3):
            step()

    return peak_memory(run, device)


def child_memory(options: argparse.Namespace, name: str, kind: str) -> float:
    """Peak memory of a program in MiB, measured in a process of its own."""
    wanted = ["--networks", name, "--memory-of", kind, "--device", options.device]
    wanted += ["--batch", str(options.batch)] if options.batch else []
    wanted += ["--threads", str(options.threads)] if options.threads else []
    return float(in_child(__file__, wanted))


if __name__ == "__main__":
    sys.exit(main())
