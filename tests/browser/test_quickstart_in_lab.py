"""The quickstart as a reader meets it: a real JupyterLab in a real Chromium, all cells run, sliders dragged.

`SRE2L_SCREENSHOTS=DIR` keeps pictures of every step at 1280 x 800.
"""

import os

import lab_page
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
NAME, GRID = "00_quickstart.ipynb", "img.sre-grid"
ROW = [f".sre-card-{stage}" for stage in ("squeeze", "recover", "relabel", "validate")]
SETTLED = f"""before => ({lab_page.PIXELS})('{GRID}') !== before
  && document.querySelector('.sre-status').innerText.includes('finished')
  && document.querySelector('.sre-numbers').innerText.includes('recognises')"""


def test_all_cells_run_and_the_sliders_work(lab: str) -> None:
    with lab_page.browse(lab, NAME) as notebook:
        page = notebook.page
        notebook.picture("opened")
        notebook.run_all()
        if os.environ.get("SRE2L_SCREENSHOTS"):
            for index in range(page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")):
                notebook.show_cell(index)
                notebook.picture(f"cell-{index:02d}")

        studio = page.locator(".sre-panel").first
        studio.evaluate("panel => panel.scrollIntoView()")  # it is taller than the window: its controls are on top
        status = studio.locator(".sre-status").first
        playwright.expect(status).to_contain_text("finished")
        playwright.expect(studio.locator(".sre-student-table")).to_contain_text("random real")
        crops, weight = (studio.locator(f".sre-entry:has(.sre-{name})") for name in ("crop-scale", "alpha-bn"))
        shown, pixels = [one.input_value() for one in crops.locator("input").all()], notebook.pixels(GRID)
        notebook.drag(crops.locator(".noUi-handle").first, 25)
        notebook.drag(weight.locator(".noUi-handle"), -300)
        playwright.expect(weight.locator("input")).to_have_value("off")
        notebook.until(lambda: [one.input_value() for one in crops.locator("input").all()] != shown)
        studio.locator(".sre-start").first.click()
        page.wait_for_function(SETTLED, arg=pixels, polling=100)
        playwright.expect(studio.locator(".sre-numbers").first).not_to_contain_text("R_BN")
        notebook.picture("alpha-bn-off")

        row = page.locator(".sre-panel:has(.sre-card-squeeze)")
        row.scroll_into_view_if_needed()
        for card in ROW:
            playwright.expect(row.locator(card)).to_contain_text("fresh")
        steps = row.locator(".sre-recover-steps input")
        steps.fill("21")
        steps.press("Enter")
        for card, state in zip(ROW, ("fresh", "stale", "stale", "stale"), strict=True):
            playwright.expect(row.locator(card)).to_contain_text(state)
        notebook.picture("row-stale")
        row.locator(".sre-run-recover").click()
        for card in ROW:
            playwright.expect(row.locator(card)).to_contain_text("fresh")
        assert not notebook.complaints
