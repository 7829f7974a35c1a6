"""What commands share; a file here that offers a dataclass in `PLUGINS` is a command. Those of the stages: `cli.py`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sre2l_core.runtime import Runtime

# torch takes seconds to import: what needs it is imported where a command runs, so that --help answers at once.


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


def progress() -> Any:
    """Bars on the terminal."""
    from sre2l_core.events import progress_bar

    return progress_bar()


def say(line: str) -> None:
    """The one place that prints."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)
