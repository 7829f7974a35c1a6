"""Beyond SRe2L: its successors under one recipe, beside as many random real images, on classes nobody tuned on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry
from sre2l_core.paper.rivals import as_it_is
from sre2l_core.presets import repeated
from sre2l_core.presets.beyond import METHODS, recipe

ROWS = {
    "sre2l": "SRe2L",
    "cda": "CDA",
    "rded": "RDED",
    "delt": "DELT",
    "dwa": "DWA",
    "lpld": "LPLD",
    "edc": "EDC",
    "cv-dd": "CV-DD",
    "fadrm": "FADRM",
    "fadrm+": "FADRM+",
}
"""Method -> what its authors call it."""
RANDOM = "random real"
RECOVERIES = 2


def cells(sets: Sequence[str], ipc: int) -> tuple[Cell, ...]:
    """Random real images and every method in a column for each set of classes."""
    return tuple(cell for classes in sets for cell in _column(classes, ipc))


def _column(classes: str, ipc: int) -> Iterator[Cell]:
    column = f"set {classes.upper()}, {ipc} a class"
    plain = recipe(classes, "sre2l").but(recover={"ipc": ipc}, validate=ALONE)
    yield Cell(RANDOM, column, repeated(as_it_is(plain, "random"), times=RECOVERIES))
    for method, name in ROWS.items():
        asked = recipe(classes, method).but(recover={"ipc": ipc, **_few(method, ipc)}, validate=ALONE)
        yield Cell(name, column, repeated(asked, times=RECOVERIES))


def _few(method: str, ipc: int) -> dict[str, int]:
    """With fewer images of a class than a group has of them, groups are as large as they can be."""
    return {} if "group_images" in METHODS[method] or ipc >= 10 else {"group_images": ipc}


beyond = Entry(
    name="beyond",
    title="Beyond SRe2L: its successors under one recipe",
    rows_are="images, soft labels",
    columns=(),
    numbers={row: () for row in (RANDOM, *ROWS.values())},
    claims=tuple(
        Claim(f"{name} is worth more than as many random real images.", name, RANDOM) for name in ROWS.values()
    ),
    budgets={
        "tuning": Budget("Not run yet.", cells("a", 10), note="The set of classes that settings may be tuned on."),
        "laptop": Budget("Not run yet; by the parts of the presets about a night on 2 CPU cores.", cells("bcd", 10)),
        "one": Budget("Not run yet.", cells("bcd", 1), note="One image of each class."),
    },
)

PLUGINS = {"beyond": beyond}
