"""The machine: device, precision, memory format. The only file that knows about it."""

from __future__ import annotations

import copy
import os
import platform
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor, nn
from torch.fx import GraphModule, Tracer
from torch.fx.experimental.optimization import fuse
from torch.utils._pytree import tree_leaves

from sre2l_core.errors import ConfigError
from sre2l_core.ranks import ALONE, Ranks, local_count, local_number

Precision = Literal["auto", "fp32", "bf16"]
Result = TypeVar("Result")


class _Tracer(Tracer):
    """Follows one network in one thread.

    While it does, PyTorch hands it the calls of all modules in all threads: those of others go on as they were.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Callable[..., Any], *arguments: Any) -> Any:
        if threading.get_ident() == self._thread:
            return super().call_module(m, forward, *arguments)
        args, kwargs = arguments
        return forward(*args, **kwargs)

    def getattr(self, attr: str, attr_val: Any, *cache: Any) -> Any:
        return super().getattr(attr, attr_val, *cache) if threading.get_ident() == self._thread else attr_val


_TRACING = threading.Lock()
"""One at a time: each puts back what it found."""


@dataclass(frozen=True)
class Runtime:
    """Where and how a stage computes; never what it computes."""

    device: torch.device
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    """Compile the recovery step: minutes at the start, which only long runs on large networks earn back."""
    ranks: Ranks = ALONE
    """Processes that train a network together with this one."""

    @classmethod
    def auto(cls, device: str = "auto", precision: Precision = "auto", compile: bool = False) -> Self:
        """The best device there is, bf16 where it has it in hardware; `precision="fp32"` for bitwise comparisons.

        A process that has joined a process group of torch is one of its ranks, each of which has a GPU of its own.

        Raises:
            ConfigError: if the asked device is not there, or not for every rank.
        """
        ranks = Ranks.joined()
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if ranks.count > 1:
            _take_a_device(device)
        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)  # a device can be named without being there
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"device {device!r} cannot be used ({reason}). Use --device cpu or auto.") from None
        if precision == "auto":
            precision = "bf16" if _multiplies_bf16(chosen) else "fp32"
        return cls(chosen, precision, compile, ranks)

    @property
    def device_name(self) -> str:
        """The kind of device; of a GPU also its model."""
        model = f" ({torch.cuda.get_device_name(self.device)})" if self.device.type == "cuda" else ""
        return f"{self.device.type}{model}"

    def how(self, images_per_pass: int, threads: int | None = None) -> dict[str, Any]:
        """What decides the last bits of a result beside its settings; saved with it.

        Args:
            images_per_pass: that go through the network at once.
            threads: of the processor, where workers compute; this process's own by default.
        """
        how = {"precision": self.precision, "device": self.device_name, "images_per_pass": images_per_pass}
        if self.device.type == "cpu":
            how["threads"] = threads or torch.get_num_threads()
        if self.ranks.count > 1:
            how["ranks"] = self.ranks.count
        return {**how, "compile": self.compile, "torch": torch.__version__}

    def autocast(self) -> AbstractContextManager[None]:
        """bf16 for the network's forward pass, or nothing."""
        # Not float16: bf16 has the range of float32, so gradients need no loss scaling.
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def compiled(self, function: Callable[..., Result], *example: Any) -> Callable[..., Result]:
        """`function` as one compiled graph (a CUDA graph on a GPU) for arguments like `example`, if `compile` is set.

        Forward pass, and backward to the first tensor, are tried at once: where compiling fails, a warning says why and
        `function` itself returns.
        """
        if not self.compile:
            return function
        # Shapes do not change within a run: code for all shapes would be slower, and CUDA graphs allow only one.
        mode = "reduce-overhead" if self.device.type == "cuda" else None
        graph = torch.compile(function, dynamic=False, mode=mode)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # compilers warn about themselves
                # The backward pass is compiled when it is first asked for: it can fail on its own.
                made = [x for x in tree_leaves(graph(*example)) if isinstance(x, Tensor) and x.requires_grad]
                torch.autograd.grad([x.sum() for x in made], example[0])
        except Exception as error:  # compilers fail in many ways; an error of the function itself comes back uncompiled
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            warnings.warn(f"the step could not be compiled and runs as it is ({reason})", stacklevel=3)
            return function
        return graph

    def place(self, net: nn.Module) -> nn.Module:
        """Move a network to the device; channels last, the layout of fast convolutions, where that is safe."""
        return net.to(self.device).to(memory_format=self._layout)

    def place_folded(self, net: nn.Module) -> nn.Module:
        """A copy of a network in eval mode with BatchNorm folded into the convolutions, if the network can be traced.

        For passes without gradients: outputs are the same but for rounding, and there is no BatchNorm left to hook.
        """
        copied = copy.deepcopy(net)
        try:
            with _TRACING:
                traced = GraphModule(copied, _Tracer().trace(copied))
            return self.place(fuse(traced, inplace=True, no_trace=True))
        except Exception:  # tracing fails in as many ways as networks are written; as they are, they work too
            return self.place(copy.deepcopy(net))

    def batch(self, images: Tensor) -> Tensor:
        """Move images [B, C, H, W] to the device in the network's memory format."""
        # Convolutions pick their kernel by the layout of the input: the network's alone would not do.
        return images.to(self.device, non_blocking=True).contiguous(memory_format=self._layout)

    def pool(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] that batches are taken from: on the device, if half of its free memory holds them.

        Otherwise they stay where they are, and what is taken from them moves by batch (`preparing`).
        """
        if self.device.type == "cuda" and 2 * images.nbytes > torch.cuda.mem_get_info(self.device)[0]:
            return images
        return images.to(self.device)

    def preparing(self, prepare: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """`prepare` on the device, for rows of a `pool` wherever that lies."""
        return lambda rows: prepare(rows.to(self.device, non_blocking=True))

    def forward(self, net: nn.Module, images: Tensor) -> Tensor:
        """One pass of images [B, C, H, W] through a placed network, in this precision and memory format."""
        with self.autocast():
            found: Tensor = net(self.batch(images))
        return found

    @property
    def _layout(self) -> torch.memory_format:
        # In float32 on a CPU, torch 2.15's backward pass writes past its memory for 8 channels last at 64 pixels.
        fragile = self.device.type == "cpu" and self.precision == "fp32"
        return torch.contiguous_format if fragile else torch.channels_last

    def stack(self, group_pixels: int) -> int:
        """How many groups of so many pixels a forward pass should hold: enough to keep the device busy, if they fit."""
        if self.device.type != "cuda":
            return max(1, _BUSY_CPU // group_pixels)
        # What is free now, not what the card has: other programs may use it, and so may earlier stages.
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(1, min(_BUSY_GPU // group_pixels, int(free // (_BYTES_PER_PIXEL * group_pixels))))

    def images_per_pass(self, count: int, pixels: int) -> int:
        """How many of `count` images of so many pixels `logits` takes at once."""
        return count if self.device.type != "cpu" else min(count, max(_LEAST_IN_PASS, _CACHED_CPU // pixels))

    def logits(self, net: nn.Module, images: Tensor) -> Tensor:
        """[B, K] float32 logits of images [B, C, H, W], without gradients; `net` is in eval mode.

        On a CPU each core takes parts of its own, small enough for their activations to stay in the cache.
        """

        def of_part(part: Tensor) -> Tensor:
            with torch.no_grad():  # holds for one thread
                return self.forward(net, part).float()

        if self.device.type != "cpu":
            return of_part(images)
        # Threads inside an operation wait for one another after each; threads with a part each only at the end.
        parts = torch.split(images, self.images_per_pass(len(images), images.shape[-2] * images.shape[-1]))
        threads = torch.get_num_threads()
        workers = min(threads, len(parts))
        if workers == 1:
            return torch.cat([of_part(part) for part in parts])
        with ThreadPoolExecutor(workers, initializer=_compute_with, initargs=(threads // workers,)) as pool:
            return torch.cat(list(pool.map(of_part, parts)))


def memory_in_use(device: torch.device) -> int:
    """Bytes that this process holds: on a GPU those of the card, else of main memory; 0 where nobody says."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    with suppress(OSError, ValueError, AttributeError):  # Linux
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0


