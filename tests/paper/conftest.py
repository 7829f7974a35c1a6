"""Every entry at toy size: the laptop's cells that need no download, two classes of digits, a moment each."""

from dataclasses import replace

import pytest

from sre2l_core.paper.entry import Budget
from sre2l_core.presets import get, repeated, smoke

SMALL = smoke(get("digits")).but(
    data={"resolution": 8},
    squeeze={"epochs": 1, "batch_size": 128},
    validate={"against": (), "seeds": 1, "epochs": 1},
    store_labels=False,
)


def toy(cell, times=2):
    """The same cell, made from a recipe that takes a moment; start, steps and labels stay what they are."""
    recover = cell.recipes[0].recover
    kept = {"init": recover.init, "steps": min(recover.steps, 2)}
    labels = {"hard_labels": cell.recipes[0].validate.hard_labels}
    return replace(cell, recipes=repeated(SMALL.but(recover=kept, validate=labels), times), student=None)


@pytest.fixture
def small(monkeypatch):
    """Return a function that shrinks an entry's laptop budget."""
    monkeypatch.setattr("sre2l_core.starts.dm.ITERATIONS", 2)

    def shrunken(entry, columns=slice(None)):
        budget = entry.budget("laptop")
        wanted = [c for c in budget.columns if not any(cell.optional for cell in budget.cells if cell.column == c)]
        cells = [toy(cell) for cell in budget.cells if cell.column in wanted[columns]]
        return replace(entry, budgets={"laptop": Budget("No time.", tuple(cells), budget.note, budget.said)})

    return shrunken
