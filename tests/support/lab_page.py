"""A JupyterLab or Voilà of its own, and a Chromium that shows a notebook in it: for browser tests and screenshots."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "sre2l"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium, or Google Chrome"),
]
"""Of every module of browser tests."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SIZE = {"width": 1280, "height": 800}
HARMLESS = re.compile(r"favicon|404 \(Not Found\)|ERR_INTERNET_DISCONNECTED|ERR_NAME_NOT_RESOLVED")
"""Lab's own console errors: resources that it looks for and that need not be there."""

READY = """() => {
  const panel = window.jupyterapp?.shell?.currentWidget, kernel = panel?.sessionContext?.session?.kernel;
  return !!(panel?.sessionContext?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle'
            && !document.querySelector('.jp-Spinner'));
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code').map(
  cell => ({count: cell.model.executionCount, outputs: cell.model.outputs.toJSON()}))"""
START = """() => {
  window.allCellsRan = false;
  window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.allCellsRan = true; });
}"""
DONE = f"() => window.allCellsRan && ({CELLS})().every(cell => cell.count) && ({READY})()"
PIXELS = """selector => {
  const image = document.querySelector(selector), canvas = document.createElement('canvas');
  if (!image || !image.naturalWidth) return '';
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext('2d').drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""
RUN = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({code, store_history: false});
  let text = '';
  future.onIOPub = message => {
    if (message.header.msg_type === 'stream') text += message.content.text;
    if (message.header.msg_type === 'error') text += message.content.ename + ': ' + message.content.evalue;
  };
  await future.done;
  return text.trim();
}"""


@contextlib.contextmanager
def serve(home: Path, notebooks: Sequence[str], *, fast: bool = True) -> Iterator[str]:
    """Start a JupyterLab with settings of its own and copies of these notebooks; gives its address."""
    settings = home / "settings"
    news = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    _copy(notebooks, home / "root/notebooks")
    options = {
        "--ServerApp.ip": "127.0.0.1",
        "--ServerApp.port": (port := _free_port()),
        "--ServerApp.port_retries": 0,
        "--IdentityProvider.token": TOKEN,
        "--ServerApp.terminals_enabled": False,
        "--ServerApp.root_dir": home / "root",
        "--LabApp.expose_app_in_browser": True,
    }
    command = ["jupyterlab", "--no-browser", "--allow-root", *(f"{name}={value}" for name, value in options.items())]
    with _server(command, home, f"http://127.0.0.1:{port}/api/status?token={TOKEN}", fast=fast):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def serve_app(home: Path, name: str, *, fast: bool = True) -> Iterator[str]:
    """Start a Voilà that shows a copy of this notebook, as `make app` does; gives its address."""
    _copy([name, "voila.json"], home / "root")
    address = f"http://127.0.0.1:{(port := _free_port())}"
    with _server(["voila", name, "--no-browser", f"--port={port}"], home, f"{address}/static/", fast=fast):
        yield address


def _copy(names: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in names:
        shutil.copy(ROOT / "notebooks" / name, folder / name)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _server(command: Sequence[str], home: Path, answers: str, *, fast: bool) -> Iterator[None]:
    """Run a module in `home/root`, away from the user's own settings, from when `answers` does to the end."""
    names = ("HOME", "IPYTHONDIR", "MPLCONFIGDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment = {**os.environ, **{name: str(home / name.lower()) for name in names}}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "PYTHONPATH": str(ROOT)}
    environment |= {"JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"), "GOMP_SPINCOUNT": "10000"}
    environment.pop("SRE2L_FAST", None)
    environment |= {"SRE2L_FAST": "1"} if fast else {}
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=home / "root",
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 60
            while not _answers(answers):
                assert server.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, f"{command[0]} did not start within a minute"
                time.sleep(0.2)
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address, timeout=5).close()
    except urllib.error.HTTPError:
        return True  # the server is there: it has an opinion
    except OSError:
        return False
    return True


