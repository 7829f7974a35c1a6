"""A command that `torchrun` started several times: one process speaks, and all stop after the same step."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from datetime import timedelta
from typing import Any

from sre2l_core.errors import ConfigError, SRe2LError
from sre2l_core.interrupts import INTERRUPTS

# torch takes seconds to import, and most commands are not started by torchrun.

PATIENCE = timedelta(hours=1)
"""A rank that is silent for so long counts as gone; one that ends is noticed at once."""


def launched() -> bool:
    """Whether `torchrun` started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


def program(alone: str) -> str:
    """How this command was started, for who would start it again."""
    if not launched():
        return alone
    here, everywhere = os.environ["LOCAL_WORLD_SIZE"], os.environ["WORLD_SIZE"]
    return f"torchrun --nproc-per-node {here}{'' if here == everywhere else ' …'} -m sre2l_core"


def check(command: Any, name: str) -> None:
    """Raise `ConfigError` for a command that several processes would only do several times."""
    if launched() and not getattr(command, "by_ranks", False):
        raise ConfigError(
            f"torchrun is for squeeze and validate, which train one network on many devices (got {name}). Start {name} "
            "without it; recover, relabel, validate and run share their work by --workers or --scheduler."
        )


@contextmanager
def among_ranks() -> Iterator[None]:
    """Join the others, if there are any: only the first rank is heard, and a signal to one stops all after a step."""
    if not launched():
        yield
        return
    from torch import distributed

    from sre2l_core.ranks import Ranks
    from sre2l_core.runtime import backends

    distributed.init_process_group(backends(), timeout=PATIENCE)
    ranks = Ranks.joined()
    INTERRUPTS.agree = ranks.largest
    try:
        with nullcontext() if ranks.first else _silent():
            yield
    finally:
        INTERRUPTS.agree = None
    # After an error the others are told why first, which the end of the group would not do.
    distributed.destroy_process_group()


def another_ended(error: BaseException) -> SRe2LError | None:
    """What it means that another rank does not answer; None for any other error."""
    if not launched():
        return None
    from sre2l_core.ranks import lost

    return lost(error)


@contextmanager
def told_once() -> Iterator[None]:
    """What is said here of an error is heard from the rank that ends first, which knows the cause, and no other."""
    if launched() and not _ends_first():
        with _silent():
            yield
        return
    if int(os.environ.get("RANK", 0)) and launched():
        sys.stderr.write("\n")  # the bar of the first rank is still open
    yield


def _ends_first() -> bool:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    place, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    attempt = f"{os.environ['TORCHELASTIC_RUN_ID']}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
    try:
        store = TCPStore(place, port, is_master=False, timeout=timedelta(seconds=10))
        return bool(store.add(f"sre2l/{attempt}/ended", 1) == 1)
    except (RuntimeError, ValueError):  # torchrun is gone: better twice than never
        return True


@contextmanager
def _silent() -> Iterator[None]:
    with ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.enter_context(redirect_stdout(nowhere))
        stack.enter_context(redirect_stderr(nowhere))
        yield