@contextmanager
def compute_threads(count: int) -> Iterator[None]:
    """The calling thread computes with `count` threads of the processor meanwhile."""
    before = torch.get_num_threads()  # this also lets torch set a new thread up, which would undo what comes next
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def backends() -> str:
    """What ranks talk through: NCCL between GPUs, gloo between processors, which also carries what is no tensor."""
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def processor() -> str:
    """The model of the processor, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def accelerators() -> int:
    """GPUs of this machine."""
    return torch.cuda.device_count()


def use_accelerator(number: int) -> None:
    """This process uses the GPU with this number, from 0, where none is named."""
    torch.cuda.set_device(number)


def free_memory() -> int:
    """Bytes of main memory that may still be asked for; all there are, or no bound, where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):  # Linux
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
        with suppress(OSError, ValueError):  # a container may hold less than its machine
            return min(free, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
        return free
    with suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return sys.maxsize


def memory_for(device: torch.device) -> int:
    """Bytes that networks and batches must fit in: all of a GPU's memory, or what is free of the machine's."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else free_memory()


def workers_here(device: torch.device) -> int:
    """How many workers this machine serves at once: one for each GPU or, without any, for each core."""
    return torch.cuda.device_count() if device.type == "cuda" else os.cpu_count() or 1


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was told to do; for whoever measures time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def memory_of_passes(net: nn.Module, device: torch.device) -> Iterator[Callable[[], int]]:
    """A function that says how many bytes the passes made meanwhile need, beside the network's own.

    On a GPU what was held at once, at most; elsewhere, where nobody counts, what is kept for the backward pass.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
        return
    own = {tensor.data_ptr() for tensor in net.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield lambda: sum(kept.values())


def _take_a_device(device: str) -> None:
    """Give this rank a GPU of its own; raises `ConfigError` where there are too few, or ranks cannot use the kind."""
    here, there = f"{local_count()} ranks on this machine", accelerators()
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"{here} need --device cuda, of which each takes one, or --device cpu (got {device!r}).")
    if device == "cuda" and there:
        if local_count() > there:
            raise ConfigError(f"{here} need a GPU each, it has {there}: --nproc-per-node {there}, or --device cpu.")
        use_accelerator(local_number())


def _compute_with(threads: int) -> None:
    """Operations of the calling thread, and of no other, use so many threads."""
    torch.get_num_threads()  # torch sets a thread up at its first use: let that be done
    _openmp().limit(limits=threads)


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Older versions of torch cannot tell what a CPU has.
    has = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


_CACHED_CPU, _LEAST_IN_PASS = 2**16, 4
"""Pixels in a pass without gradients (16 images of 64x64), and its fewest images: with fewer, reading the weights takes
longer than using them."""
_BUSY_CPU, _BUSY_GPU = 2**13, 2**20
"""Pixels in a pass that keep a device busy, so that more groups bring nothing: 32 images of 16x16, or 256 of 64x64."""
_BYTES_PER_PIXEL = 2**15
"""Memory of a recovery step per pixel, at most: ResNet-50 with the 3x3 stem in float32."""
