"""Drawings as pixels and as SVG of their own: what is drawn is where it was said, and nothing of a page is needed."""

import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from sre2l_core.figures import curves, raster, svg

RED, BLUE = (255, 0, 0), (0, 0, 255)


def drawn(*parts: str, width: float = 40, height: float = 20) -> Image.Image:
    return raster.pixels(svg.Drawing(parts, width, height, "a test"))


def at(picture: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The colour at CSS pixels."""
    return picture.getpixel((int(x * raster.SCALE), int(y * raster.SCALE)))


def test_the_picture_is_as_large_as_the_drawing_and_lies_on_paper() -> None:
    picture = drawn(width=30.4, height=11)
    assert picture.size == (61, 22)
    assert picture.getcolors() == [(61 * 22, (255, 255, 255))]


def test_shapes_are_where_they_were_said_to_be() -> None:
    picture = drawn(
        svg.box(2, 2, 10, 6, fill="red"),
        svg.dot(20, 10, 5, fill="blue", stroke="red", stroke_width=1),
        svg.rule(30, 0, 30, 20, "red", stroke_width=2),
        svg.tag("polygon", points="32,0 40,0 36,6", fill="blue"),
    )
    assert (at(picture, 5, 5), at(picture, 13, 5)) == (RED, (255, 255, 255))
    assert (at(picture, 20, 10), at(picture, 15.5, 5.5)) == (BLUE, (255, 255, 255))
    assert at(picture, 30, 15) == RED
    assert (at(picture, 36, 2), at(picture, 33, 5)) == (BLUE, (255, 255, 255))


def test_opacity_lets_through_what_lies_below() -> None:
    picture = drawn(svg.box(0, 0, 40, 20, fill="blue"), svg.box(0, 0, 20, 20, fill="red", fill_opacity=0.5))
    red, green, blue = at(picture, 10, 10)
    assert (red, green, blue) == pytest.approx((128, 0, 127), abs=2)
    assert at(picture, 30, 10) == BLUE


def test_groups_are_moved_into_one_another() -> None:
    inner = svg.Drawing([svg.box(0, 0, 4, 4, fill="red")], 4, 4, "inner")
    outer = svg.Drawing([inner.at(10, 5)], 20, 20, "outer")
    picture = drawn(outer.at(10, 5))
    assert (at(picture, 21, 11), at(picture, 19, 11), at(picture, 11, 6)) == (RED, (255, 255, 255), (255, 255, 255))


def test_dashes_leave_gaps() -> None:
    line = {"stroke": "red", "stroke_width": 2, "stroke_dasharray": "4 4", "fill": "none"}
    picture = drawn(svg.tag("polyline", points="0,10 20,10 40,10", **line))
    assert [at(picture, x, 10) == RED for x in range(2, 40, 4)] == [True, False] * 5


def test_pictures_keep_their_pixels_and_what_is_clear_stays_so() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    picture = drawn(svg.box(0, 0, 40, 20, fill="blue"), svg.picture(image, 10, 0, 10))
    assert (at(picture, 12, 5), at(picture, 18, 5)) == (RED, BLUE)
    framed = svg.framed(image, "alone")
    assert raster.pixels(framed).size == (4, 2)


@pytest.mark.parametrize(("anchor", "from_x", "to_x"), [(None, 20, 36), ("middle", 12, 28), ("end", 4, 20)])
def test_words_stand_where_their_anchor_says(anchor: str | None, from_x: int, to_x: int) -> None:
    picture = drawn(svg.text("HH", 20, 15, anchor=anchor, fill="#000000"))
    dark = [
        x / raster.SCALE
        for x in range(picture.width)
        for y in range(picture.height)
        if picture.getpixel((x, y))[0] < 90
    ]
    assert from_x <= min(dark) < max(dark) <= to_x


def test_upright_words_are_higher_than_wide() -> None:
    look = {"anchor": "middle", "fill": "#000000", "transform": "rotate(-90 20 30)"}
    picture = drawn(svg.text("upright", 20, 30, **look), height=60)
    places = [(x, y) for x in range(picture.width) for y in range(picture.height) if picture.getpixel((x, y))[0] < 90]
    across, down = ({place[axis] for place in places} for axis in (0, 1))
    assert len(down) > 2 * len(across) > 0


def test_a_chart_is_drawn_whole() -> None:
    chart = curves.line_chart({"loss": [(0, 1.0), (10, 0.1)]}, label="a", marks=[(5, "x")], cursor=7, log=True)
    picture = raster.pixels(chart)
    assert picture.getcolors(20) is None, "more than twenty colours"
    with pytest.raises(ValueError, match="<use>"):
        drawn(svg.tag("use", href="#x"))


def test_what_stands_alone_asks_nothing_of_a_page_and_keeps_its_words() -> None:
    odd = 'var(--a, b) currentColor fill="var(--c, d)"'
    parts = [svg.text(odd, 0, 10), svg.rule(0, 0, 9, 9), svg.hover(odd), svg.tag("style", ".x { fill: var(--y, red) }")]
    plain = raster.standalone(svg.Drawing(parts, 90, 20, odd))
    found = ElementTree.fromstring(plain)
    words = [element.text for element in found if element.tag.rpartition("}")[2] in ("text", "title")]
    assert words == [odd, odd]
    assert found.get("aria-label") == odd
    looks = [
        value
        for element in found.iter()
        for name, value in element.attrib.items()
        if name in ("fill", "stroke", "style")
    ]
    assert looks
    assert not [look for look in looks if "var(" in look or "currentColor" in look]
    assert not re.search("<style", plain)
