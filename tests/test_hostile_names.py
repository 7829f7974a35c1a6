"""Names are data: in no panel, still, drawing, figure, table or file name does one become more than text.

`tests/browser/test_hostile_names.py` asks a real browser the same.
"""

import csv
import io
import re
import shlex
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hostile
import ipywidgets
import matplotlib as mpl
import mistune
import pytest
from PIL import Image
from widget_tree import inside

from sre2l_core import cli, widgets
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow
from sre2l_core.figures import svg
from sre2l_core.worker import State

SPACE = "{http://www.w3.org/2000/svg}"
PANELS = [
    name for name in widgets.__all__ if name not in ("BoundsPanel", "LivePanel", "control")
]  # the first runs nothing
MARKDOWN = mistune.create_markdown(escape=False, plugins=["table"])


class Elements(HTMLParser):
    """What a browser would make of a piece of HTML: elements that do something, and words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.harmful: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        acts = [name for name in known if name.startswith("on")]
        if tag in ("script", "i") or acts or known.get("src") == "x":
            self.harmful.append(self.get_starttag_text() or tag)
        self.words += "\n".join(filter(None, known.values())) + "\n"

    def handle_data(self, data: str) -> None:
        self.words += f"{data}\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> hostile.World:
    return hostile.World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def panels(world: hostile.World) -> Iterator[dict[str, Any]]:
    made = world.panels()
    yield made
    for panel in made.values():
        panel.close()


def pages(panel: Any) -> Elements:
    """All the HTML that a panel shows, or leaves behind."""
    shown = [widget.value for widget in inside(panel) if isinstance(widget, ipywidgets.HTML)]
    return Elements("\n".join([*shown, panel._fallback()["text/html"]]))


def press(panel: Any, *names: str) -> None:
    """Click those of these buttons that a panel has; they have nothing to complain of."""
    for widget in inside(panel):
        if set(names) & set(widget._dom_classes):
            widget.click()
            assert 'role="alert"' not in panel.kept.said.value


def tooltips(panel: Any) -> str:
    """What is said on hovering, which ipywidgets' page takes for text."""
    return "\n".join(filter(None, (getattr(widget, "tooltip", None) for widget in inside(panel))))


def names_in(drawing: str) -> set[str]:
    """Of the elements of an XML document."""
    return {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawing).iter()}


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_shows_names_and_makes_nothing_of_them(panels: dict[str, Any], name: str, tmp_path: Path) -> None:
    panel = panels[name]
    panel.kept.folder.value = str(tmp_path / hostile.IMAGE)
    before = pages(panel)
    assert before.harmful == []
    panel.start()
    assert panel.wait(120) is State.FINISHED
    press(panel, "sre-save", "sre-export", "sre-save-picture")
    assert panel.error == ""
    if name == "EmbeddingPanel":
        panel.map.chosen = 0
    if name == "Studio":
        panel._pick(2)
        panel.bench.start()
        panel.bench.wait(120)
    press(panel, "sre-save-table")
    found = pages(panel)
    assert found.harmful == []
    read = before.words + found.words + tooltips(panel)
    assert [one for one in hostile.shown_by(name) if one not in read] == []
    assert not any(getattr(widget, "description_allow_html", False) for widget in inside(panel))
    for drawing in tmp_path.rglob("*.svg"):
        assert {"script", "img", "i", "style"}.isdisjoint(names_in(drawing.read_text(encoding="utf-8")))
    picture = panel.picture()
    if not isinstance(picture, Image.Image):
        assert {"script", "img", "i"}.isdisjoint(names_in(picture))


def test_a_saved_set_lies_in_its_folder_and_reads_back(world: hostile.World, tmp_path: Path) -> None:
    world.condensed.save(tmp_path / hostile.IMAGE)
    again = CondensedSet.load(tmp_path / hostile.IMAGE)
    assert again.spec == world.condensed.spec
    files = [path.relative_to(tmp_path / hostile.IMAGE).as_posix() for path in tmp_path.rglob("*.png")]
    assert len(files) == len(again)
    assert {sign for file in files for sign in file if not sign.isalnum()} == set("/_-.")


def test_figures_draw_names_letter_by_letter(world: hostile.World) -> None:
    shown = {name.split("<svg")[0].split("<script")[0][:11] for name in hostile.CLASSES}
    for kind, figure in world.figures().items():
        with mpl.rc_context({"svg.fonttype": "none"}):
            figure.savefig(written := io.StringIO(), format="svg")
        document = ElementTree.fromstring(written.getvalue())
        drawn = "\n".join("".join(element.itertext()) for element in document.iter(f"{SPACE}text"))
        few = {name for name in shown if name in drawn}
        assert len(few) == {"losses": 3, "bn": 4}.get(kind, 8), kind


def test_drawings_hold_what_xml_cannot() -> None:
    names = ["bell \x07", "half \ud800", "<b>"]
    parts = [svg.text(name, 0, 0, class_=name) + svg.hover(name) for name in names]
    drawn = svg.Drawing(parts, 9, 9, " ".join(names))
    found = ElementTree.fromstring(drawn.encode())
    assert found.get("aria-label") == "bell \ufffd half \ufffd <b>"
    assert [element.text for element in found] == [s for n in ("bell \ufffd", "half \ufffd", "<b>") for s in (n, n)]


def test_tables_are_tables_of_the_names(world: hostile.World) -> None:
    score, results = (MARKDOWN(page) for page in world.pages())
    for page in (score, results):
        found = Elements(page)
        assert found.harmful == []
        words = found.words.replace("\\|", "|")  # mistune leaves the backslash, Lab and GitHub do not
        assert [name for name in (*hostile.CLASSES, hostile.SCRIPT) if name not in words] == []
    assert score.count("<tr>") == 2 + len(hostile.CLASSES)


def test_tables_in_files_are_tables_of_the_names(world: hostile.World, tmp_path: Path) -> None:
    rows = [ScoreRow(name, name, name, 8, 2, (0.5,), (0.5,)) for name in (*hostile.CLASSES, hostile.SCRIPT)]
    Score(tuple(rows)).save(tmp_path / "score")
    read = list(csv.DictReader(io.StringIO((tmp_path / "score/score.csv").read_text(encoding="utf-8"))))
    assert [row["images"].removeprefix("'") for row in read] == [row.data for row in rows]
    latex = (tmp_path / "score/score.tex").read_text(encoding="utf-8").splitlines()
    assert len(latex) == len(rows) + 6
    assert {len(re.findall(r"(?<!\\)&", line)) for line in latex[4:-2]} == {6}


def test_the_next_command_is_one_that_a_shell_takes_as_it_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    folders = {name: Path("runs") / one for name, one in zip("abcdefgh", hostile.CLASSES, strict=True)}
    cli.say_next("recover", **folders)
    words = shlex.split(capsys.readouterr().out.removeprefix("next: "))
    assert words[:2] == ["sre2l", "recover"]
    assert words[2:] == [word for name, folder in folders.items() for word in (f"--{name}", str(folder))]
