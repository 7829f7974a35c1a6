"""Units for tests: functions of a module, so that workers can import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

from sre2l_core.errors import ConfigError


def square(number, runtime):
    return number**2


def scaled(vector, factor, runtime):
    return (vector * factor).sum().item(), os.getpid()


def threads(runtime):
    return torch.get_num_threads(), runtime.precision


def refuse(runtime):
    raise ConfigError("this setting cannot be")


def fail(runtime):
    raise ZeroDivisionError("by nothing")


def die(runtime):
    os.kill(os.getpid(), signal.SIGKILL)


def hang_once(marker, runtime):
    """Never answer the first time; at once the second."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return "answered"
    time.sleep(600)