class Page:
    """A page with panels. `complaints` are errors of the page and its console, but for those known to be harmless."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.complaints = page, []
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: self.complaints.append(f"page: {error}"))
        page.on("console", self._console)
        page.goto(address, wait_until="commit")

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds, ten seconds at most."""
        for _ in range(100):
            if holds():
                return
            self.page.wait_for_timeout(100)
        raise AssertionError("it never came to that")

    def pixels(self, selector: str) -> str:
        """The picture that the page shows, as a data URL."""
        return self.page.evaluate(PIXELS, selector)

    def drag(self, handle: Any, by: int) -> None:
        """Move a slider's handle with the mouse."""
        handle.scroll_into_view_if_needed()
        box = self._at_rest(handle)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by, y, steps=8)
        self.page.mouse.up()

    def _at_rest(self, element: Any) -> Any:
        """Where an element is when nothing above it grows any more; ten seconds at most."""
        seen = [element.bounding_box()]

        def rests() -> bool:
            seen.append(element.bounding_box())
            return len(seen) > 4 and seen[-1] == seen[-2] == seen[-3] is not None

        self.until(rests)
        return seen[-1]

    def picture(self, name: str) -> None:
        """Keep a screenshot where SRE2L_SCREENSHOTS names a folder."""
        if folder := os.environ.get("SRE2L_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def _console(self, message: Any) -> None:
        if message.type == "error" and not HARMLESS.search(f"{message.text} {message.location}"):
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")


class Notebook(Page):
    """A notebook open in Lab."""

    def __init__(self, page: Any, address: str, name: str) -> None:
        self.name = name
        super().__init__(page, f"{address}/lab/tree/notebooks/{name}?reset&token={TOKEN}")

    def run_all(self, timeout: float = 600) -> None:
        """Run all cells, and fail where one does."""
        self.start()
        self.finished(timeout)

    def start(self) -> None:
        """Begin to run all cells."""
        self.page.evaluate(START)

    def finished(self, timeout: float = 600) -> None:
        """Wait until all cells have run, and fail where one went wrong."""
        self.page.wait_for_function(DONE, timeout=1000 * timeout)
        for number, cell in enumerate(self.page.evaluate(CELLS)):
            wrong = [out for out in cell["outputs"] if out["output_type"] == "error" or out.get("name") == "stderr"]
            assert not wrong, f"code cell {number}: {wrong}"

    def command(self, name: str) -> None:
        """One of Lab's commands."""
        self.page.evaluate(f"window.jupyterapp.commands.execute('{name}')")

    def theme(self, name: str) -> None:
        """`JupyterLab Dark` or `JupyterLab Light`."""
        self.page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{name}'}})")
        want = "true" if name.endswith("Light") else "false"
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{want}'")

    def says(self, text: str) -> None:
        """Wait until the state line of the first panel says so."""
        line = "document.querySelector('.sre-status')?.textContent"
        self.page.wait_for_function(f"text => {line}?.includes(text)", arg=text)

    def python(self, code: str) -> str:
        """Run code in the kernel beside the cells; what it printed, or its error."""
        return self.page.evaluate(RUN, code)

    def show_cell(self, index: int) -> None:
        """Scroll to a cell."""
        self.page.evaluate(f"window.jupyterapp.shell.currentWidget.content.scrollToItem({index}, 'start')")
        self.page.wait_for_timeout(300)

    def reload(self) -> None:
        """Save, load the page anew, and wait for the panel."""
        self.command("docmanager:save")
        self.page.reload()
        self.page.wait_for_function("() => !!window.jupyterapp?.shell?.currentWidget?.sessionContext?.isReady")
        self.page.wait_for_function("() => !!document.querySelector('.sre-status')")


@contextlib.contextmanager
def chromium(scale: float = 1) -> Iterator[Any]:
    """A Chromium whose pages have 1280 x 800 pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_context(viewport=SIZE, device_scale_factor=scale)
        browser.close()


@contextlib.contextmanager
def browse_all(address: str, names: Sequence[str], *, scale: float = 1) -> Iterator[dict[str, Notebook]]:
    """Open notebooks in a Chromium, each in a page of its own."""
    with chromium(scale) as context:
        notebooks = {name: Notebook(context.new_page(), address, name) for name in names}
        for notebook in notebooks.values():
            notebook.page.wait_for_function(READY)
        yield notebooks
        for notebook in notebooks.values():
            notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


@contextlib.contextmanager
def browse(address: str, name: str, *, scale: float = 1) -> Iterator[Notebook]:
    """Open one notebook in a Chromium of 1280 x 800."""
    with browse_all(address, [name], scale=scale) as notebooks:
        yield notebooks[name]


@contextlib.contextmanager
def browse_cells(home: Path, sources: Sequence[str]) -> Iterator[Notebook]:
    """Open a notebook of these cells in a Lab of its own, and run it from top to bottom."""
    name = "cells.ipynb"
    with serve(home, []) as address:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, home / "root/notebooks" / name)
        with browse(address, name) as opened:
            opened.run_all()
            yield opened
