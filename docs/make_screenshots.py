"""Make the README's pictures of the studio: `python docs/make_screenshots.py`, with Chromium and the test extra.

`--all FOLDER [01 04 …]` instead looks at every notebook (or those named) as a reader does, in the light and in the dark
theme: while its panels run, at 1280 pixels, and from top to bottom when it is done, at 1280 and 1920.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests/support"), str(HERE.parent)]
from lab_page import DONE, Notebook, browse, serve  # noqa: E402

NAME = "02_recover.ipynb"
WIDTHS = (1280, 1920)
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SCROLL = """to => {
  const box = document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer');
  if (to !== null) box.scrollTop = to;
  return [box.scrollTop, box.clientHeight, box.scrollHeight];
}"""
RUNNING = """() => [...document.querySelectorAll('.sre-status')].findIndex(
  one => /running/.test(one.textContent) && Number(one.querySelector('progress')?.value) > 0)"""
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


def look(name: str, folder: Path, *, fast: bool) -> None:
    """Every screen of one notebook, in both themes, the panels also while they run."""
    with (
        tempfile.TemporaryDirectory() as home,
        serve(Path(home), [name], fast=fast) as address,
        browse(address, name) as notebook,
    ):
        notebook.start()
        for theme in (*THEMES, *THEMES):  # twice: two moments of the run
            notebook.page.wait_for_function(f"() => ({RUNNING})() >= 0 || ({DONE})()", timeout=900_000)
            if (number := notebook.page.evaluate(RUNNING)) < 0:
                break
            notebook.theme(THEMES[theme])
            notebook.page.locator(".sre-panel").nth(number).evaluate("panel => panel.scrollIntoView()")
            notebook.page.wait_for_timeout(1500)
            notebook.page.screenshot(path=folder / f"{name[:2]}-running-{number}-{theme}.png")
        notebook.finished()
        for width in WIDTHS:
            notebook.page.set_viewport_size({"width": width, "height": width * 5 // 8})
            for theme, title in THEMES.items():
                notebook.theme(title)
                screens(notebook, folder, f"{name[:2]}-{width}-{theme}")


def screens(notebook: Notebook, folder: Path, name: str) -> None:
    """From top to bottom, a little of each screen also on the next."""
    number, top, bottom = 0, 0.0, 1.0
    while top < bottom:
        notebook.page.evaluate(SCROLL, top)
        notebook.page.wait_for_timeout(700)
        notebook.page.screenshot(path=folder / f"{name}-{number:02d}.png")
        top, height, whole = notebook.page.evaluate(SCROLL, None)
        number, top, bottom = number + 1, top + height - 40, whole - 50


def readme() -> None:
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


def closely() -> None:
    """The map and one image large, when the studio's images are done."""
    with (
        tempfile.TemporaryDirectory() as home,
        serve(Path(home), ["studio.ipynb"], fast=False) as address,
        browse(address, "studio.ipynb") as notebook,
    ):
        page = notebook.page
        page.set_viewport_size({"width": 1800, "height": 1400})
        notebook.run_all()
        page.wait_for_function("() => /finished/.test(document.querySelector('.sre-status').textContent)")
        page.get_by_role("button", name="image 4, class 3").click()
        page.wait_for_timeout(1500)
        page.locator(".sre-closely").scroll_into_view_if_needed()
        page.locator(".sre-closely").screenshot(path=HERE / "images" / "studio_map.png")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="screenshots of the notebooks in a real JupyterLab")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every screen of the notebooks, into this folder")
    parser.add_argument("--fast", action="store_true", help="with small budgets")
    parser.add_argument("numbers", nargs="*", help="which notebooks, such as 01 04; all by default")
    given = parser.parse_args()
    if given.all is None:
        readme()
        return closely()
    given.all.mkdir(parents=True, exist_ok=True)
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        if not given.numbers or path.name[:2] in given.numbers:
            look(path.name, given.all, fast=given.fast)


if __name__ == "__main__":
    main()
