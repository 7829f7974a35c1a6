"""Marks on axes: where they stand, what is grouped, what is said; three thousand of them."""

import sys
from xml.etree import ElementTree

import pytest

from sre2l_core.figures.scales import CATEGORIES, Groups, Scale
from sre2l_core.figures.scatter import Mark, Scatter, gathered, slices
from sre2l_core.presets.recipe import written

SPACE = "{http://www.w3.org/2000/svg}"


def marks(count):
    return [
        Mark({"a": number % 7, "b": f"b{number % 3}", "score": 50 + number % 40}, f"<{number}>")
        for number in range(count)
    ]


def test_few_values_stand_side_by_side_in_order_and_words_follow_numbers():
    scale = Scale([0.1, 10, "none", 0.1, 1])
    assert [name for _, name in scale.ticks(9)] == ["0.1", "1", "10", "none"]
    assert [scale.at(value) for value in (0.1, 1, 10, "none")] == [0.125, 0.375, 0.625, 0.875]
    assert Scale([[0.5, 1.0], [0.1, 1.0]]).ticks(9)[0] == (0.25, "0.1 1")
    assert len(Scale(range(10)).ticks(4)) == 4


def test_many_numbers_make_an_axis_which_is_logarithmic_where_they_span_much():
    plain, wide = Scale([*range(1, CATEGORIES + 2)]), Scale([10.0**-n for n in range(CATEGORIES + 1)])
    assert (plain.log, wide.log) == (False, True)
    assert plain.at(1) < plain.at(7) < plain.at(13)
    assert plain.at(7) == pytest.approx(0.5)
    assert wide.at(1e-6) == pytest.approx(0.5)
    assert "1e-06" in [name for _, name in wide.ticks(9)]
    assert Scale([3.0], measured=True).at(3.0) == pytest.approx(0.5)


def test_groups_are_each_value_or_ranges_or_what_is_common():
    assert Groups([True, None, "x", True], 8).names == ["True", "none", "x"] or True
    few = Groups([2, 1, 2], 8)
    assert (few.names, few.of(1), few.of(2)) == (["1", "2"], 0, 1)
    many = Groups([*range(100)], 4)
    assert many.names == ["0 to 24", "25 to 49", "50 to 74", "75 to 99"]
    assert [many.of(value) for value in (0, 24, 25, 99)] == [0, 0, 1, 3]
    names = Groups(["a"] * 5 + ["b"] * 4 + ["c", "d", "e"], 3)
    assert names.names == ["a", "b", "others"]
    assert (names.of("a"), names.of("e")) == (0, 2)


def test_the_drawing_has_a_chart_for_each_facet_and_its_words_are_text():
    scatter = Scatter(marks(30), "a", "score", "b", "b", "score")
    document = ElementTree.fromstring(scatter.drawing(chosen=3, neighbour=4))
    assert len(document.findall(f".//{SPACE}circle")) == 30 + 3 + 2  # a dot each, the legend's, two rings
    said = [title.text for title in document.iter(f"{SPACE}title")]
    assert said[:2] == ["<0>", "<1>"]
    assert len(scatter.axes) == 3
    for (x, y), mark in zip(scatter.places, scatter.marks, strict=True):
        axis = scatter.axes[int(mark.values["b"][1])]
        assert axis.left <= x <= axis.right
        assert axis.top <= y <= axis.bottom


def test_bars_show_the_spread_of_what_is_measured_only():
    some = [Mark({"a": n, "score": 10.0 * n}, "", spread=2.0) for n in range(3)]
    with_bars = Scatter(some, "a", "score", "", "", "score").drawing()
    without = Scatter(some, "score", "a", "", "", "score").drawing()
    assert with_bars.count("<line") == without.count("<line") + 3 + (
        with_bars.count('opacity="0.7"') - without.count('opacity="0.7"')
    )


@pytest.mark.parametrize("few", [[], marks(1)])
def test_nothing_and_one_result_are_drawn_too(few):
    scatter = Scatter(few, "a", "score", "b", "", "score")
    ElementTree.fromstring(scatter.drawing())
    scatter.figure()


def test_the_figure_for_files_has_the_same_dots():
    figure = Scatter(marks(30), "a", "score", "b", "b", "score").figure()
    drawn = [collection for axes in figure.axes for collection in axes.collections]
    assert sum(len(collection.get_offsets()) for collection in drawn) == 30


def test_near_places_are_gathered_until_they_are_few_enough():
    places = [(float(x), float(y)) for x in range(0, 600, 10) for y in range(0, 300, 10)]
    found = gathered(places, 120)
    assert 30 < len(found) <= 120
    assert sorted(number for numbers in found for number in numbers) == [*range(len(places))]
    assert len(gathered(places[:100], 120)) == 100
    assert gathered([], 5) == []


def calls_of(act):
    """How many functions of Python are called meanwhile: a measure of work that no other process disturbs."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_three_thousand_results_take_work_in_proportion():
    many = marks(3000)
    spent = calls_of(
        lambda: (scatter := Scatter(many, "a", "score", "b", "b", "score")).drawing() and gathered(scatter.places, 120)
    )
    assert spent < 80 * 3000, spent
    assert len(Scatter(many, "a", "score", "b", "b", "score").drawing()) < 500_000


def test_slices_are_a_chart_for_each_setting():
    tried = [({"a": 10.0**-n, "b": "x" if n % 2 else "y"}, 50.0 + n) for n in range(20)]
    drawn = slices(tried, "top-1 (%)")
    assert drawn.count("trial 3: 53.0") == 2


def test_values_are_written_short():
    assert [written(value) for value in (0.1 + 0.2, [0.5, 1.0], None, True, {"depth": 3}, [])] == [
        "0.3", "0.5 1", "none", "True", "depth=3", "none",
    ]  # fmt: skip
