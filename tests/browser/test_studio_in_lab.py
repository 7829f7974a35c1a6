"""The studio as a person meets it: images, squares and buttons clicked in a real JupyterLab in a real Chromium.

`SRE2L_SCREENSHOTS=DIR` keeps pictures of every step.
"""

import lab_page
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
NAME = "studio.ipynb"
CENTRES = """() => [".sre-map-moving .pt[data-index='257'] > rect", "button[title='257: condensed, class 7']"].map(
  one => document.querySelector(one).getBoundingClientRect()).map(at => [at.x + at.width / 2, at.y + at.height / 2])"""
"""Of the square that is drawn and of the button over it."""


def test_from_a_click_to_a_student(lab: str) -> None:
    with lab_page.browse(lab, NAME) as notebook:
        page, expect = notebook.page, playwright.expect
        page.set_viewport_size({"width": 1280, "height": 1700})
        notebook.run_all()
        studio, students = page.locator(".sre-panel").first, page.locator(".sre-panel .sre-panel")
        expect(studio.locator(".sre-status").first).to_contain_text("finished")
        page.evaluate("document.querySelector('.sre-panel').scrollIntoView()")

        inspector = studio.locator(".sre-inspector")
        expect(inspector).to_be_hidden()
        studio.get_by_role("button", name="image 4, class 3").click()
        expect(inspector).to_contain_text("Image 4, class 3")
        expect(studio.locator(".sre-watched input")).to_have_value("4")
        notebook.picture("studio-image")

        square = studio.get_by_role("button", name="257: condensed, class 7")
        square.focus()
        page.keyboard.press("Enter")
        expect(inspector).to_contain_text("Image 8, class 7")
        drawn, lies = page.evaluate(CENTRES)
        assert abs(drawn[0] - lies[0]) < 2
        assert abs(drawn[1] - lies[1]) < 2

        inspector_picture = inspector.locator("img").first.get_attribute("src")
        studio.locator(".sre-saliency input").click()
        expect(inspector.locator("img").first).not_to_have_attribute("src", inspector_picture)

        students.locator("button", has_text="Train a student on this").click()
        expect(students.locator(".sre-student-table")).to_contain_text("difference", timeout=60_000)
        notebook.picture("studio-student")

        said = studio.locator(".sre-keep .sre-said")
        studio.locator(".sre-save-picture").click()
        expect(said).to_contain_text("studio.svg, studio.png are in")
        studio.locator(".sre-save-table").click()
        expect(said).to_contain_text("students.csv")

        folder = studio.get_by_label("folder", exact=True)
        folder.fill("/proc/nobody/may/write/here")
        folder.press("Enter")
        studio.locator(".sre-save").click()
        expect(said).to_contain_text("cannot write there")
        assert not notebook.complaints
