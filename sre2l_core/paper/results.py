"""Runs the grid of an entry and says what came out: the paper's numbers beside ours, and which trends ours show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sre2l_core import storage
from sre2l_core.errors import SRe2LError
from sre2l_core.events import Listener, ignore
from sre2l_core.paper.entry import Budget, Cell, Claim, Entry
from sre2l_core.runs.by_workers import Workshop
from sre2l_core.runs.difference import Difference, with_spread
from sre2l_core.runs.store import Store
from sre2l_core.runtime import Runtime
from sre2l_core.tabular import ENDINGS, Table, in_markdown
from sre2l_core.work import Workers

WARNING = {
    "laptop": "Laptop budget: not a replication. Only trends may be compared with the paper's, never numbers.",
    "gpu": "The paper's budget, as far as it is published.",
    "tuning": "For tuning alone: held-out training images judge, and no number of this table is a result.",
}


@dataclass(frozen=True)
class Results:
    """What a grid gave."""

    entry: Entry
    name: str
    """Of the budget."""
    budget: Budget
    store: Store
    """Where the runs lie, for those who draw them."""
    values: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    """(row, column) -> one value for each repetition and student."""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    """(row, column) -> why there is no value."""

    @property
    def stem(self) -> str:
        """What its files are called."""
        return f"{self.entry.name}.{self.name}"

    def difference(self, claim: Claim, column: str) -> Difference | None:
        """Of the rows that a claim compares; None where one of them is missing."""
        pair = [self.values.get((row, column)) for row in (claim.better, claim.worse)]
        return Difference.between(pair[0], pair[1]) if pair[0] and pair[1] else None

    def markdown(self, picture: str = "", heading: str = "#") -> str:
        """The page: what was run, the table, the claims, and where there is one the picture at this address."""
        lines = [
            f"{heading} {self.entry.title}",
            "",
            f"**{WARNING.get(self.name, self.name)}** {self.budget.note} {self.budget.cost}".replace("  ", " "),
            "",
            *(f"- {line}" for line in self.budget.about()),
            "",
            self.tabulated().to_markdown(),
            "",
            f"{self.entry.unit}; ours: mean ± standard deviation. Differences are of pairs, ± is their standard error.",
            "",
            *(self.sentence(claim) for claim in self.entry.claims),
            *(f"- No value for {row}, {column}: {in_markdown(why)}" for (row, column), why in self.failures.items()),
            *(["", f"![{self.entry.title}, {self.name} budget]({picture})"] if picture else []),
        ]
        return "\n".join(lines)

    def tabulated(self) -> Table:
        """The paper's numbers beside ours; the records are a line for each number."""
        head, *body = self._cells()
        return Table(head, body, [*self._theirs(), *self._ours()])

    def csv(self) -> str:
        """One line for each number, the paper's and ours."""
        return self.tabulated().to_csv()

    def write(self, folder: Path) -> list[Path]:
        """Write page, CSV, LaTeX and picture into `folder`, named after entry and budget; their paths."""
        table = self.tabulated()
        pages = {folder / f"{self.stem}.{ending}": table.text_of_file(form) for form, ending in ENDINGS.items()}
        pages[folder / f"{self.stem}.md"] = f"{self.markdown()}\n"
        for path, text in pages.items():
            with storage.replacing(path) as partial:
                partial.write_text(text, encoding="utf-8")
        return [*pages, *self.write_picture(folder)]

    def write_picture(self, folder: Path) -> list[Path]:
        """Write the picture, if there is one, into `folder`; its path."""
        if self.entry.draw is None:
            return []
        path = folder / f"{self.stem}.png"
        with storage.replacing(path) as partial:
            self.entry.draw(self).savefig(partial, format="png", dpi=150)
        return [path]

    def _cells(self) -> Iterator[list[str]]:
        """Rows of text, the head first."""
        paper = [f"{column} (paper)" for column in self.entry.columns]
        ours = [f"{column} ({self.name})" for column in self.budget.columns]
        yield [self.entry.rows_are, *paper, *ours]
        for row, numbers in self.entry.numbers.items():
            theirs = ["–" if number is None else f"{number:g}" for number in numbers]
            found = [self._cell(row, column) for column in self.budget.columns]
            yield [row, *theirs, *found]

    def _theirs(self) -> Iterator[dict[str, Any]]:
        for row in self.entry.numbers:
            for column in self.entry.columns:
                number = self.entry.number(row, column)
                if number is not None:
                    yield self._record("paper", row, column, mean=number)

    def _ours(self) -> Iterator[dict[str, Any]]:
        for (row, column), values in self.values.items():
            found = {
                "mean": f"{mean(values):.3f}",
                "std": f"{stdev(values):.3f}" if len(values) > 1 else "",
                "n": len(values),
                "values": " ".join(f"{value:.3f}" for value in values),
            }
            yield self._record(f"ours, {self.name} budget", row, column, **found)

    def _record(self, source: str, row: str, column: str, **found: Any) -> dict[str, Any]:
        empty = dict.fromkeys(("mean", "std", "n", "values"), "")
        return {"entry": self.entry.name, "source": source, "row": row, "column": column, **empty, **found}

    def _cell(self, row: str, column: str) -> str:
        if values := self.values.get((row, column)):
            return with_spread(values)
        asked = any((cell.row, cell.column) == (row, column) for cell in self.budget.cells)
        return "failed" if asked else "–"

    def sentence(self, claim: Claim) -> str:
        """What the paper says of two rows, what ours say, and how sure that is."""
        entry = self.entry
        pairs = [
            [entry.number(row, column) for row in (claim.better, claim.worse)]
            for column in entry.columns
            if claim.where in column
        ]
        theirs = ", ".join(f"{one - other:+.1f}" for one, other in pairs if one is not None and other is not None)
        ours = [f"{column}{said}" for column, said in self.verdicts(claim).items()]
        rows = f"*{claim.better}* less *{claim.worse}*"
        published = f"in the paper {theirs or 'as drawn'}; here " if entry.columns else ""
        return f"- {claim.text} {rows}: {published}{'; '.join(ours) or 'not run'}."

    def verdicts(self, claim: Claim) -> dict[str, str]:
        """Column -> what follows its name: the difference and what it shows; for each of ours that a claim is about."""
        said = {}
        for column in self.budget.columns:
            rows = {cell.row for cell in self.budget.cells if cell.column == column}
            if claim.where in column and {claim.better, claim.worse} <= rows:
                found = self.difference(claim, column)
                said[column] = f" {found}: **{claim.verdict(found)}**" if found else ": no values"
        return said


