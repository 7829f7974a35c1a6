"""Squeeze, relabel, validate and embeddings as a student meets them: a real JupyterLab, a real Chromium, the mouse.

`SRE2L_SCREENSHOTS=DIR` keeps pictures at 1280 x 800.
"""

import contextlib
from collections.abc import Iterator

import lab_page
import pytest
from lab_page import Notebook

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
NAMES = ("01_squeeze.ipynb", "03_relabel.ipynb", "04_validate.ipynb", "05_embeddings.ipynb")


@pytest.fixture(scope="module")
def lessons(lab: str) -> Iterator[dict[str, Notebook]]:
    """Return the four notebooks, open in one JupyterLab, all cells of all running: kernels start slowly."""
    with lab_page.browse_all(lab, NAMES) as notebooks:
        for notebook in notebooks.values():
            notebook.start()
        yield notebooks


@contextlib.contextmanager
def finished(notebook: Notebook) -> Iterator[Notebook]:
    """Wait until all cells have run, and show the panel; at the end nothing may have gone wrong."""
    notebook.page.bring_to_front()
    notebook.finished()
    notebook.page.evaluate("document.querySelector('.sre-panel').scrollIntoView()")
    notebook.says("finished")
    assert notebook.page.locator(".sre-panel").count() == 1
    yield notebook
    assert notebook.python("print(panel.error)") == ""
    assert not notebook.complaints


def press(notebook: Notebook, button: str) -> None:
    notebook.page.locator(f".sre-{button}").click()


def found(notebook: Notebook, selector: str, attribute: str) -> list[str]:
    """An attribute of all elements that match, read in one go."""
    return notebook.page.locator(selector).evaluate_all(f"all => all.map(one => one.getAttribute('{attribute}'))")


def changes(notebook: Notebook, selector: str, attribute: str) -> None:
    """Wait until the page shows something else."""
    before = found(notebook, selector, attribute)
    notebook.until(lambda: found(notebook, selector, attribute) not in ([], before))


def test_squeeze_starts_pauses_resumes_and_stops(lessons: dict[str, Notebook]) -> None:
    curve = (".sre-loss polyline", "points")
    with finished(lessons["01_squeeze.ipynb"]) as notebook:
        assert "36" in notebook.page.locator(".sre-confusion").inner_text()
        notebook.python("panel.change(epochs=1000)")
        press(notebook, "start")
        notebook.says("running")
        changes(notebook, *curve)
        press(notebook, "pause")
        notebook.says("paused")
        held = found(notebook, *curve)
        notebook.page.wait_for_timeout(600)
        assert found(notebook, *curve) == held
        notebook.picture("squeeze-paused")
        press(notebook, "start")
        notebook.says("running")
        changes(notebook, *curve)
        notebook.until(lambda: notebook.python("print(len(panel.training.val) > 0)") == "True")  # one epoch teaches
        press(notebook, "stop")
        notebook.says("stopped")
        assert notebook.python("print(panel.state, panel.teacher.accuracy['top1'] > 0.5)") == "stopped True"


def test_relabel_shows_the_crops_of_a_clicked_image_and_follows_the_temperature(lessons: dict[str, Notebook]) -> None:
    crops, bars = (".sre-crops image", "href"), (".sre-crops rect", "width")
    with finished(lessons["03_relabel.ipynb"]) as notebook:
        page = notebook.page
        before = found(notebook, *crops)
        page.locator("button[title^='image 3,']").click()
        playwright.expect(page.locator(".sre-whole")).to_contain_text("Image 3, class 3")
        notebook.until(lambda: len(found(notebook, *crops)) == 6 and not {*found(notebook, *crops)} & {*before})
        notebook.says("finished")

        pixels, labels, runs = found(notebook, *crops), found(notebook, *bars), notebook.python("print(id(panel.run))")
        handle = page.locator(".sre-temperature .noUi-handle")
        box = handle.bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] - 40, box["y"] + 5, steps=4)
        notebook.until(lambda: found(notebook, *bars) != labels)  # while the mouse still holds it
        page.mouse.up()
        notebook.until(lambda: notebook.python("print(panel.temperature < 5)") == "True")
        shown = notebook.python("print(f'{panel.temperature:g}')")
        playwright.expect(page.locator(".sre-crops")).to_contain_text(f"at temperature {shown}")
        assert found(notebook, *crops) == pixels
        assert notebook.python("print(id(panel.run))") == runs, "the stored logits serve all temperatures"
        notebook.picture("relabel-cooler")


def test_validate_starts_and_stops_and_keeps_its_table(lessons: dict[str, Notebook]) -> None:
    with finished(lessons["04_validate.ipynb"]) as notebook:
        rows = notebook.page.locator(".sre-table tbody tr")
        assert rows.count() == 6
        assert all(text.endswith("2/2") for text in rows.all_inner_texts())
        notebook.python("panel.change(epochs=5000)")
        press(notebook, "start")
        notebook.says("running")
        changes(notebook, ".sre-curves polyline", "points")
        press(notebook, "stop")
        notebook.says("stopped")
        playwright.expect(rows).to_have_count(6)
        assert all(text.endswith("0/2") for text in rows.all_inner_texts())
        assert any("±" in text for text in rows.all_inner_texts())
        notebook.picture("validate-stopped")


def test_embeddings_show_images_change_colours_and_move_also_after_a_reload(lessons: dict[str, Notebook]) -> None:
    squares = (".sre-map-moving rect", "x")
    with finished(lessons["05_embeddings.ipynb"]) as notebook:
        page = notebook.page
        point = page.locator(".sre-map-real .pt").nth(20)
        tip = point.locator(".tip")
        assert tip.evaluate("tip => getComputedStyle(tip).visibility") == "hidden"
        point.locator("circle").hover()
        assert tip.evaluate("tip => getComputedStyle(tip).visibility") == "visible"
        sheet = tip.locator("use").get_attribute("href")
        assert page.locator(sheet).get_attribute("href").startswith("data:image/png")
        assert tip.bounding_box()["width"] > 80
        notebook.picture("embeddings-hover")
        point.locator("circle").click()
        page.mouse.move(5, 5)
        assert tip.evaluate("tip => getComputedStyle(tip).visibility") == "visible", "a click keeps it"

        dots = (".sre-map-real .pt circle", "fill")
        assert len({*found(notebook, *dots)}) == 10
        page.locator(".sre-colour-by select").select_option("set")
        notebook.until(lambda: len({*found(notebook, *dots)}) == 1)

        notebook.python("panel.change(steps=1_000_000)")
        press(notebook, "start")
        notebook.says("running")
        changes(notebook, *squares)
        notebook.reload()
        page.evaluate("document.querySelector('.sre-panel').scrollIntoView()")
        notebook.says("running")
        changes(notebook, *squares)
        press(notebook, "stop")
        notebook.says("stopped")
