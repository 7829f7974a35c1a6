"""What a recovery looks like now: its images, how sure the teacher is of each, the last crop, the mismatch by layer."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from torch import Tensor

from sre2l_core.data import DatasetSpec
from sre2l_core.figures import encode, svg
from sre2l_core.stages.recover import Recovery

COLUMNS = 10
"""Images in a row where the classes do not say otherwise."""
LARGE = 48
"""From this resolution on half as many: these images want to be seen."""
SIDE = 128
"""CSS pixels of the crop view."""


@dataclass(frozen=True)
class Look:
    """One frame of a recovery, encoded: made in the worker, shown later."""

    grid: encode.Frame
    names: str
    cells: str
    caption: str
    crop: tuple[bytes, str]
    """The picture and its format."""
    crop_caption: str
    known: float
    """Share of the images that the teacher puts into their class."""
    distances: list[float]
    """BatchNorm mismatch by layer, mean over groups."""


def columns_of(labels: Sequence[int], resolution: int) -> int:
    """How many images of these classes stand in a row: one column a class, if that is a sensible width."""
    classes = len(set(labels))
    if resolution >= LARGE:
        return min(len(labels), COLUMNS // 2)
    return classes if 4 <= classes <= 2 * COLUMNS else min(len(labels), COLUMNS)


class Glance:
    """Asks the teacher about the whole images, but seldom enough to slow a recovery by no more than `SHARE`."""

    SHARE = 0.01

    def __init__(self) -> None:
        self._answer: tuple[Tensor, Tensor] | None = None
        self._next = 0.0

    def __call__(self, recovery: Recovery, *, now: bool) -> tuple[Tensor, Tensor]:
        """Probabilities and layer distances; those of a moment ago where it is too soon, unless it has to be `now`."""
        if self._answer is None or now or time.monotonic() >= self._next:
            start = time.thread_time()
            self._answer = recovery.measure()
            self._next = time.monotonic() + (time.thread_time() - start) / self.SHARE
        return self._answer


def look(recovery: Recovery, known: tuple[Tensor, Tensor], watched: int, width: int) -> Look:
    """Look at a recovery between two steps.

    Args:
        recovery: at any step.
        known: what `Recovery.measure` said, now or a moment ago.
        watched: which image's crop is shown.
        width: CSS pixels for the images.
    """
    pixels, spec = recovery.pixels().cpu(), recovery.teacher.spec
    columns = columns_of(recovery.targets.tolist(), spec.resolution)
    probabilities, distances = known
    targets = recovery.targets
    sure = probabilities.gather(1, targets[:, None])[:, 0].tolist()
    guessed = probabilities.argmax(1).tolist()
    right = [guess == target for guess, target in zip(guessed, targets.tolist(), strict=True)]
    names = [short_name(spec, label) for label in targets.tolist()]
    seen = [short_name(spec, label) for label in guessed]
    titles = [f"{name}: {p:.1%}, looks like {other}" for name, p, other in zip(names, sure, seen, strict=True)]
    picture = encode.grid(pixels, columns, max_width=width)
    words = f"the teacher's confidence in each image's class; it recognises {sum(right)} of {len(right)}"
    inside = () if one_row_says_all(names, columns) else names
    box = recovery.views(max(recovery.step_count - 1, 0)).box[watched].tolist()
    share = box[2] * box[3] / (spec.resolution**2)
    return Look(
        picture,
        headings(names, picture),
        svg.cells(
            sure, columns, label=words, step=picture.tile, size=picture.side, good=right, titles=titles, names=inside
        ),
        f"Bars: {words}.",
        encode.outlined(pixels[watched], box, side=SIDE),
        f"Image {watched + 1} ({names[watched]}): the last step saw {share:.0%} of it.",
        sum(right) / len(right),
        distances.mean(1).tolist(),
    )


def one_row_says_all(names: list[str], columns: int) -> bool:
    """Whether every column holds one class."""
    return all(name == names[index % columns] for index, name in enumerate(names))


def short_name(spec: DatasetSpec, label: int) -> str:
    """A class's readable name, up to the first comma."""
    return spec.class_names[label].split(",")[0]


