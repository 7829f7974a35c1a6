"""A view is one drawing or several under a heading; a sheet is the views of a panel as one picture that stays.

A panel shows its views one by one as HTML, and leaves a sheet of the very same drawings in the saved notebook. The
sheet brings its own ground, because nobody knows what it will lie on: a page that says dark gets light ink on dark, and
paper gets dark ink on white. Inside a page of Jupyter it takes the colours of the theme.
"""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from sre2l_core.figures.encode import Frame
from sre2l_core.figures.svg import LETTER, MUTED, Drawing, box, cut, escaped, tag, text

WIDTH = 880
"""CSS pixels of a sheet at most: as wide as a page that shows notebooks leaves room for."""
GAP, INNER_GAP, EDGE, LINE = 22, 14, 12, 15
"""CSS pixels between views, between the drawings of one, around all, and from one line of text to the next."""
STYLE = """
.sre-sheet { color: #24292f; --sre-ground: #ffffff; }
@media screen and (prefers-color-scheme: dark) { .sre-sheet { color: #d5d9de; --sre-ground: #0d1117; } }
"""
GROUND = "var(--jp-layout-color1, var(--sre-ground, #ffffff))"


@dataclass(frozen=True)
class View:
    """Drawings under a heading, and lines of text about them."""

    title: str
    drawings: Drawing | Sequence[Drawing] = ()
    notes: tuple[str, ...] = ()
    beside: bool = False
    """Whether the notes stand on the right of the drawings, and not below them."""

    def html(self) -> str:
        """For a page, which puts as many drawings into a row as there is room for."""
        lines = "<br>".join(map(html.escape, self.notes))
        parts = [*self._drawings, *([f'<div class="sre-caption">{lines}</div>'] if lines else [])]
        flow = '<div style="display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px">{}</div>'
        if self.beside:
            parts = [flow.format("".join(parts))]
        elif len(self._drawings) > 1:
            parts = [flow.format("".join(self._drawings)), *parts[len(self._drawings) :]]
        heading = f'<div class="sre-heading">{html.escape(self.title)}</div>' if self.title else ""
        return f"<div>{heading}{''.join(parts)}</div>"

    def drawn(self) -> Drawing:
        """As one drawing that holds heading and notes."""
        inner = in_rows(self._drawings, INNER_GAP)
        letters = 34 if self.beside else max(int((inner.width or WIDTH / 2) / (LETTER - 0.6)), 20)
        lines = [line for note in self.notes for line in textwrap.wrap(note, letters)]
        top, text_height = (LINE + 4 if self.title else 0), LINE * len(lines)
        x = inner.width + GAP if self.beside else 0.0
        y = top + (max(inner.height - text_height, 0) / 2 if self.beside else inner.height)
        parts = [text(self.title, 0, LINE - 4, font_weight=600, font_size=12), inner.at(0, top)]
        parts += [text(line, x, y + LINE * (number + 1) - 2, fill=MUTED) for number, line in enumerate(lines)]
        below = inner.width > 0 and not self.beside  # such notes are broken to fit
        width = max(inner.width, 0 if below else x + LETTER * max(map(len, lines), default=0))
        width = max(width, 1.1 * LETTER * len(self.title))
        return Drawing(parts, width, max(top + inner.height, y + text_height), inner.label)

    @property
    def _drawings(self) -> list[Drawing]:
        return [self.drawings] if isinstance(self.drawings, Drawing) else list(self.drawings)


def captioned(picture: Frame, names: Sequence[str], bars: Drawing) -> Drawing:
    """Images in a grid, the names of its columns above, and a bar under each image.

    Args:
        picture: the grid, as a page shows it.
        names: of the columns; none where they have none.
        bars: a drawing to be laid over the grid.
    """
    address = f"data:image/{picture.format};base64,{base64.b64encode(picture.data).decode()}"
    with Image.open(io.BytesIO(picture.data)) as opened:
        height = round(picture.width * opened.height / opened.width)
    top, middle, fits = LINE if names else 0, picture.side / 2, max(int(picture.side / LETTER), 1)
    parts = [
        text(cut(name, fits), column * picture.tile + middle, LINE - 5, anchor="middle", fill=MUTED)
        for column, name in enumerate(names)
    ]
    place = {"x": 0, "y": top, "width": picture.width, "height": height}
    parts.append(tag("image", href=address, image_rendering="pixelated", **place))
    parts.append(bars.at(0, top))
    return Drawing(parts, max(picture.width, bars.width), top + max(height, bars.height), bars.label)


def in_rows(drawings: Sequence[Drawing], gap: float) -> Drawing:
    """Drawings from left to right, as many in a row as a sheet has room for."""
    parts: list[str] = []
    x = y = right = bottom = 0.0
    for one in drawings:
        if x > 0 and x + one.width > WIDTH - 2 * EDGE:
            x, y = 0.0, bottom + gap
        parts.append(one.at(x, y))
        right, bottom = max(right, x + one.width), max(bottom, y + one.height)
        x += one.width + gap
    return Drawing(parts, right, bottom, "; ".join(one.label for one in drawings if one.label))


def sheet(views: Sequence[View], title: str, *, subtitle: str = "") -> Drawing:
    """Views as one picture that stands alone.

    Args:
        views: in the order of reading.
        title: what the picture shows, for those who cannot see it.
        subtitle: a line of text above the views.
    """
    inner = in_rows([view.drawn() for view in views], GAP)
    top = EDGE + (LINE + 8 if subtitle else 0)
    width = round(max(inner.width, LETTER * len(subtitle)) + 2 * EDGE)
    height = round(top + inner.height + EDGE)
    parts = [
        tag("title", escaped(title)),
        tag("desc", escaped(inner.label)),
        tag("style", STYLE),
        box(0, 0, width, height, rx=4, fill=GROUND),
        text(subtitle, EDGE, EDGE + LINE - 3, font_size=12),
        inner.at(EDGE, top),
    ]
    return Drawing(parts, width, height, title, class_="sre-sheet")
