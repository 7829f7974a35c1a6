"""The recover lesson as a student meets it: a real JupyterLab in a real Chromium, sliders dragged while it runs.

`SRE2L_SCREENSHOTS=DIR` keeps pictures of every step at 1280 x 800.
"""

import json
import re
from collections.abc import Iterator

import lab_page
import pytest
from lab_page import Notebook

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
GRID = "img.sre-grid"
PANEL = "() => document.querySelector('.sre-panel').scrollIntoView()"


@pytest.fixture(scope="module")
def notebook(lab: str) -> Iterator[Notebook]:
    """Return the notebook, open and run from top to bottom."""
    with lab_page.browse(lab, "02_recover.ipynb") as opened:
        opened.run_all()
        opened.python("studio.change(steps=1_000_000)")
        yield opened


def changes(notebook: Notebook) -> list[tuple[str, object]]:
    """Ask the kernel what the studio logged."""
    log = json.loads(notebook.python("import json; print(json.dumps(studio.log['changes']))"))
    return [(change["field"], change["new"]) for change in log]


def moves(notebook: Notebook) -> None:
    """Wait until other pixels are shown."""
    before = notebook.pixels(GRID)
    notebook.until(lambda: notebook.pixels(GRID) not in ("", before))


@pytest.fixture
def running(notebook: Notebook) -> Iterator[Notebook]:
    """Return the notebook with the studio in view, started by its button."""
    notebook.python("studio.reset(); studio.change(alpha_bn=1.0, crop_scale=(0.5, 1.0))")
    notebook.page.evaluate(PANEL)
    notebook.says("ready")
    notebook.page.locator(".sre-start").first.click()
    notebook.says("running")
    yield notebook
    notebook.python("studio.stop(); studio.wait(20)")


def test_sliders_dragged_during_a_run_reach_pixels_and_log(running: Notebook) -> None:
    moves(running)
    running.drag(running.page.locator(".sre-crop-scale .noUi-handle").first, 12)
    running.until(lambda: len(changes(running)) == 1)
    running.drag(running.page.locator(".sre-alpha-bn .noUi-handle").first, -200)
    running.until(lambda: len(changes(running)) == 2)
    (crop, scale), weight = changes(running)
    assert crop == "crop_scale"
    assert 0.5 < scale[0] < 1
    assert weight == ("alpha_bn", 0.0)
    assert running.page.locator(".sre-entry-alpha-bn input").first.input_value() == "off"
    moves(running)
    running.until(lambda: running.page.locator(".sre-loss").first.locator(".sre-mark").count() == 2)
    running.picture("recover-dragged")


def test_paused_pixels_stand_still_and_go_on_after(running: Notebook) -> None:
    running.page.locator(".sre-pause").first.click()
    running.says("paused")
    held = running.pixels(GRID)
    running.page.wait_for_timeout(600)
    assert running.pixels(GRID) == held
    running.picture("recover-paused")
    playwright.expect(running.page.locator(".sre-start").first).to_have_text("Resume")
    running.page.locator(".sre-start").first.click()
    running.says("running")
    moves(running)
    running.page.locator(".sre-stop").first.click()
    running.says("stopped")
    assert running.python("print(studio.state, len(studio.condensed()))") == "stopped 10"


def test_what_cannot_change_during_a_run_looks_so(running: Notebook) -> None:
    tags = running.page.locator(".sre-classes").first
    look = "tags => [getComputedStyle(tags).pointerEvents, getComputedStyle(tags).opacity]"
    assert tags.evaluate(look) == ["none", "0.5"]
    running.page.locator(".sre-stop").first.click()
    running.says("stopped")
    running.until(lambda: tags.evaluate(look) == ["auto", "1"])


def test_the_keyboard_is_enough(running: Notebook) -> None:
    running.page.locator(".sre-alpha-bn .noUi-handle").first.focus()
    running.page.keyboard.press("ArrowRight")
    running.until(lambda: changes(running) == [("alpha_bn", 2.0)])
    running.page.locator(".sre-stop").first.focus()
    running.page.keyboard.press("Enter")
    running.says("stopped")


def test_the_timeline_goes_back(running: Notebook) -> None:
    running.python("studio.change(steps=400)")
    running.says("finished")
    live = running.pixels(GRID)
    running.drag(running.page.locator(".sre-timeline .noUi-handle").first, -200)
    running.until(lambda: running.pixels(GRID) not in ("", live))
    running.python("studio.change(steps=1_000_000)")


def test_the_dark_theme_keeps_the_panel_readable(running: Notebook) -> None:
    running.theme("JupyterLab Dark")
    moves(running)
    colours = running.page.evaluate(
        """() => ['.sre-loss svg text', '.sre-status b'].map(one => {
          const element = document.querySelector(one), style = getComputedStyle(element);
          return element.tagName === 'text' ? style.fill : style.color;
        })"""
    )
    assert all(min(map(int, re.findall(r"\d+", colour)[:3])) > 120 for colour in colours), colours
    running.picture("recover-dark")
    running.theme("JupyterLab Light")


def test_every_picture_has_words(running: Notebook) -> None:
    moves(running)
    labels = running.page.locator(".sre-panel svg").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))"
    )
    assert len(labels) >= 3
    assert all(labels)
    assert "teacher's confidence" in running.page.locator(".sre-panel").first.inner_text()


def test_the_panel_lives_on_after_a_reload(running: Notebook) -> None:
    running.reload()
    running.page.evaluate(PANEL)
    running.says("running")
    moves(running)
    running.page.locator(".sre-stop").first.click()
    running.says("stopped")


def test_after_a_restart_and_a_reload_the_still_picture_is_there(notebook: Notebook) -> None:
    """Runs last: the kernel is gone afterwards."""
    notebook.command("docmanager:save")
    notebook.page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    notebook.page.wait_for_function(lab_page.READY)
    notebook.page.reload()
    notebook.page.wait_for_function(lab_page.READY)
    index = notebook.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets.findIndex(
             cell => cell.model.type === 'code' && cell.model.sharedModel.source.startsWith('studio = '))"""
    )
    notebook.show_cell(index)
    still = notebook.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".sre-still img")
    still.first.wait_for()
    assert still.first.evaluate("image => image.naturalWidth") > 100
    assert notebook.page.locator(".sre-panel").count() == 0
    notebook.picture("recover-restarted")


def test_the_page_had_nothing_to_complain_of(notebook: Notebook) -> None:
    own = "widget model not found"  # Lab's own way of saying that a kernel was restarted
    assert [text for text in notebook.complaints if own not in text] == []
