"""`sre2l paper`: a table or figure of the paper, its numbers beside ours; or all of them on one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import tyro
from tyro.conf import OmitArgPrefixes as Flat

from sre2l_core.commands import Machines, progress, say
from sre2l_core.errors import SRe2LError

if TYPE_CHECKING:
    from sre2l_core.paper import Entry
    from sre2l_core.runs.store import Store

ALL = "all"


@dataclass(frozen=True)
class Paper:
    """List the tables and figures of the paper that can be run; or run one, or all, and put its numbers beside ours.

    The same command continues an interrupted one, and runs that are there already are found, also those of other tables
    in the same folder.
    """

    catalogue: ClassVar[str] = "paper"
    title: ClassVar[str] = "The paper's tables and figures, beside ours"
    name: tyro.conf.Positional[str] = ""
    """such as table-8; all: one after another, whatever becomes of the others"""
    budget: str = "laptop"
    """laptop: small stand-ins, minutes on a CPU, for the trend alone; gpu: the paper's experiment"""
    dry_run: bool = False
    """list the runs and what is there of them, and stop"""
    out: Path = Path("runs/paper")
    """folder of the runs and of the page, the CSV file and the picture that come out"""
    page: Path | None = None
    """also write everything on one page, such as docs/replication.md, with its pictures in images/ beside it"""
    data_root: Path | None = None
    """where the data lies; default $SRE2L_DATA, else ~/.cache/sre2l/data"""
    machine: Flat[Machines] = field(default_factory=Machines)

    def __call__(self) -> None:
        """List, or run and print the page."""
        from sre2l_core import paper
        from sre2l_core.runs.store import Store

        known = paper.entries(self.catalogue)
        if not self.name:
            for entry in known.values():
                say(f"{entry.name.ljust(10)} {entry.title.partition(': ')[2]}  ({', '.join(entry.budgets)})")
            return
        entries = [*known.values()] if self.name == ALL else [paper.get(self.name, self.catalogue)]
        for entry in entries:
            entry.budget(self.budget)
        store = Store(self.out)
        if self.dry_run:
            for entry in entries:
                for line in planned(entry, self.budget, store, self.data_root):
                    say(line)
            return
        self._run(entries, store)

    def _run(self, entries: list[Entry], store: Store) -> None:
        """Run them; the page grows with each, and the first error is raised when all have had their turn."""
        from sre2l_core import paper
        from sre2l_core.paper.page import write_page

        runtime, results, errors = self.machine.runtime(), list[paper.Results](), dict[str, SRe2LError]()
        with self.machine.executor() as executor:
            for entry in entries:
                say(f"{entry.title}. {entry.budget(self.budget).cost}")
                try:
                    found = paper.run(
                        entry, self.budget, store,
                        data_root=self.data_root, runtime=runtime, executor=executor,
                        listening=partial(progress, self.machine), say=say,
                    )  # fmt: skip
                except SRe2LError as error:
                    errors[entry.name] = error
                    say(f"{entry.name} gave nothing: {error}")
                else:
                    results.append(found)
                    say(f"\n{found.markdown()}\n")
                    say(f"in {self.out}: {', '.join(path.name for path in found.write(self.out))}")
                if self.page is not None and results:
                    missing = {name: str(error) for name, error in errors.items()}
                    write_page(self.page, results, self._command, runtime=runtime, missing=missing, title=self.title)
        if errors:
            raise next(iter(errors.values()))

    @property
    def _command(self) -> str:
        return f"sre2l {type(self).__name__.lower()} {self.name} --budget {self.budget} --page {self.page}"


def planned(entry: Entry, budget: str, store: Store, data_root: Path | None = None) -> Iterator[str]:
    """A line for each cell, then what is still to be made."""
    from sre2l_core.paper.results import asked

    chosen = asked(entry, budget, data_root)
    yield f"{entry.title}. {chosen.cost} {chosen.note}".strip()
    for cell in chosen.cells:
        there = sum(cell.finished(store, recipe) for recipe in cell.recipes)
        yield f"{cell.name}: {there} of {len(cell.recipes)} runs finished"
    found = store.parts(recipe for cell in chosen.cells for recipe in cell.recipes)
    parts = (f"{part} {there} of {count}" for part, (there, count) in found.items())
    yield f"finished in {store.folder}: {', '.join(parts)}\n"


PLUGINS = {"paper": Paper}
