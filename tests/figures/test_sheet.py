"""A sheet stands alone: its own ground and ink in light and in dark, a title, and the drawings that a page showed."""

import re
from xml.etree import ElementTree

import pytest

from sre2l_core.figures import bars, curves, sheet
from sre2l_core.figures.sheet import View
from sre2l_core.figures.svg import Drawing, box, tag

SPACE = "{http://www.w3.org/2000/svg}"
NASTY = '<b>"&'
CHART = curves.line_chart({"loss": [(0, 1), (9, 3)]}, label="a falling loss", width=300, height=150)


def square(side: float, label: str = "a square") -> Drawing:
    return Drawing([box(0, 0, side, side)], side, side, label)


def parsed(drawing: Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def places(drawing: Drawing) -> list[tuple[float, float]]:
    """Where the squares of a sheet are: the sum of the shifts around each."""

    def walk(element: ElementTree.Element, x: float, y: float) -> list[tuple[float, float]]:
        shift = re.fullmatch(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
        if shift:
            x, y = x + float(shift.group(1)), y + float(shift.group(2))
        own = [(x, y)] if element.tag == f"{SPACE}rect" and element.get("fill") is None else []
        return own + [place for child in element for place in walk(child, x, y)]

    return walk(parsed(drawing), 0, 0)


def test_a_sheet_is_a_document_with_a_title_and_a_size() -> None:
    page = sheet.sheet([View("Loss", CHART, ("in nats",))], "what it shows", subtitle="now")
    root = parsed(page)
    assert root.tag == f"{SPACE}svg"
    assert [root.get("role"), root.get("aria-label"), root[0].tag] == ["img", "what it shows", f"{SPACE}title"]
    assert root[0].text == "what it shows"
    assert root.find(f"{SPACE}desc").text == "a falling loss"
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert (page.width, page.height) == (float(root.get("width")), float(root.get("height")))
    assert "font-family" in root.get("style")
    texts = [text.text for text in root.iter(f"{SPACE}text")]
    assert {"now", "Loss", "in nats", "loss"} <= {*texts}


def test_a_sheet_holds_the_very_drawings_that_a_page_shows() -> None:
    view = View("Loss", CHART)
    assert CHART in view.html()
    assert CHART.body in sheet.sheet([view], "a")


def test_a_sheet_has_a_ground_and_ink_for_white_and_for_dark() -> None:
    root = parsed(sheet.sheet([View("a", CHART)], "a"))
    style, ground = root.find(f"{SPACE}style").text, root.find(f"{SPACE}rect")
    assert [ground.get(name) for name in ("x", "y", "width", "height")] == [
        "0",
        "0",
        root.get("width"),
        root.get("height"),
    ]
    assert "var(--sre-ground" in ground.get("fill")
    light, dark = style.split("@media screen and (prefers-color-scheme: dark)")
    grounds = [re.search(r"--sre-ground: (#\w{6})", part).group(1) for part in (light, dark)]
    inks = [re.search(r"{ color: (#\w{6})", part).group(1) for part in (light, dark)]
    assert int(grounds[0][1:3], 16) - int(inks[0][1:3], 16) > 200
    assert int(inks[1][1:3], 16) - int(grounds[1][1:3], 16) > 190
    assert "body" not in style  # it also stands inside a page
    assert all(rule.strip().startswith(".sre-sheet") for rule in re.findall(r"[^{}]+(?={[^{}]*color)", light))


def test_drawings_stand_in_rows_and_never_over_one_another() -> None:
    page = sheet.sheet([View("", [square(150)] * 7), View("", square(300)), View("", square(300))], "a")
    found = places(page)
    assert len({y for _, y in found[:7]}) == 2
    assert found[7][1] == found[8][1] > max(y for _, y in found[:7]) + 150
    sides = [150] * 7 + [300] * 2
    for number, ((x, y), side) in enumerate(zip(found, sides, strict=True)):
        assert 0 < x <= page.width - side
        assert 0 < y <= page.height - side
        for (left, top), other in zip(found[:number], sides, strict=False):
            assert x >= left + other or y >= top + other or x + side <= left or y + side <= top


@pytest.mark.parametrize("beside", [False, True])
def test_notes_are_broken_to_fit_and_take_room(beside: bool) -> None:
    words = "a long line of words about what is seen " * 4
    view = View("a", square(200), (words,), beside=beside)
    drawn = view.drawn()
    lines = [text.text for text in parsed(drawn).iter(f"{SPACE}text")][1:]
    assert " ".join(lines).split() == words.split()
    assert max(map(len, lines)) <= 40
    assert drawn.height > 200
    assert (drawn.width > 250) == beside
    assert html_text(view).split() == ["a", *words.split()]


def html_text(view: View) -> str:
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", view.html()).split())


def test_everything_said_is_escaped() -> None:
    drawing = bars.bars({NASTY: 1}, label=NASTY)
    view = View(NASTY, drawing, (NASTY,))
    page = parsed(sheet.sheet([view], NASTY, subtitle=NASTY))
    assert page.get("aria-label") == page[0].text == NASTY
    assert ElementTree.fromstring(view.html())[0].text == NASTY


def test_a_drawing_shows_itself_in_a_notebook_and_is_short_in_a_log() -> None:
    assert CHART._repr_svg_() == CHART
    assert repr(CHART) == "<Drawing, 300 x 150: a falling loss>"


def test_attributes_are_escaped_and_numbers_are_short() -> None:
    assert tag("a", b_c=1 / 3, class_='"', d=None, e=2) == '<a b-c="0.33" class="&quot;" e="2"/>'
