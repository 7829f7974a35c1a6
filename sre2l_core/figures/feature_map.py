"""Images as points on a map of features: real ones are dots, condensed ones ringed squares (Figure 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from sre2l_core.figures.colours import of_number
from sre2l_core.figures.encode import page, shrunk
from sre2l_core.figures.svg import FAINT, INK, MUTED, Drawing, box, cut, data_url, dot, hover, tag, text

WIDTH, HEIGHT = 640, 470
"""CSS pixels of the map with what stands beside it."""
INSET = 96
"""CSS pixels of the image of a point, at the upper right."""
RIGHT = WIDTH - INSET - 26
"""End of the map."""
THUMBNAIL, THUMBNAIL_COLUMNS = 32, 20
"""Pixels of a wider image on a page of thumbnails, and images in a row there."""
MARGIN = 0.12
"""Around the real images, as a share of their extent."""
FRAME = box(1, 1, RIGHT, HEIGHT - 2, fill="none", stroke=FAINT)
INSET_FRAME = box(WIDTH - INSET - 12, 2, INSET + 4, INSET + 4, fill="none", stroke=FAINT)


@dataclass(frozen=True)
class FeatureMap:
    """Where the images are, and how they are drawn."""

    real: npt.NDArray[Any]
    """[R, 2]"""
    condensed: npt.NDArray[Any]
    """[M, 2]"""
    groups: Sequence[int]
    """[R + M] numbers in the palette: of the real images, then of the condensed ones."""
    names: Sequence[str]
    """What these numbers stand for."""
    titles: Sequence[str]
    """[R + M] said on hovering."""
    thumbnails: str = ""
    """Prefix of the ids of two pages of thumbnails, "-real" and "-condensed"; without it points show no images."""

    def dots(self) -> Drawing:
        """The real images, the legend, and the place for the image of a point."""
        words = (("point at one", 0), ("to see it", 16)) if self.thumbnails else ()
        at = WIDTH - INSET // 2 - 10
        inset = [text(line, at, INSET // 2 + down, anchor="middle", fill=MUTED) for line, down in words]
        inset += [INSET_FRAME] if self.thumbnails else []
        label = f"map of {len(self.real)} real images by the teacher's features"
        return Drawing([FRAME, *inset, *self._dots(), *self._legend()], WIDTH, HEIGHT, label)

    def squares(self, chosen: int = -1) -> Drawing:
        """The condensed images, to lie over the real ones, and a ring around the chosen point."""
        label = f"{len(self.condensed)} condensed images on the map"
        return Drawing([*self._squares(), *self._ring(chosen)], WIDTH, HEIGHT, label)

    def drawing(self) -> Drawing:
        """Real and condensed images in one picture."""
        label = f"map of {len(self.real)} real and {len(self.condensed)} condensed images by the teacher's features"
        return Drawing([FRAME, *self._dots(), *self._squares(), *self._legend()], WIDTH, HEIGHT, label)

    def square_places(self) -> list[tuple[float, float]]:
        """CSS pixels of the condensed images."""
        return self._places[len(self.real) :]

    @cached_property
    def _places(self) -> list[tuple[float, float]]:
        """CSS pixels of every point: the real images fill the frame, and what strays stays at its edge."""
        low, high = self.real.min(0), self.real.max(0)
        low, extent = low - MARGIN * (high - low), np.maximum((1 + 2 * MARGIN) * (high - low), 1e-9)
        across, up = ((np.concatenate([self.real, self.condensed]) - low) / extent).T
        x, y = 8 + across * (RIGHT - 20), HEIGHT - 8 - up * (HEIGHT - 16)
        return list(zip(x.clip(6, RIGHT - 2).tolist(), y.clip(6, HEIGHT - 6).tolist(), strict=True))

    def _dots(self) -> list[str]:
        return [
            self._point(index, dot(*self._places[index], 3, fill=of_number(self.groups[index]), fill_opacity=0.55))
            for index in range(len(self.real))
        ]

    def _squares(self) -> list[str]:
        parts = []
        for index in range(len(self.real), len(self.groups)):
            x, y = self._places[index]
            look = {"fill": of_number(self.groups[index]), "stroke": INK, "stroke_width": 1.3}
            parts.append(self._point(index, box(x - 4.5, y - 4.5, 9, 9, **look)))
        return parts

    def _ring(self, chosen: int) -> list[str]:
        return [] if chosen < 0 else [dot(*self._places[chosen], 9, fill="none", stroke=INK, stroke_width=2)]

    def _legend(self) -> list[str]:
        left, top = RIGHT + 18, INSET + 30 if self.thumbnails else 20
        marks = [dot(left, top - 4 + 18 * number, 5, fill=of_number(number)) for number in range(len(self.names))]
        words = [text(cut(name, 14), left + 10, top + 18 * number) for number, name in enumerate(self.names)]
        return marks + words

    def _point(self, index: int, mark: str) -> str:
        """A mark, and its image, which the page's style shows while the pointer is on the mark."""
        inset = ""
        if self.thumbnails:
            real = index < len(self.real)
            row, column = divmod(index if real else index - len(self.real), THUMBNAIL_COLUMNS)
            place = {"x": WIDTH - INSET - 10, "y": 4, "width": INSET, "height": INSET}
            image = tag("use", href=f"#{self.thumbnails}-{'real' if real else 'condensed'}")
            inset = tag("svg", image, class_="tip", viewBox=f"{column} {row} 1 1", **place)
        return tag("g", hover(self.titles[index]), mark, inset, class_="pt", tabindex=-1, data_index=index)


def empty_map() -> Drawing:
    """The map before there is anything on it."""
    words = text("nothing yet", RIGHT // 2, HEIGHT // 2, anchor="middle", fill=MUTED)
    return Drawing([FRAME, INSET_FRAME, words], WIDTH, HEIGHT, "map of the teacher's features, nothing yet")


def thumbnails(name: str, pixels: Tensor) -> str:
    """Images side by side in one picture of this id, of which points show a piece; each fills a unit square."""
    pixels = shrunk(pixels, THUMBNAIL) if pixels.shape[-1] > THUMBNAIL else pixels
    rows = -(-len(pixels) // THUMBNAIL_COLUMNS)
    picture = data_url(page(pixels, THUMBNAIL_COLUMNS, gap=0, transparent=False))
    size = {"width": THUMBNAIL_COLUMNS, "height": rows, "preserveAspectRatio": "none"}
    image = tag("image", id=name, href=picture, image_rendering="pixelated", **size)
    return tag("svg", tag("defs", image), width=0, height=0, style="position: absolute", aria_hidden="true")
