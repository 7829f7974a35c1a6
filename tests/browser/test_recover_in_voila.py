"""The recover lesson as a page of its own: `make app` serves it by Voilà, without code.

`SRE2L_SCREENSHOTS=DIR` keeps pictures of it at 1280 x 800.
"""

from pathlib import Path

import lab_page
import pytest

pytest.importorskip("voila", reason="Voilà is missing: pip install voila, or the app extra")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
NAME, GRID = "02_recover.ipynb", "img.sre-grid"


def test_the_studio_works_without_a_line_of_code(tmp_path: Path) -> None:
    with lab_page.serve_app(tmp_path, NAME) as address, lab_page.chromium() as context:
        app = lab_page.Page(context.new_page(), address)
        page = app.page
        status, stop = page.locator(".sre-status"), page.locator(".sre-stop").first
        playwright.expect(status).to_have_count(2, timeout=120_000)
        playwright.expect(status.nth(1)).to_contain_text("finished", timeout=60_000)
        app.picture("voila-top")
        assert page.locator(".jp-InputArea-editor").count() == 0
        words = page.locator("body").inner_text().split("\n")
        order = [words.index(text) for text in ("The studio", "the same pixels: True", "What each term does")]
        assert order == sorted(order), "outputs stand under other cells' texts"
        assert not [line for line in words if "PRESET" in line or "its cell again" in line], "nobody can obey that here"

        steps = page.locator(".sre-steps input").first
        steps.fill("1000000")
        steps.press("Enter")
        page.locator(".sre-start").first.click()
        playwright.expect(status.first).to_contain_text("running")
        before = app.pixels(GRID)
        app.until(lambda: app.pixels(GRID) not in ("", before))
        app.picture("voila-running")
        stop.click()
        playwright.expect(status.first).to_contain_text("stopped")
        held = app.pixels(GRID)
        page.wait_for_timeout(500)
        assert app.pixels(GRID) == held != ""
        assert not app.complaints
