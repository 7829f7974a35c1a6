"""`BoundsPanel`: move the noise, and read what Appendix D's bounds say of several sets of images, and what it costs."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping

import ipywidgets
from matplotlib.figure import Figure

from sre2l_core.errors import ConfigError
from sre2l_core.figures.bounds import bounds_chart, bounds_figure
from sre2l_core.figures.svg import Drawing
from sre2l_core.figures.tables import table
from sre2l_core.tabular import Table
from sre2l_core.theory import DELTA, Measured
from sre2l_core.widgets.base.keep import KeptBox
from sre2l_core.widgets.base.status import STYLE, ErrorLine

HEAD = ("images", "number", "I(X; D), bits", "at most, log2 N", "bound on the gap", "recognised")
FOLDER = "runs/bounds"


class BoundsPanel(KeptBox):
    """A slider over the scales of noise that were measured; `panel.noise = 1.0` moves it.

    Args:
        measured: name of a set -> what `theory.measure` found, all at the same scales of noise.
        noise: where the slider begins; the middle of the scales by default.
        delta: how likely the bound on the gap is allowed to fail.
    """

    def __init__(self, measured: Mapping[str, Measured], *, noise: float | None = None, delta: float = DELTA) -> None:
        self.measured, self.delta = dict(measured), delta
        scales = {found.noise for found in self.measured.values()}
        self.scales = next(iter(scales), ())
        if len(scales) != 1 or len(self.scales) < 2:
            raise ConfigError("a slider needs sets that were measured at the same scales of noise, at least two.")
        self.slider = ipywidgets.SelectionSlider(
            options=[(f"{scale:g}", scale) for scale in self.scales],
            value=self._known(self.scales[len(self.scales) // 2] if noise is None else noise),
            description="noise",
            layout={"width": "420px"},
        )
        self._view, self._error = ipywidgets.HTML(), ErrorLine()
        super().__init__([ipywidgets.HTML(STYLE), self.slider, self._error, self._view, self.keep_row(FOLDER)])
        self.add_class("sre-panel").add_class("sre-bounds")
        self.slider.observe(lambda change: self._draw(), names="value")
        self._draw()

    def __repr__(self) -> str:
        return f"<BoundsPanel of {', '.join(self.measured)} at noise {self.noise:g}>"

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, in units of the features' spread."""
        return float(self.slider.value)

    @noise.setter
    def noise(self, value: float) -> None:
        self.slider.value = self._known(value)

    @property
    def error(self) -> str:
        """What went wrong, in one line; empty while all is well."""
        return self._error.message

    def picture(self) -> Drawing:
        """Bound on the gap and share recognised, against the noise."""
        return bounds_chart(self.measured, self.noise, delta=self.delta)

    def figure(self) -> Figure:
        """Information and bound on the gap against the noise, for paper."""
        return bounds_figure(self.measured, delta=self.delta)

    def tables(self) -> dict[str, Table]:
        """The table at the present noise."""
        return {"bounds": Table(HEAD, self.rows())}

    def rows(self) -> list[tuple[str, ...]]:
        """The table at the present noise, as text: a row for each set."""
        at = self.scales.index(self.noise)
        found: list[tuple[str, ...]] = []
        for name, one in self.measured.items():
            bits = one.information[at]
            gap = bits.gap(self.delta)
            verdict = f"{gap:.2f}" if gap < 1 else "none: at least 1"
            shown = f"{max(bits.lower, 0):.1f} to {max(bits.upper, 0):.1f}"
            most = f"{math.log2(one.images):.1f}"
            found.append((name, f"{one.images:,}", shown, most, verdict, f"{one.recognised[at]:.0%}"))
        return found

    def _draw(self) -> None:
        rows = [[html.escape(cell) for cell in row] for row in self.rows()]
        self._view.value = self.picture() + table(HEAD, rows)
        self.leave_still()

    def _known(self, noise: float) -> float:
        if noise not in self.scales:
            raise ConfigError(
                f"nothing was measured at noise {noise}: take {', '.join(map('{:g}'.format, self.scales))}."
            )
        return noise

    def _complain(self, error: BaseException | str, details: str = "") -> None:
        self._error.say(error, details)
