"""Table 11: CIFAR-100, where SRe2L is behind bilevel methods with ten images of each class and ahead with fifty."""

from __future__ import annotations

from sre2l_core import presets
from sre2l_core.paper.entry import ALONE, Budget, Cell, Claim, Entry
from sre2l_core.paper.rivals import LAPTOP, NOTE, as_it_is
from sre2l_core.presets import Recipe, repeated
from sre2l_core.presets.tables import IPCS

NUMBERS = {
    "10, DM": (29.70,),
    "10, FrePo": (41.30,),
    "10, MTT": (40.10,),
    "10, TESLA": (41.70,),
    "10, SRe2L": (23.48,),
    "50, DM": (43.60,),
    "50, FrePo": (44.30,),
    "50, MTT": (47.70,),
    "50, TESLA": (47.90,),
    "50, SRe2L": (51.35,),
    "100, SRe2L": (57.06,),
    "200, SRe2L": (59.64,),
}


def cells(column: str, recipe: Recipe) -> tuple[Cell, ...]:
    """DM's images with hard labels, as in its paper, and SRe2L's with soft ones."""
    made = []
    for ipc in (10, 50):
        base = recipe.but(recover={"ipc": ipc})
        for row, start, labels in (("DM", "dm", "hard"), ("SRe2L", "", "soft")):
            made.append(Cell(f"{ipc}, {row}", column, repeated(as_it_is(base, start), times=3), labels=labels))
    return tuple(made)


table_11 = Entry(
    name="table-11",
    title="Table 11: small pictures, CIFAR-100",
    rows_are="images a class, method",
    columns=("CIFAR-100",),
    numbers=NUMBERS,
    claims=(
        Claim("More images of each class teach more.", "50, SRe2L", "10, SRe2L"),
        Claim("With ten images a class SRe2L is behind DM.", "10, DM", "10, SRe2L"),
        Claim("With fifty it is ahead.", "50, SRe2L", "50, DM"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 5 minutes on 2 CPU cores.",
            note=f"{NOTE} FrePo, MTT and TESLA are not run.",
            cells=cells("digits", LAPTOP["digits"]),
        ),
        "gpu": Budget(
            cost="Recovery alone: hours.",
            note="Other methods are not run.",
            cells=tuple(
                Cell(f"{ipc}, SRe2L", "CIFAR-100", (presets.get(f"table-11/cifar100/ipc{ipc}").but(validate=ALONE),))
                for ipc in IPCS["cifar100"]
            ),
        ),
    },
)

PLUGINS = {"table-11": table_11}
