"""Counts what was attacked and how it ended; `pytest --soak` prints the table, `--figures PAGE` puts it into a page."""

from __future__ import annotations

import os
import platform
import re
import time
from collections import Counter
from datetime import date
from pathlib import Path

import torch

ENDS = ("refused", "held")
"""Answered with a clear line; or right all the same: accepted rightly, gone on bit-equal, made again."""
_BEGIN, _END = "<!-- figures of make soak -->", "<!-- end of figures -->"


class Tally:
    """Attacks by kind and end. What fails twice in one place, as when an input is made smaller, counts once."""

    def __init__(self) -> None:
        self._ends: Counter[tuple[str, str]] = Counter()
        self._failed: dict[str, set[str]] = {}
        self._begun = time.monotonic()

    def count(self, kind: str, end: str, times: int = 1) -> None:
        """Note how so many attacks of a kind ended."""
        self._ends[kind, end] += times

    def fail(self, kind: str, place: str) -> None:
        """Note that an attack got through, and where."""
        self._failed.setdefault(kind, set()).add(place)

    def sent(self) -> list[list[list]]:
        """What one of several processes counted, in plain lists for `join` of another."""
        return [[[*key, times] for key, times in self._ends.items()], [[k, sorted(v)] for k, v in self._failed.items()]]

    def join(self, sent: list[list[list]]) -> None:
        """Add what another process counted."""
        ends, failed = sent
        for kind, end, times in ends:
            self.count(kind, end, times)
        for kind, places in failed:
            for place in places:
                self.fail(kind, place)

    def table(self) -> str:
        """Markdown: one row a kind, all in the last row, and below it where and when."""
        lines = ["| attack | tried | refused in a clear line | held | failed |", "|---|---|---|---|---|"]
        kinds = list(dict.fromkeys([kind for kind, _ in self._ends] + list(self._failed)))
        rows = {kind: [*(self._ends[kind, end] for end in ENDS), len(self._failed.get(kind, ()))] for kind in kinds}
        rows["**all**"] = [sum(column) for column in zip(*rows.values(), strict=True)]
        lines += [f"| {kind} | {' | '.join(f'{n:,}' for n in (sum(ends), *ends))} |" for kind, ends in rows.items()]
        minutes = (time.monotonic() - self._begun) / 60
        machine = f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), {platform.system()}"
        made_with = f"Python {platform.python_version()}, torch {torch.__version__}"
        return "\n".join([*lines, "", f"{date.today()}, {machine}, {made_with}: {minutes:.0f} minutes."])

    def write_into(self, page: Path) -> None:
        """Put the table between the two marks of a page, in place of an older one."""
        text = page.read_text(encoding="utf-8")
        found = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
        assert found.search(text), f"{page} has no lines {_BEGIN} and {_END}"
        page.write_text(found.sub(lambda _: f"{_BEGIN}\n{self.table()}\n{_END}", text), encoding="utf-8")


TALLY = Tally()
"""Of this session of pytest."""
