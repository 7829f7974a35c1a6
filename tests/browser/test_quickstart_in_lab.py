"""The quickstart as a reader meets it: a real JupyterLab in a real Chromium, all cells run, sliders dragged.

`SRE2L_SCREENSHOTS=DIR` keeps pictures of every step at 1280 x 800.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = "notebooks/00_quickstart.ipynb"
TOKEN = "quickstart"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium, or install Google Chrome"),
]

READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget, kernel = panel?.sessionContext?.session?.kernel;
  return !!(panel?.sessionContext?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle'
            && !document.querySelector('.jp-Spinner'));
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code').map(
  cell => ({count: cell.model.executionCount, outputs: cell.model.outputs.toJSON()}))"""
PIXELS = """() => {
  const image = document.querySelector('img.sre-grid'), canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""
SETTLED = """before => {
  const now = document.querySelector('.sre-status').innerText;
  return now !== before && now.includes('finished');
}"""
HARMLESS = re.compile(r"favicon|404 \(Not Found\)|ERR_INTERNET_DISCONNECTED|ERR_NAME_NOT_RESOLVED")
"""Lab's own console errors: resources that it looks for and that need not be there."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a JupyterLab with settings of its own and a copy of the notebook."""
    home = tmp_path_factory.mktemp("lab")
    settings = home / "settings"
    news = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    (home / "root/notebooks").mkdir(parents=True)
    shutil.copy(ROOT / NOTEBOOK, home / "root" / NOTEBOOK)
    names = ("HOME", "IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment = {**os.environ, **{name: str(home / name.lower()) for name in names}}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(settings), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    environment.setdefault("SRE2L_FAST", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    options += [
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        "--ServerApp.terminals_enabled=False",
    ]
    options += [f"--ServerApp.root_dir={home / 'root'}", "--LabApp.expose_app_in_browser=True"]
    log = (home / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=log, stderr=log, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, "JupyterLab did not start within a minute"
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        log.close()


class Complaints(list[str]):
    """Errors of the page and its console."""

    def watch(self, page: "playwright.Page") -> None:
        page.on("pageerror", lambda error: self.append(f"page: {error}"))
        page.on("console", self._console)

    def _console(self, message: "playwright.ConsoleMessage") -> None:
        if message.type == "error" and not HARMLESS.search(f"{message.text} {message.location}"):
            self.append(f"console: {message.text} ({message.location.get('url', '')})")


def picture(page: "playwright.Page", name: str) -> None:
    if folder := os.environ.get("SRE2L_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def drag(page: "playwright.Page", handle: "playwright.Locator", by: int) -> None:
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y, steps=8)
    page.mouse.up()


def test_all_cells_run_and_the_sliders_work(lab: str) -> None:
    complaints = Complaints()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        complaints.watch(page)
        page.goto(f"{lab}/lab/tree/{NOTEBOOK}?reset&token={TOKEN}")
        page.wait_for_function(READY)
        picture(page, "opened")

        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(f"() => ({CELLS})().every(cell => cell.count) && ({READY})()", timeout=600_000)
        for number, cell in enumerate(page.evaluate(CELLS)):
            wrong = [out for out in cell["outputs"] if out["output_type"] == "error" or out.get("name") == "stderr"]
            assert not wrong, f"code cell {number}: {wrong}"
        if os.environ.get("SRE2L_SCREENSHOTS"):
            for index in range(page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")):
                page.evaluate(f"window.jupyterapp.shell.currentWidget.content.scrollToItem({index}, 'start')")
                page.wait_for_timeout(250)
                picture(page, f"cell-{index:02d}")

        status = page.locator(".sre-status")
        status.scroll_into_view_if_needed()
        playwright.expect(status).to_contain_text("finished")
        readouts = page.locator(".widget-readout")
        shown = readouts.all_inner_texts()
        crops, weight = page.locator(".noUi-target").all()
        for name, handle, by in (
            ("crop-scale-moved", crops.locator(".noUi-handle").first, 25),
            ("alpha-bn-off", weight.locator(".noUi-handle"), -300),
        ):
            pixels, text = page.evaluate(PIXELS), status.inner_text()
            drag(page, handle, by)
            page.wait_for_function(SETTLED, arg=text)
            assert page.evaluate(PIXELS) != pixels
            picture(page, name)
        playwright.expect(status).not_to_contain_text("R_BN")
        moved = readouts.all_inner_texts()
        assert all(old != new for old, new in zip(shown, moved, strict=True)), moved
        assert moved[1] == "off"
        assert page.evaluate("document.querySelector('img.sre-grid').width") > 500
        browser.close()
    assert not complaints