def headings(names: list[str], picture: encode.Frame) -> str:
    """Names over the columns of a picture, if every column holds one class."""
    names = names[: picture.columns] if one_row_says_all(names, picture.columns) else []
    style = "box-sizing: border-box; text-align: center; overflow: hidden; text-overflow: ellipsis; flex: none"
    gap = picture.tile - picture.side
    cells = (
        f'<span style="{style}; width: {picture.side:.1f}px; margin-right: {gap:.1f}px" title="{html.escape(name)}">'
        f"{html.escape(name)}</span>"
        for name in names
    )
    return f'<div class="sre-caption" style="display: flex; white-space: nowrap">{"".join(cells)}</div>'


def layers_chart(distances: list[float], width: int = 330, height: int = 200) -> str:
    """BatchNorm mismatch by layer as upright bars."""
    worst = max(range(len(distances)), key=distances.__getitem__) if distances else 0
    words = f"BatchNorm mismatch of {len(distances)} layers"
    if distances:
        words += f", largest in layer {worst + 1}: {distances[worst]:.3g}"
    return svg.columns(
        distances, label=words, x_label="BatchNorm layer, from the pixels up", width=width, height=height
    )


class RecoveryView(ipywidgets.VBox):
    """Images with names and confidences, and the crop of one of them; written from `Look`s."""

    def __init__(self, title: str = "", width: int | None = None) -> None:
        self.title = title
        self._title = ipywidgets.HTML(f'<div class="sre-heading">{html.escape(title)}</div>' if title else "")
        self._names, self._cells, self._caption = ipywidgets.HTML(), ipywidgets.HTML(), _caption()
        self.image = ipywidgets.Image(format="png").add_class("sre-grid").add_class("sre-pixels")
        self.crop = (
            ipywidgets.Image(format="png", layout={"width": f"{SIDE}px"}).add_class("sre-crop").add_class("sre-pixels")
        )
        self.crop_caption = _caption()
        self.grid_box = ipywidgets.VBox([self._title, self._names, self.image, self._cells, self._caption])
        super().__init__([self.grid_box], layout={"width": f"{width}px"} if width else {})

    def show(self, look: Look) -> None:
        """Write a frame."""
        self.show_grid(look.grid, look.names)
        _set(self._cells, look.cells)
        _set(self._caption, look.caption)
        data, self.crop.format = look.crop
        self.crop.value = data
        _set(self.crop_caption, look.crop_caption)

    def show_grid(self, picture: encode.Frame, names: str) -> None:
        """Write the images only."""
        _set(self._names, names)
        self.image.format = picture.format
        if self.image.width != str(picture.width):
            self.image.width = self.image.layout.width = str(picture.width)
            self.image.layout.width = f"{picture.width}px"
        self.image.value = picture.data

    def look_back(self, pixels: Tensor, names: list[str], columns: int, caption: str, width: int) -> None:
        """Show other images than the present ones."""
        picture = encode.grid(pixels, columns, max_width=width)
        self.show_grid(picture, headings(names, picture))
        size = len(names)
        empty = svg.cells(
            [0.0] * size, columns, label="no confidences", step=picture.tile, size=picture.side, good=[True] * size
        )
        _set(self._cells, empty)
        _set(self._caption, html.escape(caption))

    def blank(self, words: str) -> None:
        """Nothing to show, and why."""
        for part in (self._names, self._cells, self.crop_caption):
            _set(part, "")
        self.image.format = self.crop.format = "png"
        self.image.value = self.crop.value = _NOTHING
        _set(self._caption, html.escape(words))


def _caption() -> Any:
    return ipywidgets.HTML().add_class("sre-caption")


def _set(widget: Any, value: str) -> None:
    if widget.value != value:
        widget.value = value


def _nothing() -> bytes:
    from PIL import Image

    return encode.encoded(Image.new("LA", (1, 1)), "png")


_NOTHING = _nothing()
"""A transparent pixel: an empty `src` would show a broken picture."""
