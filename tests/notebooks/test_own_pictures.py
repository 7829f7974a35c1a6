"""Every notebook over a folder of somebody's own pictures: sixty of all sizes, in classes with names to stumble on.

The cells run here, in fast mode, without a kernel: what they show is kept and looked at.
"""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import IPython.display
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sre2l_core.errors import ConfigError
from sre2l_core.events import in_seconds
from sre2l_core.runs import lessons
from sre2l_core.widgets.base.running import RunBox

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
CLASSES = ("a_{$1$} & <b>", "Brötchen, vom Bäcker nebenan (frisch)", "z 2024-01-31 holiday pictures of the dog")
MAGIC = re.compile(r"^(\s*)%.*$", re.M)
PRESET = re.compile(r'^PRESET = "[^"]+"', re.M)
ROOT_LINE = 'DATA_ROOT = ""'


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sixty pictures, among them grey ones, ones with a palette and ones one sees through."""
    home, draw = tmp_path_factory.mktemp("my pictures"), np.random.default_rng(0)
    for number in range(60):
        kind = number % 3
        width, height = draw.integers(20, 200, 2)
        pixels = draw.integers(0, 120, (height, width, 3)) + np.eye(3)[kind] * 120
        picture = Image.fromarray(pixels.astype(np.uint8)).convert(("RGB", "L", "P", "RGBA")[number % 4])
        path = home / CLASSES[kind] / f"IMG {number}#{'ü' * (number % 2)}.PNG"
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
    (home / "notes.txt").write_text("not a picture")
    return home


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Any]]:
    """Return what a notebook displays, run in fast mode in a folder of its own."""
    shown: list[Any] = []
    monkeypatch.setenv("SRE2L_FAST", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(IPython.display, "display", lambda *objects, **_: shown.extend(objects))
    return shown


def cells(name: str, pictures: Path) -> Iterator[str]:
    """The code of a notebook with the two lines changed that say what it is about."""
    for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells:
        if cell.cell_type == "code":
            source = MAGIC.sub(r"\1pass", cell.source)
            if "PRESET =" in source:
                source, changed = PRESET.subn('PRESET = "folder"', source)
                assert changed == source.count(ROOT_LINE) == 1
                source = source.replace(ROOT_LINE, f"DATA_ROOT = {str(pictures)!r}")
            yield source


async def run(sources: Iterator[str]) -> dict[str, Any]:
    """Run cells one after the other, as a kernel does; what they leave behind."""
    space: dict[str, Any] = {"__name__": "notebook", "display": IPython.display.display}
    for source in sources:
        code = compile(source, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if inspect.iscoroutine(rest := eval(code, space)):
            await rest
    return space


def titles(figure: Figure) -> list[Any]:
    """Titles and names along the axes, drawn; numbers are left out, of which some lie outside."""
    figure.canvas.draw()
    names = [label for axes in figure.axes for label in (axes.title, *axes.get_xticklabels(), *axes.get_yticklabels())]
    return [name for name in names if name.get_visible() and re.search("[a-z]", name.get_text())]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_two_lines_make_a_lesson_of_them(
    name: str, pictures: Path, fast: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    space = asyncio.run(run(cells(name, pictures)))
    for panel in [one for one in space.values() if isinstance(one, RunBox)]:
        panel.wait(120)
        assert panel.error == ""
        panel.close()
    said = capsys.readouterr().out + "".join(map(str, fast))
    for figure in (one for one in fast if isinstance(one, Figure)):
        drawn = titles(figure)
        said += " ".join(one.get_text() for one in drawn)
        places = [(one.get_text(), one.get_window_extent().padded(-1)) for one in drawn]
        assert [(a, b) for (a, here), (b, there) in combinations(places, 2) if here.overlaps(there)] == []
    assert "digit" not in said


def test_without_a_folder_it_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="DATA_ROOT in a notebook"):
        lessons.recipe("folder")


def test_it_says_how_long_it_will_take(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "MEASURING", 0.01)
    said = list[str]()
    recipe = lessons.recipe("folder", data_root=pictures, say=said.append)
    (words,) = said
    assert words.startswith(
        "60 pictures of 3 classes at 48 pixels, teacher and students convnet. On this machine about"
    )
    assert [stage for stage in ("squeeze", "recover", "validate") if f" to {stage}" not in words] == []
    assert recipe.squeeze.backbone == "convnet"
    monkeypatch.setattr(lessons, "FEW", 59)
    assert lessons.recipe("folder", data_root=pictures, fast=True).squeeze.backbone == "resnet10"
    assert in_seconds(0) == "0 ms"
