"""The map of features, crops with their labels, and the cards of the stages: marks are where the numbers are."""

from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from sre2l_core.figures import crops, feature_map, stages, tables
from sre2l_core.figures.colours import of_number
from sre2l_core.figures.feature_map import FeatureMap
from sre2l_core.figures.svg import ACCENT, WARNING, Drawing

SPACE = "{http://www.w3.org/2000/svg}"
REAL = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 20.0]])


def found(drawing: Drawing, kind: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(drawing).iter(f"{SPACE}{kind}"))


def words(drawing: Drawing) -> list[str]:
    return [text.text for text in found(drawing, "text")]


def a_map(condensed: list[list[float]], thumbnails: str = "") -> FeatureMap:
    titles = [f"point {number}" for number in range(3 + len(condensed))]
    return FeatureMap(REAL, np.array(condensed), [0, 1, 0] + [1] * len(condensed), ["ant", "bee"], titles, thumbnails)


def test_points_are_to_scale_and_in_the_colour_of_their_group() -> None:
    drawing = a_map([[5.0, 10.0]]).drawing()
    dots = [dot for dot in found(drawing, "circle") if dot.get("r") == "3"]
    (square,) = (box for box in found(drawing, "rect") if box.get("width") == "9")
    (x0, y0), (x1, y1), (x2, y2) = ((float(dot.get("cx")), float(dot.get("cy"))) for dot in dots)
    assert (y0, x0) == (y1, x2)
    assert x0 < x1
    assert y2 < y0, "up is up"
    middle = float(square.get("x")) + 4.5, float(square.get("y")) + 4.5
    assert middle == pytest.approx(((x0 + x1) / 2, (y0 + y2) / 2), abs=0.02)
    assert [dot.get("fill") for dot in dots] == [of_number(0), of_number(1), of_number(0)]
    assert square.get("fill") == of_number(1)
    assert {"ant", "bee"} <= {*words(drawing)}


def test_what_strays_stays_at_the_edge() -> None:
    for stray in ([1e6, -1e6], [-1e6, 1e6]):
        (square,) = (box for box in found(a_map([stray]).squares(), "rect") if box.get("width") == "9")
        assert 0 < float(square.get("x")) < feature_map.RIGHT
        assert 0 < float(square.get("y")) < feature_map.HEIGHT


def test_a_map_of_one_place_can_be_drawn() -> None:
    same = FeatureMap(np.zeros((3, 2)), np.zeros((1, 2)), [0] * 4, ["a"], [""] * 4)
    assert "nan" not in same.drawing()


def test_layers_are_the_picture_in_two_and_show_images() -> None:
    flat, live = a_map([[5.0, 10.0], [1.0, 1.0]]), a_map([[5.0, 10.0], [1.0, 1.0]], "uid")
    marks = [dot.get("cx") for dot in found(live.dots(), "circle") if dot.get("r") == "3"]
    assert marks == [dot.get("cx") for dot in found(flat.drawing(), "circle") if dot.get("r") == "3"]
    assert [use.get("href") for use in found(live.dots(), "use")] == ["#uid-real"] * 3
    assert [use.get("href") for use in found(live.squares(), "use")] == ["#uid-condensed"] * 2
    assert [tip.get("viewBox") for tip in found(live.squares(), "svg")[1:]] == ["0 0 1 1", "1 0 1 1"]
    assert not found(flat.drawing(), "use")
    (ring,) = found(live.squares(chosen=3), "circle")
    assert float(ring.get("cx")) == pytest.approx(float(found(live.squares(), "rect")[0].get("x")) + 4.5, abs=0.02)
    assert not found(live.squares(), "circle")


def test_thumbnails_are_one_picture_of_unit_squares() -> None:
    root = ElementTree.fromstring(feature_map.thumbnails("uid-real", torch.zeros(25, 3, 64, 64, dtype=torch.uint8)))
    image = next(root.iter(f"{SPACE}image")) if root.tag.startswith(SPACE) else next(root.iter("image"))
    assert [image.get(name) for name in ("id", "width", "height")] == ["uid-real", "20", "2"]


