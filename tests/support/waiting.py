"""Waiting for what another thread brings about."""

import time
from collections.abc import Callable


def until(happened: Callable[[], object], *, within: float) -> None:
    """Return as soon as it happened; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)
