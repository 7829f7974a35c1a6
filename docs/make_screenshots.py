"""Make the README's pictures of the studio: `python docs/make_screenshots.py`, with Chromium and the test extra."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests/support"), str(HERE.parent)]
from lab_page import Notebook, browse, serve  # noqa: E402

NAME = "02_recover.ipynb"
MARKS = """() => document.querySelectorAll('.sre-loss .sre-mark').length >= 2"""


def studio(notebook: Notebook) -> None:
    """In light, paused, with two changes made on the way."""
    change = "import time\nwhile studio.event.step < {step}: time.sleep(0.01)\nstudio.change({field}={value})"
    notebook.python(
        "studio.reset(); studio.change(steps=400); studio.start(); time = __import__('time'); time.sleep(1)"
    )
    notebook.python(change.format(step=80, field="alpha_bn", value=0.0))
    notebook.python(change.format(step=180, field="alpha_bn", value=2.0))
    notebook.python("while studio.event.step < 330: time.sleep(0.01)\nstudio.pause()")
    notebook.page.wait_for_function(MARKS)
    notebook.page.wait_for_timeout(1000)
    keep(notebook, 0, "studio.png")


def keep(notebook: Notebook, number: int, name: str) -> None:
    """One panel as a picture."""
    panel = notebook.page.locator(".sre-panel").nth(number)
    panel.scroll_into_view_if_needed()
    notebook.page.wait_for_timeout(1000)
    panel.screenshot(path=HERE / "images" / name)


def main() -> None:
    """Run the recover lesson once and take both pictures."""
    (HERE / "images").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        serve(Path(home), [NAME], fast=False) as address,
        browse(address, NAME) as notebook,
    ):
        notebook.page.set_viewport_size({"width": 1280, "height": 1200})
        notebook.run_all()
        notebook.page.evaluate("document.querySelector('.sre-panel').scrollIntoView()")
        studio(notebook)
        notebook.theme("JupyterLab Dark")
        cells = "window.jupyterapp.shell.currentWidget.content.widgets"
        notebook.show_cell(
            notebook.page.evaluate(f"{cells}.findIndex(c => c.model.sharedModel.source.includes('pair.start()'))")
        )
        keep(notebook, 1, "side_by_side.png")


if __name__ == "__main__":
    main()
