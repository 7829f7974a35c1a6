"""What a studio shows in each of its states is true, and stands where it belongs: in a real JupyterLab and Chromium.

Fresh, finished, reset, reopened while it runs, and left behind by its kernel; at 700, 1280 and 1920 pixels.
`SRE2L_SCREENSHOTS=DIR` keeps pictures of every step.
"""

from collections.abc import Iterator

import lab_page
import pytest
from lab_page import Notebook

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = lab_page.MARKS
MADE = """
from sre2l_core.runs import lessons, pipeline
from sre2l_core.widgets import Studio
recipe = lessons.recipe("drawings", fast=True).but(
    data={"num_classes": 3}, squeeze={"epochs": 1}, validate={"epochs": 1, "seeds": 1})
data = pipeline.load_data(recipe.data)
teacher = lessons.teacher_for(recipe, data=data)
studio = Studio(teacher, data, recipe)
studio.change(ipc=2)
studio.presets.choice.options = ["digits/smoke"]
other = Studio(teacher, data, recipe, name="another", folder="runs/another")
"""
PANEL = ".sre-panel:not(.sre-panel .sre-panel)"
BROKEN = """panel => [...panel.querySelectorAll('img')].filter(
  one => one.offsetParent && (!one.complete || !one.naturalWidth)).map(one => one.outerHTML.slice(0, 120))"""
PLACES = """(panel, selector) => [...panel.querySelectorAll(selector)].map(one => one.getBoundingClientRect()).map(
  at => [at.left, at.top, at.right, at.bottom])"""
CHAINS = """panel => [panel, ...panel.querySelectorAll('*')].map(
  one => getComputedStyle(one, '::before').content).filter(content => content.includes('\\uf127')).length"""
