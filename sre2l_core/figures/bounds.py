"""What `theory.measure` found, against the noise: for a page, and as a drawing that a slider moves along."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.figure import Figure

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.curves import log_chart
from sre2l_core.figures.svg import Drawing
from sre2l_core.figures.theme import FAINT, INK, LEGEND, plain, subplots, words
from sre2l_core.theory import DELTA, Measured

NOISE_AXIS = "noise, in units of the features' spread"


def bounds_figure(measured: Mapping[str, Measured], *, delta: float = DELTA) -> Figure:
    """Information between its two bounds, and the bound on the generalisation gap, against the noise.

    Args:
        measured: name of a set -> what was measured.
        delta: how likely the bound on the gap is allowed to fail.
    """
    figure, (left, right) = subplots(8.8, 3.4, 1, 2)
    for number, (name, found) in enumerate(measured.items()):
        colour, bits = of_number(number), found.information
        lower, upper = [one.lower for one in bits], [one.upper for one in bits]
        left.fill_between(found.noise, lower, upper, color=colour, alpha=0.25, linewidth=0)
        left.plot(found.noise, upper, color=colour, linewidth=1.6, label=f"{words(name)}, {found.images} images")
        left.plot(found.noise, lower, color=colour, linewidth=0.8)
        right.plot(found.noise, [one.gap(delta) for one in bits], color=colour, linewidth=1.6)
    ends = [math.log2(found.images) for found in measured.values()]
    left.set(ylim=(0, 2 * max(ends)), ylabel="I(X; D), bits", title="information, between its bounds")
    right.set(yscale="log", ylim=(0.01, 100), ylabel="bound on the gap", title="generalisation gap")
    right.axhline(1, color=INK, linewidth=0.8, linestyle="--")
    right.annotate("above: says nothing", (0.02, 1.1), xycoords=("axes fraction", "data"), color=INK, fontsize=9)
    scales = next(iter(measured.values())).noise
    for axes in (left, right):
        plain(axes).set(xscale="log", xlabel=NOISE_AXIS, xlim=(scales[0], scales[-1]))
        axes.minorticks_off()
        axes.set_xticks(scales[::2], [f"{scale:g}" for scale in scales[::2]])
        axes.grid(True, axis="y", color=FAINT, linewidth=0.6)
        axes.title.set_fontsize(10)
    figure.legend(*left.get_legend_handles_labels(), **LEGEND, fontsize=9, loc="outside upper center", ncols=4)
    return figure


def bounds_chart(measured: Mapping[str, Measured], noise: float, *, delta: float = DELTA) -> Drawing:
    """The bound on the gap, up to where it says nothing, and what the noise leaves recognisable; a line at `noise`.

    Args:
        measured: name of a set -> what was measured.
        noise: where the upright line stands.
        delta: how likely the bound is allowed to fail.
    """
    gaps, kept = {}, {}
    for name, found in measured.items():
        places = [math.log10(scale) for scale in found.noise]
        gaps[name] = [(x, min(one.gap(delta), 1.0)) for x, one in zip(places, found.information, strict=True)]
        kept[name] = list(zip(places, found.recognised, strict=True))
    at = math.log10(noise)
    charts = [
        log_chart(gaps, at=at, label="bound on the generalisation gap", x_label=f"bound on the gap · {NOISE_AXIS}"),
        log_chart(kept, at=at, label="share recognised", x_label=f"share still recognised · {NOISE_AXIS}"),
    ]
    parts = [chart.at(410 * number, 0) for number, chart in enumerate(charts)]
    return Drawing(parts, 810, charts[0].height, "bounds on the gap and share recognised, against the noise")
