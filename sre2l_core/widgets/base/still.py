"""What stays of a panel: its last picture, for a page without a kernel, on GitHub and on paper."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython import display as ipython
from PIL import Image

from sre2l_core.figures.encode import encoded

Picture = Image.Image | str
"""Pixels, or a drawing as a standalone SVG document."""

STILL_STYLE = """<style>
.jp-OutputArea-child:not(:has(.sre-panel)):has(+ .jp-OutputArea-child .sre-still) { display: none; }
.jp-OutputArea-child:not(:has(.sre-panel)) + .jp-OutputArea-child .sre-still { display: block !important; }
.jp-OutputArea-child:has(.sre-panel) + .jp-OutputArea-child:has(.sre-still) { display: none; }
</style>"""
"""Where a panel lives, its picture takes no room; where it does not, the picture replaces Lab's error."""


class StillBox(ipywidgets.VBox):
    """A box of widgets that leaves its last picture behind, in its own output and in one below it."""

    _update_still: Callable[..., Any] | None = None

    def picture(self) -> Picture | None:
        """The main view, drawn to stay; None while there is nothing to see."""
        return None

    @property
    def error(self) -> str:
        """What went wrong, in one line; empty while all is well."""
        return ""

    def snapshot(self) -> Any:
        """The main view for a cell whose output stays: a PIL image, or a drawing that a notebook shows."""
        picture = self.picture()
        if picture is None:
            raise RuntimeError(f"there is nothing to see yet: {self.error or 'start the panel first'}")
        return ipython.SVG(picture) if isinstance(picture, str) else picture  # type: ignore[no-untyped-call]

    def leave_still(self) -> None:
        """Bring the picture that was left behind up to date."""
        if self._update_still is not None:
            self._update_still(self._fallback(), raw=True)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live view; for readers without a kernel the last picture, and a line of text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle |= {"text/plain": repr(self)} | as_mime(self._drawn())
        return bundle

    def _ipython_display_(self, **kwargs: Any) -> None:
        """The live view, and under it a picture that shows itself only where there is no live view any more."""
        display: Callable[..., Any] = ipython.display
        display(self._repr_mimebundle_(**kwargs), raw=True)
        handle = display(self._fallback(), raw=True, display_id=True)
        self._update_still = None if handle is None else handle.update

    def _complain(self, error: BaseException | str, details: str = "") -> None:
        """Say what went wrong."""
        raise NotImplementedError

    def _drawn(self) -> Picture | None:
        """The picture; a view that breaks takes nothing else with it."""
        try:
            return self.picture()
        except Exception as error:
            self._complain(error)
            return None

    def _fallback(self) -> dict[str, str]:
        """The last picture, for a page that finds no model of this panel: after a restart of its kernel."""
        picture, name = self._drawn(), html.escape(type(self).__name__)
        image = "" if picture is None else f'<img alt="{name}: the last picture" src="{data_url(picture)}">'
        text = f"{name}: the last picture. Its kernel is gone; run the cell again to bring the panel back."
        return {"text/html": f'{STILL_STYLE}<div class="sre-still" style="display: none">{image}<p>{text}</p></div>'}


def as_mime(picture: Picture | None) -> dict[str, str]:
    """A picture under the MIME type that notebooks know it by."""
    if picture is None:
        return {}
    if isinstance(picture, str):
        return {"image/svg+xml": picture}
    return {"image/png": base64.b64encode(encoded(picture, "png")).decode()}


def data_url(picture: Picture) -> str:
    """A picture as the source of an image on a page."""
    if isinstance(picture, str):
        return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"
    return f"data:image/png;base64,{as_mime(picture)['image/png']}"
