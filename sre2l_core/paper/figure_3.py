"""Figure 3: what regularisers and random crops do to the pictures; the images are those of Table 8."""

from __future__ import annotations

from functools import partial

from sre2l_core.paper.entry import Budget, Claim, Entry, number
from sre2l_core.paper.rivals import UNIT, Recognised, gallery
from sre2l_core.paper.table_8 import NUMBERS, table_8

COLUMN = "ImageNet-1K"
CLASSES = ("n09472597", "n01494475", "n02206856", "n09468604")
"""Volcano, hammerhead, bee, valley."""


def judged(name: str, judge: str = "") -> tuple[Recognised, ...]:
    """The cells of a budget of Table 8, its images judged; of the gpu budget's those on ImageNet-1K."""
    cells = [cell for cell in table_8.budgets[name].cells if name != "gpu" or cell.column == COLUMN]
    return tuple(Recognised(c.row, c.column, c.recipes, optional=c.optional, judge=judge) for c in cells)


figure_3 = Entry(
    name="figure-3",
    title="Figure 3: pictures under regularisers and crops",
    rows_are="recovered with",
    columns=(COLUMN,),
    numbers={row: (None,) for row in NUMBERS},
    claims=(
        Claim("With random crops, features of the class spread over the whole picture.", "random crop", "none"),
        Claim("R_TV makes them no clearer.", "none", "R_TV"),
    ),
    budgets={
        "laptop": Budget(
            cost="About 2 minutes on 2 CPU cores; 10 more where Tiny-ImageNet is. Table 8 goes on from these images.",
            note=table_8.budgets["laptop"].note,
            cells=judged("laptop"),
        ),
        "gpu": Budget(
            cost="Minutes after table-8, whose images these are.",
            note=table_8.budgets["gpu"].note,
            cells=judged("gpu", judge="resnet50"),
        ),
    },
    measure=number,
    unit=UNIT,
    draw=partial(gallery, classes=CLASSES),
)

PLUGINS = {"figure-3": figure_3}
