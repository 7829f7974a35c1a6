"""What a panel lets people keep: its picture, its tables; a folder, buttons, and what came of them beside these."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import ipywidgets
from PIL import Image

from sre2l_core.figures import raster
from sre2l_core.figures.encode import encoded
from sre2l_core.figures.svg import Drawing, framed
from sre2l_core.files import replacing
from sre2l_core.tabular import Table
from sre2l_core.widgets.base.status import Said, button
from sre2l_core.widgets.base.still import Picture, StillBox


class KeepRow(ipywidgets.HBox):
    """A folder to type in, buttons that write into it, and beside them what they wrote, or why they could not.

    Args:
        folder: where they write to at first.
    """

    children: Any  # ipywidgets ships no types

    def __init__(self, folder: str | Path) -> None:
        self.folder = ipywidgets.Text(str(folder), description="folder", layout={"width": "22em"})
        self.said = Said()
        layout = {"flex_flow": "row wrap", "align_items": "center"}
        super().__init__([self.folder, self.said], layout=layout)
        self.add_class("sre-keep")

    def place(self, folder: str | Path | None = None) -> Path:
        """A folder that was asked for, or the one in the field."""
        return Path(folder or self.folder.value)

    def offer(self, text: str, icon: str, act: Callable[[], Any], css: str, tooltip: str) -> None:
        """Add a button; what `act` raises is said beside it."""
        made = button(text, icon, partial(self.attempt, act), css, tooltip)
        made.layout.width = "auto"  # or longer words would be cut
        self.add(made)

    def add(self, widget: Any) -> None:
        """Put a widget before what is said."""
        *before, said = self.children
        self.children = (*before, widget, said)

    def attempt(self, act: Callable[[], Any]) -> None:
        """Do what a button asks for; a failure takes the place of what was said before."""
        self.said.say("")
        try:
            act()
        except Exception as error:
            self.said.say(_in_words(error))

    def tell(self, paths: list[Path]) -> list[Path]:
        """Say what was written; the paths come back."""
        names = ", ".join(path.name for path in paths)
        self.said.tell(f"{names} {'is' if len(paths) == 1 else 'are'} in {paths[0].parent}")
        return paths


class KeptBox(StillBox):
    """A box of widgets whose picture and tables can be kept as files."""

    @cached_property
    def kept(self) -> KeepRow:
        """Where things are kept; a box that shows no such row has one all the same."""
        return KeepRow("runs")

    def tables(self) -> Mapping[str, Table]:
        """Name of a file -> the table that goes there; raises `RuntimeError` where there is none yet."""
        return {}

    def sheet(self) -> Picture | None:
        """All that is to be seen, as one picture for paper; None while there is nothing to see."""
        return self.picture()

    def keep_row(self, folder: str | Path) -> KeepRow:
        """The row for the bottom of the box, with the buttons that belong there."""
        self.kept = KeepRow(folder)
        self.offer_first(self.kept)
        stem = _stem(type(self))
        words = f"Write {stem}.svg and {stem}.png, as they are to be seen now"
        self.kept.offer("Save picture", "image", self.save_picture, "sre-save-picture", words)
        if type(self).tables is not KeptBox.tables:
            words = "Write the table as CSV, LaTeX and Markdown"
            self.kept.offer("Save table", "table", self.save_tables, "sre-save-table", words)
        return self.kept

    def offer_first(self, row: KeepRow) -> None:
        """Put buttons before those for picture and table."""

    def save_picture(self, folder: str | Path | None = None) -> list[Path]:
        """Write what is to be seen as `name.svg` and `name.png`, named after the panel; their paths.

        Raises:
            RuntimeError: while there is nothing to see.
            ArtifactError: if the disk refuses.
        """
        with self._reading():
            picture = self.sheet()
        if picture is None:
            raise RuntimeError("there is nothing to see yet: press Start")
        drawing = framed(picture, type(self).__name__) if isinstance(picture, Image.Image) else picture
        assert isinstance(drawing, Drawing)
        stem = self.kept.place(folder) / _stem(type(self))
        files = {stem.with_suffix(".svg"): raster.standalone(drawing).encode()}
        files[stem.with_suffix(".png")] = encoded(raster.pixels(drawing), "png")
        for path, content in files.items():
            with replacing(path) as partial_path:
                partial_path.write_bytes(content)
        return self.kept.tell([*files])

    def save_tables(self, folder: str | Path | None = None) -> list[Path]:
        """Write each table as `name.md`, `name.csv` and `name.tex`; their paths.

        Raises:
            RuntimeError: while there is none.
            ArtifactError: if the disk refuses.
        """
        place = self.kept.place(folder)
        with self._reading():
            found = self.tables()
        if not found:
            raise RuntimeError("there is no table here")
        return self.kept.tell([path for name, table in found.items() for path in table.write(place, name)])

    def _reading(self) -> AbstractContextManager[Any]:
        """The lock of a box that has one: nothing is written meanwhile."""
        return getattr(self, "_lock", nullcontext())


def _stem(kind: type) -> str:
    """What files of a panel are called: `RecoverStudio` makes recover_studio, `ValidatePanel` makes validate."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower().removesuffix("_panel")


def _in_words(error: Exception) -> str:
    """What went wrong, for those who press buttons."""
    reason = error if isinstance(error, OSError) else error.__cause__
    if isinstance(reason, OSError):
        return f"cannot write there: {reason.strerror}. Name another folder on the left and press again."
    return str(error).replace("another --out", "another folder")