def run(
    entry: Entry,
    name: str,
    store: Store,
    *,
    data_root: Path | None = None,
    runtime: Runtime | None = None,
    executor: Executor | None = None,
    listening: Callable[[], AbstractContextManager[Listener]] = lambda: nullcontext(ignore),
    say: Callable[[str], object] = lambda line: None,
) -> Results:
    """Run what is not in the store yet, cell by cell; calling again continues.

    A cell that fails, such as one that diverges, does not stop the others.

    Args:
        entry: a table or figure.
        name: one of its budgets.
        store: where the runs lie; other tables may lie there too.
        data_root: where the data lies, if not at its usual place.
        runtime: device and precision; the best there is by default.
        executor: whose workers make runs side by side, a part of a run each, as in a sweep. Fewer runs than workers,
            and those whose labels are stored, are made one after another, and all share the work of each.
        listening: called for each run, and for those made side by side; gives the listener of their steps.
        say: called with a line before each cell.

    Raises:
        ConfigError: for an unknown budget.
        SRe2LError: the first cell's, if none of them gave a value.
    """
    budget = asked(entry, name, data_root)
    results, errors = Results(entry, name, budget, store), []
    failed = {} if executor is None else _side_by_side(budget, store, executor, runtime, listening, say)
    for number, cell in enumerate(budget.cells, start=1):
        values: list[float] = []
        found = sum(cell.finished(store, recipe) for recipe in cell.recipes)
        say(f"{number}/{len(budget.cells)}  {cell.name}: {found} of {len(cell.recipes)} runs found")
        try:
            for recipe in cell.recipes:
                if failed and _is_whole(cell) and store.note(recipe) in failed:
                    raise failed[store.note(recipe)]
                with listening() as on_step:
                    places = cell.make(store, recipe, runtime=runtime, executor=executor, on_step=on_step)
                    values += entry.measure(places, cell)
        except SRe2LError as error:
            errors.append(error)
            results.failures[cell.row, cell.column] = str(error)
        else:
            results.values[cell.row, cell.column] = tuple(values)
    if not results.values:
        raise errors[0]
    return results


def _side_by_side(
    budget: Budget,
    store: Store,
    executor: Executor,
    runtime: Runtime | None,
    listening: Callable[[], AbstractContextManager[Listener]],
    say: Callable[[str], object],
) -> dict[Path, SRe2LError]:
    """Have workers make whole runs, a part each, where there are enough of them; note of each that failed -> why."""
    asked = {store.note(recipe): recipe for cell in budget.cells if _is_whole(cell) for recipe in cell.recipes}
    left = [recipe for recipe in asked.values() if not (recipe.store_labels or store.finished(recipe))]
    if len(left) < Workers.of(executor).count():
        return {}
    say(f"{len(left)} runs are made side by side")
    with listening() as on_step:
        return Workshop(store, executor, runtime=runtime or Runtime.auto(), on_step=on_step).make(left)


def _is_whole(cell: Cell) -> bool:
    """Whether a cell asks for runs to their end, and nothing else."""
    return type(cell).make is Cell.make


def asked(entry: Entry, name: str, data_root: Path | None = None) -> Budget:
    """A budget with its data where it lies, and without the optional cells whose data is not there."""
    budget = entry.budget(name)
    return (budget if data_root is None else budget.at(data_root)).here()
