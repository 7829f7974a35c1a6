"""The palette against formulas for contrast (WCAG 2) and colour blindness (Machado et al. 2009, full strength)."""

from itertools import combinations

import numpy as np
import pytest

from sre2l_core import terms
from sre2l_core.figures import theme
from sre2l_core.figures.colours import GREY, PALETTE, of_number, of_term

SEEN_AS = {
    "by all": np.eye(3),
    "without red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "without green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "without blue": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(colour) @ (0.2126, 0.7152, 0.0722)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB, where a distance of 2 is just seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 0, 1) / (0.9505, 1, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
def test_every_colour_is_seen_on_a_light_and_on_a_dark_page(ground: str) -> None:
    assert min(contrast(colour, ground) for colour in PALETTE) >= 3
    assert contrast(theme.INK, ground) >= 4


@pytest.mark.parametrize("eyes", SEEN_AS)
def test_colours_stay_apart_for_all_eyes(eyes: str) -> None:
    seen = [lab(np.array(SEEN_AS[eyes]) @ linear(colour)) for colour in PALETTE]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen[:6], 2)) > 18
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 10


def test_terms_and_their_total_have_colours_of_their_own() -> None:
    found = [of_term(name) for name in terms.legend()]
    assert found[0] == of_term(terms.TOTAL) == GREY
    assert len(set(found)) == len(found) == 5
    assert of_term("a term of another installation") not in found
    assert of_number(0) == of_number(len(PALETTE)) != of_number(1)
