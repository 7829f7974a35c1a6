"""What stays of a panel without a kernel: its picture as it was drawn, under the MIME types that notebooks know."""

import base64
import io
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from IPython import display as ipython
from PIL import Image

from sre2l_core.config import DataConfig
from sre2l_core.events import StepEvent
from sre2l_core.figures import svg
from sre2l_core.widgets.base import still
from sre2l_core.widgets.base.panel import LivePanel
from sre2l_core.widgets.base.still import Picture
from sre2l_core.worker import State

DRAWING = svg.Drawing(['<circle cx="5" cy="5" r="4"/>'], 10, 10, "a dot")


class Pictured(LivePanel):
    def __init__(self, picture: Picture | Exception | None, name: str) -> None:
        self.pictured = picture
        super().__init__(DataConfig(), [], name=name)

    def build(self) -> list[StepEvent]:
        return [StepEvent("picture", 1, 1)]

    def picture(self) -> Picture | None:
        if isinstance(self.pictured, Exception):
            raise self.pictured
        return self.pictured


class Page:
    """Notes what is displayed, as a notebook would."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []

    def display(self, bundle: dict[str, Any], *, raw: bool, display_id: bool = False) -> "Page | None":
        assert raw
        self.outputs.append(bundle)
        return self if display_id else None

    def update(self, bundle: dict[str, Any], *, raw: bool) -> None:
        assert raw
        self.outputs[-1] = bundle

    @property
    def below(self) -> str:
        return self.outputs[-1]["text/html"]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    page = Page()
    monkeypatch.setattr(still.ipython, "display", page.display)
    return page


@pytest.fixture(params=[Image.new("L", (3, 2), 7), DRAWING, None], ids=["pixels", "drawing", "nothing"])
def panel(request: pytest.FixtureRequest) -> Iterator[Pictured]:
    panel = Pictured(request.param, request.node.name)
    yield panel
    panel.close()


def opened(data: str) -> Picture:
    """The picture in an image's source."""
    kind, _, text = data.removeprefix("data:").partition(";base64,")
    found = base64.b64decode(text)
    return found.decode() if kind == "image/svg+xml" else Image.open(io.BytesIO(found))


def same(one: Picture | None, other: Picture | None) -> bool:
    if isinstance(one, Image.Image) and isinstance(other, Image.Image):
        return (one.size, one.tobytes()) == (other.size, other.tobytes())
    return one == other


def test_a_reader_without_a_kernel_gets_the_picture_as_it_was_drawn(panel: Pictured) -> None:
    bundle = panel._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "<Pictured: idle>"
    kinds = {kind for kind in bundle if kind.startswith("image/")}
    if panel.pictured is None:
        assert not kinds
    elif isinstance(panel.pictured, str):
        assert kinds == {"image/svg+xml"}
        assert bundle["image/svg+xml"] == DRAWING
        assert ElementTree.fromstring(bundle["image/svg+xml"]).tag == "{http://www.w3.org/2000/svg}svg"
    else:
        assert kinds == {"image/png"}
        assert same(opened(f"data:image/png;base64,{bundle['image/png']}"), panel.pictured)


def test_the_picture_below_waits_for_the_kernel_to_go(panel: Pictured, page: Page) -> None:
    panel._ipython_display_()
    live, below = page.outputs
    assert "application/vnd.jupyter.widget-view+json" in live
    assert "display: none" in below["text/html"]
    assert "run the cell again" in below["text/html"]
    sources = re.findall(r'<img alt="Pictured: the last picture" src="([^"]+)">', below["text/html"])
    assert len(sources) == (panel.pictured is not None)
    assert all(same(opened(source), panel.pictured) for source in sources)


def test_the_picture_below_is_renewed_when_a_run_is_over(panel: Pictured, page: Page) -> None:
    panel._ipython_display_()
    panel.pictured = Image.new("L", (4, 4))
    before = page.below
    panel.start()
    assert panel.wait(20) is State.FINISHED
    assert len(page.outputs) == 2
    assert page.below != before


def test_a_snapshot_stays_in_the_output_of_a_cell(panel: Pictured) -> None:
    if panel.pictured is None:
        with pytest.raises(RuntimeError, match="start the panel first"):
            panel.snapshot()
        return
    shown = panel.snapshot()
    assert same(shown.data if isinstance(shown, ipython.SVG) else shown, panel.pictured)


def test_a_picture_that_breaks_is_said_and_the_panel_lives(page: Page) -> None:
    panel = Pictured(ArithmeticError("no <ink>"), "broken")
    panel._ipython_display_()
    assert panel.error == "ArithmeticError: no <ink>"
    assert "application/vnd.jupyter.widget-view+json" in page.outputs[0]
    assert "<img" not in page.below
    panel.close()