def test_frames_of_crops_are_where_the_crops_are() -> None:
    image = torch.zeros(1, 16, 16, dtype=torch.uint8)
    drawing = crops.outlines(image, [[0, 0, 16, 16], [4, 8, 2, 4]])
    first, second = found(drawing, "rect")
    scale = crops.IMAGE_SIDE / 16
    assert [float(first.get(name)) for name in ("x", "y", "width")] == [crops.EDGE, crops.EDGE, crops.IMAGE_SIDE]
    expected = [8 * scale + crops.EDGE + 1.2, 4 * scale + crops.EDGE + 1.2, 4 * scale - 2.4, 2 * scale - 2.4]
    assert [float(second.get(name)) for name in ("x", "y", "width", "height")] == pytest.approx(expected)
    assert [first.get("stroke"), second.get("stroke")] == [of_number(0), of_number(1)]


@pytest.mark.parametrize("size", [8, 224])
def test_a_crop_has_a_card_with_its_soft_label(size: int) -> None:
    pixels = torch.zeros(3, size, size, dtype=torch.uint8)
    card = crops.crop_card(pixels, {"dog": 0.5, "cat": 0.25}, number=1, own="cat", flipped=True)
    bars = [box for box in found(card, "rect") if box.get("rx")]
    assert float(bars[0].get("width")) == pytest.approx(2 * float(bars[1].get("width")), abs=0.02)
    assert [bar.get("fill") for bar in bars] == [WARNING, ACCENT]
    assert words(card) == ["crop 2, mirrored", "dog", "50%", "cat", "25%"]
    assert "dog 50%" in card.label
    assert len(card) < 40_000


def test_costs_are_a_table_as_soon_as_they_are_known() -> None:
    assert crops.cost_table([], epochs=3, images=4) == ""


def test_a_card_says_all_about_a_stage_and_keeps_its_size() -> None:
    long = "a reason of very many words that nobody could ever fit into one card of this size " * 3
    about = {"number": 2, "state": "↻ stale", "tint": "red", "summary": "20 images, 2 a class"}
    short = stages.stage_card("recover", "makes images", "condensed set", **about, reason="", last=True)
    full = stages.stage_card("recover", long, "condensed set", **about, reason=long, last=False)
    assert {"2 recover", "makes images", "condensed set", "↻ stale", "20 images, 2 a class"} == {*words(short)}
    assert "➜" in words(full)
    assert (full.width, full.height) == (short.width, short.height)
    assert all(float(text.get("y")) < full.height for text in found(full, "text"))
    assert long in full.label


def test_a_matrix_shades_each_number_by_its_share() -> None:
    drawing = tables.matrix([[3, 1], [0, 4]], ["a", "b"], label="m")
    shades = [box for box in found(drawing, "rect") if box.get("fill-opacity") != "0.18"]
    assert [float(box.get("fill-opacity")) for box in shades] == pytest.approx([0.5, 0.75, 0, 0.65])
    assert [box.get("fill") for box in shades] == [ACCENT, of_number(1), of_number(1), ACCENT]
    assert words(drawing)[-3:] == ["1", "b", "b", "4"][-3:]
    assert {box.get("fill") for box in found(tables.matrix([[1, 2]] * 2, ["a", "b"], label="m", full=4), "rect")} == {
        tables.FAINT, ACCENT,
    }  # fmt: skip


def test_dots_stand_at_the_accuracy_of_the_class() -> None:
    groups = {"ours": {"ant": 0.5, "bee": 1.0}, "real": {"ant": float("nan"), "bee": 0.0}}
    drawing = tables.class_dots(groups, ["ant", "bee"], label="d", hollow=["real"])
    dots = {dot[0].text: dot for dot in found(drawing, "circle")}
    half, full, none = (float(dots[name].get("cx")) for name in ("ant, ours: 50%", "bee, ours: 100%", "bee, real: 0%"))
    assert len(dots) == 3
    assert half == pytest.approx((full + none) / 2, abs=0.02)
    assert dots["bee, real: 0%"].get("fill") == "none"
