"""What a recovery looks like now: its images, how sure the teacher is of each, and the crop of the last step."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from PIL import Image
from torch import Tensor
from traitlets import Unicode

from sre2l_core.figures import bars, encode
from sre2l_core.stages.recover import Recovery
from sre2l_core.widgets.base.spots import Spots, over
from sre2l_core.widgets.recovery.frame import SIDE, Moment, RecoveryFrame, drawn, headings, moment, numbered

ROW: dict[str, Any] = {"flex_flow": "row wrap", "align_items": "flex-start"}
"""Layout of widgets side by side, as far as there is room."""
HALVES: dict[str, Any] = ROW | {"grid_gap": "0 24px"}
"""Layout of the halves of a panel: beside one another where a window is wide."""
HALF: dict[str, Any] = {"flex": "1 1 640px", "min_width": "0"}
"""Layout of a half."""
NOTHING = encode.encoded(Image.new("LA", (1, 1)), "png")
"""A transparent pixel: an empty `src` would show a broken picture."""


class Picture(ipywidgets.Image):
    """An image whose tooltip is its text, for those who cannot see it."""

    description = Unicode("").tag(sync=True)
    """Empty: the page shows a tooltip only where there is a description that is."""


class ThrottledTeacher:
    """Asks the teacher about the whole images, seldom enough to slow their recovery by no more than `SHARE`."""

    SHARE = 0.01

    def __init__(self, recovery: Recovery) -> None:
        self.recovery = recovery
        self._answer: tuple[Tensor, Tensor] | None = None
        self._next = 0.0

    def ask(self, *, now: bool) -> tuple[Tensor, Tensor]:
        """Probabilities and layer distances; those of a moment ago where it is too soon, unless it has to be `now`."""
        if self._answer is None or now or time.monotonic() >= self._next:
            start = time.thread_time()
            self._answer = self.recovery.measure()
            self._next = time.monotonic() + (time.thread_time() - start) / self.SHARE
        return self._answer


class RecoveryView(ipywidgets.VBox):
    """Images with names and confidences; the crop of one image and its caption are put beside them by a panel.

    Args:
        width: CSS pixels for the images.
        title: a line over them.
        on_pick: called with the number of an image that is clicked.
    """

    def __init__(self, width: int, title: str = "", on_pick: Callable[[int], Any] | None = None) -> None:
        self._width = width
        self._teacher: ThrottledTeacher | None = None
        self.latest: Moment | None = None
        """What was seen last of a recovery."""
        self._names, self._cells = ipywidgets.HTML(), ipywidgets.HTML()
        self._caption, self.crop_caption = (ipywidgets.HTML().add_class("sre-caption") for _ in range(2))
        # It takes the width of the images, and makes none.
        self._caption.layout.width, self._caption.layout.min_width = "0", "100%"
        self.image = Picture(format="png").add_class("sre-grid").add_class("sre-pixels")
        self.crop = Picture(format="png", layout={"width": f"{SIDE}px"})
        self.crop.add_class("sre-crop").add_class("sre-pixels").tooltip = "crop of one image"
        heading = ipywidgets.HTML(f'<div class="sre-heading">{html.escape(title)}</div>' if title else "")
        self._cells.add_class("sre-cells")
        self._spots = Spots(on_pick) if on_pick else None
        images = over(self.image, self._cells, *([self._spots] if self._spots else []), overflow="visible")
        # Nothing in it scrolls: a box that would, has to be reached by keyboard.
        layout = {"min_width": "min(330px, 100%)", "overflow": "visible"}
        super().__init__([heading, self._names, images, self._caption], layout=layout)

    def beside(self, *more: Any) -> Any:
        """The crop of one image, and beside it other widgets over the caption."""
        words = ipywidgets.VBox([*more, self.crop_caption], layout={"width": "190px", "margin": "0 0 0 8px"})
        return ipywidgets.HBox([self.crop, words], layout={"margin": "0 0 0 12px"})

    def frame(self, recovery: Recovery, *, now: bool, watched: int = 0) -> RecoveryFrame:
        """Look at a recovery between two steps; called in the worker.

        Args:
            recovery: at any step.
            now: whether the teacher has to be asked, or what it said a moment ago will do.
            watched: which image's crop is shown.
        """
        if self._teacher is None or self._teacher.recovery is not recovery:
            self._teacher = ThrottledTeacher(recovery)
        self.latest = moment(recovery, self._teacher.ask(now=now))
        return self.drawn(self.latest, recovery, watched, live=True)

    def drawn(self, seen: Moment, recovery: Recovery, watched: int, *, live: bool) -> RecoveryFrame:
        """A moment of a recovery, the present one or another."""
        targets = recovery.targets.tolist()
        return drawn(seen, recovery.teacher.spec, targets, width=self._width, watched=watched, live=live)

    def show(self, frame: RecoveryFrame) -> None:
        """Write a frame."""
        self._write(frame.images, frame.names, frame.confidences, frame.caption, frame.titles)
        self.crop.value, self.crop.format = frame.crop
        self.crop_caption.value = frame.crop_caption
        self.crop.tooltip = html.unescape(frame.crop_caption)

    def show_past(self, pixels: Tensor, names: list[str], columns: int, words: str) -> None:
        """Show images that no network has looked at."""
        picture, count = encode.grid(pixels, columns, max_width=self._width, below=bars.CELL), len(names)
        cells = bars.cells(
            [None] * count,
            columns,
            label="no confidences yet",
            step=picture.tile,
            down=picture.down,
            size=picture.side,
            good=[True] * count,
        )
        self._write(picture, headings(names, picture), cells, html.escape(words), numbered(names))
        self._no_crop("no step was taken yet")

    def blank(self, words: str) -> None:
        """Nothing to show, and why."""
        self._names.value = self._cells.value = ""
        self.image.format, self.image.value = "png", NOTHING
        self._caption.value = html.escape(words)
        self.image.tooltip = words
        self._no_crop(words)
        if self._spots is not None:
            self._spots.place([], [])

    def mark(self, image: int) -> None:
        """Show which image is chosen."""
        if self._spots is not None:
            self._spots.mark(image)

    def _no_crop(self, words: str) -> None:
        self.crop.format, self.crop.value, self.crop.tooltip, self.crop_caption.value = "png", NOTHING, words, ""

    def _write(self, picture: encode.Frame, names: str, cells: str, caption: str, titles: Sequence[str]) -> None:
        self.image.format = picture.format
        if self.image.width != str(picture.width):
            self.image.width, self.image.layout.width = str(picture.width), f"{picture.width}px"
        self.image.value, self.image.tooltip = picture.data, html.unescape(caption)
        for part, text in ((self._names, names), (self._cells, cells), (self._caption, caption)):
            part.value = text  # ipywidgets sends only what has changed
        if self._spots is not None:
            corners = (divmod(number, picture.columns) for number in range(len(titles)))
            side, across, down = picture.side, picture.tile, picture.down
            self._spots.place([(column * across, row * down, side, side) for row, column in corners], titles)


def titled(title: str, widget: Any) -> Any:
    """A widget under a line that names it."""
    return ipywidgets.VBox([ipywidgets.HTML(f'<div class="sre-heading">{html.escape(title)}</div>'), widget])
