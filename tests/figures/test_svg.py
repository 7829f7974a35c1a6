"""Charts are well-formed, say what they show, and put their marks where the numbers are."""

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from sre2l_core.figures import bars, curves, svg

SPACE = "{http://www.w3.org/2000/svg}"
CURVE = [(step, 10.0 ** (-step / 50)) for step in range(1, 101)]


def parsed(text: str) -> ElementTree.Element:
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SPACE}text")]


@pytest.mark.parametrize(
    "empty",
    [
        curves.line_chart({}, label="a", log=True),
        bars.bars({}, label="a"),
        bars.columns([], label="a"),
    ],
)
def test_an_empty_chart_says_so(empty: str) -> None:
    assert "nothing yet" in texts(parsed(empty))


def test_everything_said_is_escaped() -> None:
    nasty = '<b>"&'
    for text in (
        curves.line_chart({nasty: CURVE}, label=nasty, marks=[(3, nasty)], x_label=nasty),
        bars.bars({nasty: 1.0}, label=nasty),
        bars.cells([0.5], 1, label=nasty, step=90, down=95, size=80, good=[True], titles=[nasty], names=[nasty]),
    ):
        assert parsed(text).get("aria-label") == nasty


def test_a_decade_is_the_same_height_everywhere_on_a_logarithmic_axis() -> None:
    root = parsed(curves.line_chart({"loss": [(0, 100), (1, 10), (2, 1), (3, 0.1)]}, label="a", log=True, height=200))
    points = root.find(f"{SPACE}polyline").get("points").split()
    heights = [float(point.split(",")[1]) for point in points]
    steps = [b - a for a, b in pairwise(heights)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert {"0.1", "1", "10", "100"} <= set(texts(root))


def test_what_a_logarithm_cannot_show_is_left_out() -> None:
    root = parsed(
        curves.line_chart({"x": [(0, 0), (1, -1), (2, math.nan), (3, math.inf), (4, 1)]}, label="a", log=True)
    )
    assert len(root.find(f"{SPACE}polyline").get("points").split()) == 1


def test_a_gap_in_the_numbers_is_a_gap_in_the_line() -> None:
    root = parsed(curves.line_chart({"x": [(0, 1), (1, 2), (2, math.nan), (3, 2), (4, 1)]}, label="a"))
    assert [len(line.get("points").split()) for line in root.iter(f"{SPACE}polyline")] == [2, 2]


def test_changes_are_marked_at_their_step() -> None:
    root = parsed(curves.line_chart({"x": CURVE}, label="a", marks=[(50, "alpha 1 to 2")], x_max=100, width=420))
    marks = [one for one in root.iter(f"{SPACE}polygon") if one.get("class") == "sre-mark"]
    assert [mark.find(f"{SPACE}title").text for mark in marks] == ["alpha 1 to 2"]
    left, right = 46, 410
    corner = float(marks[0].get("points").split(",")[0])
    assert corner + 4 == pytest.approx((left + right) / 2, abs=0.1)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    long = [(step, 1.0 + step) for step in range(10_000)]
    thin = curves.thinned(long)
    assert len(thin) <= curves.MAX_POINTS + 1
    assert (thin[0], thin[-1]) == (long[0], long[-1])
    assert len(curves.line_chart({name: long for name in "abcd"}, label="a")) < 20_000


def test_series_differ_in_colour_and_pattern() -> None:
    root = parsed(curves.line_chart({"a": CURVE, "b": CURVE, "none": ()}, label="a"))
    lines = list(root.iter(f"{SPACE}polyline"))
    assert len({(line.get("stroke"), line.get("stroke-dasharray")) for line in lines}) == 2
    assert {"a", "b"} <= set(texts(root))
    assert "none" not in texts(root)


def test_bars_are_as_long_as_their_values() -> None:
    root = parsed(bars.bars({"one": 1, "two": 2}, label="a", high=4))
    lengths = [float(bar.get("width")) for bar in root.iter(f"{SPACE}rect")]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=0.2)


def test_columns_keep_their_axis_while_values_move_a_little() -> None:
    axes = [[t for t in texts(parsed(bars.columns([v, 1.1], label="a"))) if "." in t or t == "2"] for v in (1.2, 1.9)]
    assert axes[0] == axes[1]


def test_colours_of_text_come_from_the_theme() -> None:
    assert "var(--jp-ui-font-color1" in curves.line_chart({"a": CURVE}, label="a", x_label="step")


@pytest.mark.parametrize("right", [1, 7, 300, 999, 1000, 5000, 9999, 100_000, 1_000_000, 25_000_000])
def test_the_last_number_of_an_axis_is_whole(right: int) -> None:
    root = parsed(curves.line_chart({"a": [(0, 1), (right, 2)]}, label="a", x_max=right, width=200))
    numbers = [one for one in root.iter(f"{SPACE}text") if one.text and one.get("text-anchor") == "middle"]
    ends = [float(one.get("x")) + svg.LETTER * len(one.text) / 2 for one in numbers]
    assert max(ends) <= 200


def test_a_bar_stands_under_its_own_image() -> None:
    values = [0.5, None, 1.0, 0.25, 0.0]
    root = parsed(bars.cells(values, 3, label="a", step=50, down=64, size=48, good=[True] * 5))
    assert float(root.get("height")) == 64 + 48 + bars.CELL
    cells = root.findall(f"{SPACE}g")
    corners = [(float(cell[0].get("x")), float(cell[0].get("y"))) for cell in cells]
    assert corners == [(0, 49), (50, 49), (100, 49), (0, 113), (50, 113)]
    lengths = [[float(part.get("width")) for part in cell.findall(f"{SPACE}rect")] for cell in cells]
    assert lengths == [[48, 24], [48], [48, 48], [48, 12], [48, 0]]
    assert texts(root) == ["50%", "100%", "25%", "0%"], "what is not known is not said to be 0 %"
