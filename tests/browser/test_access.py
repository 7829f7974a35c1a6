"""Every panel for people who cannot see it or hold no mouse: axe-core's audit in both themes, and the keyboard.

`SRE2L_SCREENSHOTS=DIR` keeps pictures at 1280 x 800.
"""

from collections.abc import Iterator

import lab_page
import pytest
from lab_page import Notebook

from sre2l_core import widgets

pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.base", reason="axe is missing: pip install axe-playwright-python")
pytestmark = lab_page.MARKS
TOP = ".sre-panel:not(.sre-panel .sre-panel)"
"""A panel that is not part of another."""
PANELS = [name for name in widgets.__all__ if name not in ("LivePanel", "control", "BoundsPanel")]
"""Those that run something."""
MADE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(lab_page.ROOT / "tests/support")!r})
import hostile
panels = hostile.World(Path("world")).panels()
"""
RUN = "for panel in panels.values():\n    panel.start()\n    panel.wait(60)"
AUDIT = """async number => {
  const panel = document.querySelectorAll('TOP')[number];
  const {violations} = await axe.run(panel, {resultTypes: ['violations']});
  return violations.filter(one => ['serious', 'critical'].includes(one.impact)).flatMap(
    one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 150)}`));
}""".replace("TOP", TOP)
FOCUS = """number => {
  const panel = document.querySelectorAll('TOP')[number], element = document.activeElement;
  const {outlineStyle, outlineWidth, outlineColor} = getComputedStyle(element);
  return panel.contains(element) ? [element.outerHTML.slice(0, 150), outlineStyle, outlineWidth, outlineColor] : null;
}""".replace("TOP", TOP)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Return a notebook with a cell for each panel, all of which have run."""
    sources = [MADE, *(f"panels[{name!r}]" for name in PANELS), RUN]
    with lab_page.browse_cells(tmp_path_factory.mktemp("lab"), sources) as opened:
        opened.page.evaluate(axe.AXE_SCRIPT)
        yield opened


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
@pytest.mark.parametrize("name", PANELS)
def test_the_audit_finds_nothing_serious(page: Notebook, name: str, theme: str) -> None:
    page.theme(theme)
    page.page.locator(TOP).nth(PANELS.index(name)).scroll_into_view_if_needed()
    page.page.wait_for_timeout(400)
    found = page.page.evaluate(AUDIT, PANELS.index(name))
    # ipywidgets gives the handle of a slider no name, and offers no way to give it one; the field beside it has one.
    assert [one for one in found if "noUi-handle" not in one] == []
    page.picture(f"access-{name}-{theme.split()[-1]}")


@pytest.mark.parametrize("name", PANELS)
def test_every_slider_has_a_field_with_a_name(page: Notebook, name: str) -> None:
    panel = page.page.locator(TOP).nth(PANELS.index(name))
    for entry in panel.locator(".sre-entry").all():
        if entry.is_visible():
            assert entry.get_by_role("textbox").first.evaluate("one => one.labels[0].textContent")
    bare = panel.locator(".widget-slider:visible").count() - panel.locator(".sre-entry .widget-slider:visible").count()
    assert bare == panel.locator(".sre-timeline").count(), "a slider without a field"


@pytest.mark.parametrize("name", PANELS)
def test_the_keyboard_reaches_every_control_and_one_sees_where_it_is(page: Notebook, name: str) -> None:
    number = PANELS.index(name)
    panel = page.page.locator(TOP).nth(number)
    panel.locator(".sre-start").first.focus()
    reached = []
    while (focus := page.page.evaluate(FOCUS, number)) and len(reached) < 150:
        reached.append(focus)
        page.page.keyboard.press("Tab")
    wanted = panel.locator("button:not([disabled]):visible, input:not([disabled]):visible, select:visible").count()
    assert len(reached) >= wanted
    assert [one for one, style, width, _ in reached if style == "none" or width == "0px"] == []


def test_the_arrow_keys_walk_over_the_map(page: Notebook) -> None:
    panel = page.page.locator(TOP).nth(PANELS.index("EmbeddingPanel"))
    panel.locator(".sre-chosen-point input").focus()
    for point in range(2):
        page.page.keyboard.press("ArrowUp")
        page.until(lambda point=point: f"Point {point}" in panel.inner_text())
