"""What commands share; a file here that offers a dataclass in `PLUGINS` is a command. Those of the stages: `cli.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sre2l_core.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from sre2l_core.runtime import Runtime

# torch takes seconds to import: what needs it is imported where a command runs, so that --help answers at once.

PROGRAM = "sre2l"


@dataclass(frozen=True)
class Machine:
    """Where to compute."""

    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, ..."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the device has it in hardware"""
    compile: bool = False
    """compile the recovery step: minutes at the start, earned back by long runs on large networks"""

    def runtime(self) -> Runtime:
        """The device, as stages take it."""
        from sre2l_core.runtime import Runtime

        return Runtime.auto(self.device, self.precision, self.compile)


@contextmanager
def progress() -> Iterator[Any]:
    """Bars on the terminal; after each step, a signal may stop the command."""
    from sre2l_core.events import progress_bar, tell_all

    with progress_bar() as bar:
        yield tell_all(bar, INTERRUPTS)


def say(line: str) -> None:
    """The one place that prints."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)
