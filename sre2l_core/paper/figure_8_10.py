"""Figures 8 to 10: more condensed images, of Tiny-ImageNet beside MTT's (8) and of ImageNet-1K (9 and 10)."""

from __future__ import annotations

from functools import partial

from sre2l_core.paper.entry import Entry, number
from sre2l_core.paper.figure_5 import COLUMNS, figure_5
from sre2l_core.paper.rivals import STARTS, UNIT, gallery

figure_8_10 = Entry(
    name="figure-8-10",
    title="Figure 8: more condensed images, as in Figures 8, 9 and 10",
    rows_are="images",
    columns=COLUMNS,
    numbers={row: (None, None) for row in STARTS},
    claims=figure_5.claims,
    budgets=figure_5.budgets,
    measure=number,
    unit=UNIT,
    draw=partial(gallery, each=4),
)

PLUGINS = {"figure-8-10": figure_8_10}
