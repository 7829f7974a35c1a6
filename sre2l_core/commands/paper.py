"""`sre2l paper`: a table or figure of the paper, its numbers beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tyro.conf import OmitArgPrefixes as Flat

from sre2l_core.commands import Machines, progress, say

if TYPE_CHECKING:
    from sre2l_core.paper import Entry
    from sre2l_core.runs.store import Store


@dataclass(frozen=True)
class Paper:
    """List the tables and figures of the paper that can be run; or run one, and put its numbers beside ours.

    The same command continues an interrupted one, and runs that are there already are found, also those of other tables
    in the same folder.
    """

    name: tyro.conf.Positional[str] = ""
    """such as table-8"""
    budget: str = "laptop"
    """laptop: small stand-ins, minutes on a CPU, for the trend alone; gpu: the paper's experiment"""
    dry_run: bool = False
    """list the runs and what is there of them, and stop"""
    out: Path = Path("runs/paper")
    """folder of the runs and of the page, the CSV file and the picture that come out"""
    data_root: Path | None = None
    """where the data lies; default $SRE2L_DATA, else ~/.cache/sre2l/data"""
    machine: Flat[Machines] = field(default_factory=Machines)

    def __call__(self) -> None:
        """List, or run and print the page."""
        from sre2l_core import paper
        from sre2l_core.runs.store import Store

        if not self.name:
            for entry in paper.entries().values():
                say(f"{entry.name.ljust(10)} {entry.title.partition(': ')[2]}  ({', '.join(entry.budgets)})")
            return
        entry = paper.get(self.name)
        budget, store = entry.budget(self.budget), Store(self.out)
        if self.dry_run:
            for line in planned(entry, self.budget, store):
                say(line)
            return
        say(f"{entry.title}. {budget.cost}")
        runtime = self.machine.runtime()
        with self.machine.executor() as executor:
            results = paper.run(
                entry, self.budget, store,
                data_root=self.data_root, runtime=runtime, executor=executor,
                listening=partial(progress, self.machine), say=say,
            )  # fmt: skip
        say(f"\n{results.markdown()}\n")
        say(f"in {self.out}: {', '.join(path.name for path in results.write(self.out))}")


def planned(entry: Entry, budget: str, store: Store) -> Iterator[str]:
    """A line for each cell, then what is still to be made."""
    chosen = entry.budget(budget)
    for cell in chosen.cells:
        there = sum(cell.finished(store, recipe) for recipe in cell.recipes)
        yield f"{cell.name}: {there} of {len(cell.recipes)} runs finished"
    found = store.parts(recipe for cell in chosen.cells for recipe in cell.recipes)
    parts = (f"{part} {there} of {count}" for part, (there, count) in found.items())
    yield f"\nfinished in {store.folder}: {', '.join(parts)}"
    yield chosen.cost


PLUGINS = {"paper": Paper}
