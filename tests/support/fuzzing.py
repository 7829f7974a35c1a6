"""What every malformed input is answered with: a result that is right, or one line that a person can act on."""

from __future__ import annotations

import math
import re
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st
from tally import TALLY

from sre2l_core.errors import SRe2LError

PATIENCE = 60
"""Seconds after which an answer counts as a hang."""
LONGEST = 1500
"""Characters of a message: long enough for a catalogue of names, short enough to be read."""
INTERNAL = re.compile(
    r"Traceback|object at 0x|NoneType|has no attribute|not subscriptable|to unpack|unpack non|unexpected keyword"
    r"|takes \d+ positional|unhashable|not iterable|argument of type|must be real number|indices must be"
)
"""What only somebody who knows the code can make sense of."""

NUMBERS_IN_WORDS = ["nan", "-inf", "1e999", "0x10", "1_000", "١٢", "½", "10 %", "3px", "0,1", "-1"]
HOSTILE = ["\udcff", "\0", "\n", "\x1b[31mred", "<img src=x>", "$a_{$", "😀", "e\u0301", "../..", "/", "a" * 5000]
TEXTS = st.sampled_from(["", " ", "none", "None", "true", "[]", "{}", *NUMBERS_IN_WORDS, *HOSTILE]) | st.text(
    max_size=12
)
NUMBERS = (
    st.integers(-3, 300)
    | st.integers()
    | st.floats()
    | st.sampled_from([10**30, -(10**30), 2**63, 1e308, 5e-324, -0.0, math.nan, math.inf, -math.inf])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
NONSENSE = SCALARS | st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=5
)
"""Anything that JSON can hold."""
OBJECTS = NONSENSE | st.binary(max_size=4) | st.complex_numbers() | st.sets(st.integers(), max_size=2) | st.just(object)
"""Anything that Python code can pass by mistake."""


def unclear(message: str, *named: str) -> list[str]:
    """What is wrong with a message; nothing if it is one line that names what it speaks of and reads as a sentence."""
    wrong = [f"it does not name {name!r}" for name in named if name not in message]
    wrong += ["it has several lines or what a terminal obeys"] * (not message.isprintable())
    wrong += [f"it has {len(message):,} characters"] * (len(message) > LONGEST)
    wrong += ["it speaks of the program"] * bool(INTERNAL.search(message))
    return wrong + ["it is no sentence"] * (len(message.split()) < 4)


def answer(kind: str, act: Callable[[], Any], *named: str, right: Callable[[Any], bool] = lambda made: True) -> Any:
    """What `act` makes, which is `right`; None where it was refused clearly, naming what is `named`."""
    said = ""
    with counted(kind):
        try:
            with deadline(PATIENCE), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a warning is said, so what it is about is not silent
                made = act()
        except SRe2LError as error:
            made, said = None, str(error)
        if said:
            assert not (wrong := unclear(said, *named)), f"{wrong}: {said}"
            TALLY.count(kind, "refused")
            return None
        assert right(made), f"accepted, and wrong: {made!r}"
        TALLY.count(kind, "held")
        return made


@contextmanager
def counted(kind: str) -> Iterator[None]:
    """Note where an attack got through."""
    try:
        yield
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        TALLY.fail(kind, f"{where.filename}:{where.lineno} {type(error).__name__} {str(error)[:20]}")
        raise


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Fail what does not come to an end."""

    def ring(*_: Any) -> None:
        raise AssertionError(f"no answer after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