OVERLAPS = """panel => {
  const seen = one => one.checkVisibility() && !one.closest('details') && !one.parentElement.closest('.sre-over');
  const words = '.widget-label, .sre-caption, .sre-heading, .sre-status';
  const all = [...panel.querySelectorAll(`button, input, select, svg, img, table, ${words}, .sre-over`)].filter(seen);
  const box = one => one.getBoundingClientRect(), said = one => one.outerHTML.slice(0, 90);
  return all.flatMap((one, n) => all.slice(n + 1).filter(two => {
    const [a, b] = [box(one), box(two)];
    const inside = one.contains(two) || two.contains(one);
    return !inside && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
  }).map(two => [said(one), said(two)]));
}"""
CUT = """panel => [...panel.querySelectorAll('svg text')].filter(one => one.checkVisibility()).filter(one => {
  const [a, b] = [one.getBoundingClientRect(), one.ownerSVGElement.getBoundingClientRect()];
  return a.right > b.right + 1 || a.left < b.left - 1 || a.bottom > b.bottom + 2;
}).map(one => one.textContent)"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """Return a notebook with a studio of three classes, two images of each, and a second one."""
    with lab_page.browse_cells(tmp_path_factory.mktemp("lab"), [MADE, "studio", "other"]) as opened:
        opened.page.set_viewport_size({"width": 1280, "height": 1700})
        yield opened


def panel_of(notebook: Notebook) -> object:
    panel = notebook.page.locator(PANEL).first
    panel.evaluate("panel => panel.scrollIntoView()")
    return panel


def is_fresh(notebook: Notebook) -> None:
    panel = panel_of(notebook)
    notebook.says("ready")
    playwright.expect(panel.locator(".sre-timeline + *")).to_have_text("before the first step")
    assert "%" not in panel.locator(".sre-cells").inner_text(), "nobody has asked the teacher"
    assert panel.locator(".sre-loss polyline").count() == 0
    assert panel.locator(".sre-map-moving .pt").count() == 0
    assert panel.locator(".sre-crop").evaluate("one => one.naturalWidth") == 1
    playwright.expect(panel.locator(".sre-inspector")).to_be_hidden()
    assert panel.evaluate(BROKEN) == []


def runs_to_its_end(notebook: Notebook) -> None:
    panel_of(notebook).locator(".sre-status + *, .sre-start").first.wait_for()
    notebook.page.locator(".sre-start:not(.sre-panel .sre-panel *)").first.click()
    notebook.says("finished")


def test_fresh_then_finished_then_reset(notebook: Notebook) -> None:
    is_fresh(notebook)
    runs_to_its_end(notebook)
    panel = panel_of(notebook)
    steps = notebook.python("print(studio.config.steps)")
    playwright.expect(panel.locator(".sre-timeline + *")).to_have_text(f"the end, after step {steps}")
    playwright.expect(panel.locator(".sre-status").first).to_contain_text(f"step {steps} of {steps}")
    assert panel.evaluate(BROKEN) == []
    images = panel.evaluate(PLACES, ".sre-grid ~ .sre-spots button")
    bars = panel.evaluate(PLACES, ".sre-cells g")
    assert len(images) == len(bars) == 6
    for image, bar in zip(images, bars, strict=True):
        assert abs(bar[0] - image[0]) < 2
        assert abs(bar[2] - image[2]) < 2
        assert 0 <= bar[1] - image[3] < 5, "a bar stands right under its own image"
    assert len({round(image[0]) for image in images}) == 3
    assert len({round(image[1]) for image in images}) == 2, "three classes: two rows of three"
    notebook.picture("states-finished")
    panel.locator(".sre-grid ~ .sre-spots button").first.click()
    playwright.expect(panel.locator(".sre-inspector")).to_be_visible()
    panel.locator(".sre-reset").first.click()
    is_fresh(notebook)
    notebook.picture("states-reset")


@pytest.mark.parametrize("width", [700, 1280, 1920])
def test_nothing_overlaps_and_the_width_is_used(notebook: Notebook, width: int) -> None:
    notebook.python("studio.start(); studio.wait(60); studio._pick(0); studio.bench.start(); studio.bench.wait(60)")
    notebook.page.set_viewport_size({"width": width, "height": 1400})
    panel = panel_of(notebook)
    notebook.until(lambda: panel.bounding_box()["width"] <= width)
    notebook.page.wait_for_timeout(300)
    notebook.picture(f"states-{width}")
    assert panel.evaluate(OVERLAPS) == []
    assert panel.evaluate(CUT) == []
    if width == 1920:
        whole, right = panel.bounding_box(), max(place[2] for place in panel.evaluate(PLACES, "svg"))
        assert right - whole["x"] > 0.8 * whole["width"]
        images, charts = (panel.locator(one).first.bounding_box() for one in (".sre-grid", ".sre-map-real"))
        assert charts["x"] > images["x"] + images["width"], "the map stands beside the images"
    notebook.page.set_viewport_size({"width": 1280, "height": 1700})


@pytest.mark.parametrize(
    ("typed", "said"),
    [("0", "at least 1, not 0"), ("-5", "not -5"), ("many", "not many"), ("1e999", "not 1e999"), ("", "not nothing")],
)
def test_nonsense_is_refused_beside_the_field(notebook: Notebook, typed: str, said: str) -> None:
    entry = panel_of(notebook).locator(".sre-entry-steps")
    field, before = entry.locator("input").first, entry.locator("input").first.input_value()
    field.fill(typed)
    field.press("Enter")
    playwright.expect(entry.locator(".sre-said")).to_contain_text(said)
    playwright.expect(field).to_have_value(before)
    field.fill("30")
    field.press("Enter")
    playwright.expect(entry.locator(".sre-said")).to_be_hidden()
    assert notebook.python("print(studio.steps)") == "30"
    field.fill(before)
    field.press("Enter")


def test_a_class_that_nobody_knows_is_named_beside_the_tags(notebook: Notebook) -> None:
    tags, said = (panel_of(notebook).locator(f".sre-choosers {one}") for one in (".sre-classes", "> .sre-said"))
    shown, names = tags.locator(".jupyter-widget-tag:not(input)"), ["sun", "rainbow", "tree"]

    def typed(word: str) -> None:
        tags.locator("input").click()
        notebook.page.keyboard.type(word)
        notebook.page.keyboard.press("Tab")

    for wrong, words in {"rainbo": "Did you mean 'rainbow'", "<b>": "unknown class '<b>'", "sun": "already"}.items():
        typed(wrong)
        playwright.expect(said).to_contain_text(words)
        playwright.expect(shown).to_have_text(names)
    notebook.picture("states-class")
    shown.last.locator("i").dispatch_event("mousedown")
    playwright.expect(shown).to_have_text(names[:2])
    playwright.expect(said).to_be_hidden()
    typed("tree")
    notebook.until(lambda: notebook.python("print(len(studio.only_classes))") == "3")
    playwright.expect(said).to_be_hidden()


def test_a_short_drag_is_a_small_change(notebook: Notebook) -> None:
    notebook.python("studio.change(alpha_bn=1.0)")
    notebook.drag(panel_of(notebook).locator(".sre-alpha-bn .noUi-handle").first, 25)
    notebook.until(lambda: notebook.python("print(studio.alpha_bn != 1)") == "True")
    assert 1 < float(notebook.python("print(studio.alpha_bn)")) <= 5


def test_the_timeline_moves_everything(notebook: Notebook) -> None:
    notebook.python("studio.change(steps=400); studio.start(); studio.wait(90); studio._pick(0)")
    panel = panel_of(notebook)
    notebook.says("finished")
    parts = [".sre-cells", ".sre-layers", ".sre-map-moving", ".sre-loss", ".sre-numbers", ".sre-inspector", ".sre-when"]

    def seen() -> list[str]:
        return [panel.locator(part).first.inner_html() for part in parts] + [notebook.pixels("img.sre-grid")]

    live = seen()
    notebook.drag(panel.locator(".sre-timeline .noUi-handle").first, -150)
    notebook.until(lambda: all(now != then for now, then in zip(seen(), live, strict=True)))
    assert panel.locator(".sre-loss .sre-cursor").count() == 1
    notebook.picture("states-timeline")
    notebook.python("studio.change(steps=20)")


def test_errors_stand_beside_the_button_and_take_the_last_success_away(notebook: Notebook) -> None:
    notebook.python("studio.start(); studio.wait(60)")
    panel, expect = panel_of(notebook), playwright.expect
    row = panel.locator(":has(> .sre-save)")
    folder, said = row.locator("input"), row.locator(".sre-said")
    row.locator(".sre-save").click()
    expect(said).to_contain_text("images are in")
    folder.fill("/proc/nobody/may/write/here")
    folder.press("Enter")
    row.locator(".sre-save").click()
    expect(said).to_contain_text("cannot write there")
    expect(said).not_to_contain_text("images are in")
    row.locator(".sre-open").click()
    expect(said).to_contain_text("press Export first")
    folder.fill("runs/studio")
    folder.press("Enter")


def test_two_studios_run_at_once(notebook: Notebook) -> None:
    grids = "img.sre-grid", f"{PANEL} >> nth=1 >> img.sre-grid"
    notebook.python("for one in (studio, other): one.reset(); one.change(steps=1_000_000); one.start()")
    for grid in grids:
        image = notebook.page.locator(grid).first
        before = image.get_attribute("src")
        notebook.until(lambda image=image, before=before: image.get_attribute("src") != before)
    for state in ("running", "paused"):
        assert notebook.python("print(studio.state, other.state)") == f"running {state}"
        notebook.python("other.pause(); import time; time.sleep(0.5)")
    notebook.python("for one in (studio, other): one.stop(); one.wait(30); one.change(steps=20)")
    assert notebook.python("print(studio.error + other.error)") == ""


def test_a_preset_begins_a_session_and_asks_before_images_are_lost(notebook: Notebook) -> None:
    panel = panel_of(notebook)
    menu = panel.locator(".sre-panel:has(.sre-preset)")
    playwright.expect(menu).to_contain_text("scikit-learn's digits")
    begin = menu.locator(".sre-start")
    begin.click()
    playwright.expect(menu.locator(".sre-said")).to_contain_text("not saved")
    playwright.expect(begin).to_have_text("Leave them and begin")
    notebook.picture("states-asked")
    begin.click()
    playwright.expect(panel.locator(".sre-numbers").last).to_be_attached()
    notebook.until(lambda: notebook.python("print(studio.teacher.spec.name)") == "digits")
    notebook.says("finished")
    assert notebook.python("print(studio.error, studio.presets.error)") == ""
    playwright.expect(begin).to_have_text("New session")
    notebook.picture("states-preset")


def test_a_reopened_page_runs_on(notebook: Notebook) -> None:
    notebook.python("studio.change(steps=1_000_000); studio.start()")
    notebook.says("running")
    notebook.reload()
    panel = panel_of(notebook)
    notebook.says("running")
    before = notebook.pixels("img.sre-grid")
    notebook.until(lambda: notebook.pixels("img.sre-grid") not in ("", before))
    notebook.until(lambda: panel.evaluate(BROKEN) == [])


def test_a_kernel_that_dies_cannot_say_running_for_long(notebook: Notebook) -> None:
    panel = panel_of(notebook)
    notebook.says("running")
    silent = panel.locator(".sre-silent").first
    assert silent.evaluate("one => getComputedStyle(one).visibility") == "hidden"
    notebook.python("studio.pause()")
    notebook.says("paused")
    assert panel.locator(".sre-status .sre-silent").count() == 0, "somebody else is awaited"
    notebook.python("studio.resume()")
    notebook.says("running")
    waited = "one => one.getAnimations().map(all => all.effect.getComputedTiming().delay)"
    notebook.until(lambda: silent.evaluate(waited) == [30_000])
    seen = "one => { one.getAnimations().forEach(all => all.finish()); return getComputedStyle(one).visibility; }"
    notebook.until(lambda: silent.evaluate(seen) == "visible")


def test_a_panel_whose_kernel_was_restarted_says_so(notebook: Notebook) -> None:
    """Runs last: the kernel is gone afterwards."""
    panel = panel_of(notebook)
    notebook.says("running")
    notebook.page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
    )
    notebook.page.wait_for_function(lab_page.READY)
    said = "panel => getComputedStyle(panel, '::before').content"
    notebook.until(lambda: "kernel of this panel was restarted" in panel.evaluate(said))
    assert panel.evaluate(CHAINS) == 0
    assert "running" not in panel.inner_text()
    assert panel.locator("button:visible").count() == 0, "nobody would answer"
    assert panel.evaluate(BROKEN) == []
    assert notebook.pixels("img.sre-grid") != ""
    notebook.picture("states-restarted")
    assert not notebook.complaints
