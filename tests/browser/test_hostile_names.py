"""Names are data: every panel, its still picture, every figure and table on one page, walked in a real Chromium.

The names are those of `tests/support/hostile.py`. `SRE2L_SCREENSHOTS=DIR` keeps pictures at 1280 x 800.
"""

from collections.abc import Iterator

import hostile
import lab_page
import pytest
from lab_page import Notebook

from sre2l_core import widgets

pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
TOP = ".sre-panel:not(.sre-panel .sre-panel)"
"""A panel that is not part of another."""
PANELS = [name for name in widgets.__all__ if name not in ("BoundsPanel", "LivePanel", "control")]
MADE = f"""
%matplotlib inline
import sys
from pathlib import Path
from IPython.display import HTML, Markdown, display
sys.path.insert(0, {str(lab_page.ROOT / "tests/support")!r})
import hostile
world = hostile.World(Path("world"))
panels = world.panels()
"""
STILLS = """
for panel in panels.values():
    panel.start()
    panel.wait(60)
    picture = panel._fallback()["text/html"].replace("display: none", "display: block")
    display(HTML(picture), panel.snapshot())
"""
REST = """
for figure in world.figures().values():
    display(figure)
for page in world.pages():
    display(Markdown(page))
"""
OUTPUTS = ".jp-OutputArea-output"
MADE_OF_NAMES = f"""() => [
  window.pwned === undefined ? [] : ['a script ran'],
  [...document.querySelectorAll('{OUTPUTS} script, {OUTPUTS} [onerror], {OUTPUTS} [onload], [src="x"]')].map(
    one => one.outerHTML)
].flat()"""
READ = """number => {
  const panel = document.querySelectorAll('TOP')[number];
  const said = [...panel.querySelectorAll('*')].flatMap(one => [...one.attributes].map(known => known.value));
  const typed = [...panel.querySelectorAll('input')].map(one => one.value);
  return [panel.textContent, ...said, ...typed].join('\\n');
}""".replace("TOP", TOP)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Return a notebook with a cell for each panel, run from top to bottom."""
    home = tmp_path_factory.mktemp("lab")
    with lab_page.browse_cells(home, [MADE, *(f"panels[{name!r}]" for name in PANELS), STILLS, REST]) as opened:
        yield opened
    assert not [*home.rglob("pwned")], "a name was taken for a command"


def nothing_made(page: Notebook) -> None:
    page.page.wait_for_timeout(200)
    assert page.page.evaluate(MADE_OF_NAMES) == []


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_with_all_its_buttons(page: Notebook, name: str) -> None:
    panel = page.page.locator(TOP).nth(PANELS.index(name))
    panel.scroll_into_view_if_needed()
    panel.locator(".sre-reset").first.click()
    page.until(lambda: "ready" in panel.locator(".sre-status").first.inner_text())
    before = page.page.evaluate(READ, PANELS.index(name))
    nothing_made(page)
    panel.locator(".sre-start").first.click()
    page.until(lambda: "finished" in panel.locator(".sre-status").first.inner_text())
    for button in (".sre-save", ".sre-export", ".sre-save-picture"):
        if panel.locator(button).count():
            panel.locator(button).click()
    for place in panel.locator("svg .pt, span[title], .jupyter-button, svg g:has(> title)").all()[:40]:
        if place.is_visible():
            place.hover(force=True, timeout=2000)
    nothing_made(page)
    assert page.python(f"print(panels[{name!r}].error)") == ""
    read = before + page.page.evaluate(READ, PANELS.index(name))
    shown = hostile.shown_by(name)
    assert [one for one in shown if one not in read] == []
    page.picture(f"hostile-{name}")


def test_stills_figures_and_tables(page: Notebook) -> None:
    cells = page.page.evaluate(lab_page.CELLS)
    pictures = [out for cell in cells[-2:] for out in cell["outputs"]]
    assert len(pictures) == 2 * len(PANELS) + 6 + 2
    assert sum("image/png" in picture["data"] for picture in cells[-1]["outputs"]) == 6
    for index in range(len(cells) - 2, len(cells)):
        page.show_cell(index)
        nothing_made(page)
    broken = "all => all.filter(one => one.complete && !one.naturalWidth).map(one => one.outerHTML.slice(0, 90))"
    assert page.page.locator(f"{OUTPUTS} img").evaluate_all(broken) == []
    tables = page.page.locator(".jp-RenderedMarkdown").all_inner_texts()
    assert len(tables) == 2
    assert [name for name in hostile.READABLE for table in tables if name not in table] == []
    page.picture("hostile-tables")


def test_the_page_had_nothing_to_complain_of(page: Notebook) -> None:
    assert page.complaints == []
