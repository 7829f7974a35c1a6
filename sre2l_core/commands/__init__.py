"""What commands share; a file here that offers a dataclass in `PLUGINS` is a command. Those of the stages: `cli.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sre2l_core.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sre2l_core.runtime import Runtime

# torch takes seconds to import: what needs it is imported where a command runs, so that --help answers at once.

PROGRAM = "sre2l"


@dataclass(frozen=True)
class Machine:
    """Where to compute, and who watches."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the device has it in hardware"""
    compile: bool = False
    """compile the recovery step: minutes at the start, earned back by long runs on large networks"""
    tensorboard: Path | None = None
    """folder for curves of all metrics, drawn by tensorboard --logdir; needs pip install 'sre2l-core[tracking]'"""

    def runtime(self) -> Runtime:
        """The device, as stages take it."""
        from sre2l_core.runtime import Runtime

        return Runtime.auto(self.device, self.precision, self.compile)


@dataclass(frozen=True)
class Machines(Machine):
    """Where to compute, and by how many."""

    workers: int | None = None
    """processes on this machine that share the work: up to one for each GPU or, without any, for each core"""
    scheduler: str | None = None
    """address of a Dask scheduler whose workers share the work, such as tcp://10.0.0.1:8786"""
    worker_threads: int = 1
    """of the processor for each worker; they decide the last bits of a result, as OMP_NUM_THREADS does without
    workers"""
    patience: float | None = None
    """seconds after which another worker is asked too for what one did not answer; more than twice what a unit takes"""

    def executor(self) -> AbstractContextManager[Executor | None]:
        """The workers, as stages take them; None where this process computes by itself."""
        from sre2l_core.ranks import Ranks
        from sre2l_core.work.executors import executor_for

        Ranks.joined().check_no_workers(self.workers is not None or self.scheduler is not None)
        how: dict[str, Any] = {"threads": self.worker_threads, "patience": self.patience, "device": self.device}
        return executor_for(self.workers, self.scheduler, **how)


@contextmanager
def progress(machine: Machine) -> Iterator[Any]:
    """Bars on the terminal, curves where they were asked for; after each step, a signal may stop the command."""
    from sre2l_core.events import ignore, progress_bar, tell_all
    from sre2l_core.tracking import TensorBoard

    board = nullcontext(ignore) if machine.tensorboard is None else TensorBoard(machine.tensorboard)
    with progress_bar() as bar, board as tracker:
        yield tell_all(bar, tracker, INTERRUPTS)


def say(line: str) -> None:
    """The one place that prints."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)
