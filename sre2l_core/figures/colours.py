"""One colour for one thing, in SVG and in matplotlib alike.

The palette keeps a contrast of 3 to white and to a dark page, and its colours stay apart for readers who see no red,
no green or no blue: the first six well, all ten enough for lines with dash patterns.
"""

from __future__ import annotations

from sre2l_core.terms import TOTAL, all_terms

PALETTE = ("#4061b9", "#ce8100", "#1baa5f", "#b068a7", "#7b6203", "#918d8b", "#9b683e", "#786fea", "#149bd4", "#ad3a50")
GREY = PALETTE[5]


def of_number(number: int) -> str:
    """Of the series or group with this number, from 0."""
    return PALETTE[number % len(PALETTE)]


def of_term(name: str) -> str:
    """Of a term of the recovery loss; the total is grey, and a term that is not installed here follows all others."""
    if name == TOTAL:
        return GREY
    known, colours = list(all_terms()), [colour for colour in PALETTE if colour != GREY]
    place = known.index(name) if name in known else len(known)
    return colours[place % len(colours)]
