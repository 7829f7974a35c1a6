"""BoundsPanel: the slider, the table beside it, and what it refuses; the two pictures of bounds."""

import io
import math
import re

import pytest

from sre2l_core.errors import ConfigError
from sre2l_core.figures.bounds import bounds_chart
from sre2l_core.theory import Information, Measured
from sre2l_core.widgets import BoundsPanel

SCALES = (0.1, 1.0, 10.0)


def made(images: int, *uppers: float) -> Measured:
    bits = tuple(Information(upper / 2, upper, 0.1, images) for upper in uppers)
    return Measured(SCALES, bits, (1.0, 0.75, 0.1))


SETS = {"real": made(1024, 30.0, 4.0, 0.0), "<few>": made(16, 20.0, 1.0, -0.01)}


def test_the_slider_begins_in_the_middle_and_the_table_follows_it() -> None:
    panel = BoundsPanel(SETS)
    assert panel.noise == 1.0
    gaps = [math.sqrt((2**4 + math.log(20)) / 2048), math.sqrt((2 + math.log(20)) / 32)]
    assert panel.rows() == [
        ("real", "1,024", "2.0 to 4.0", "10.0", f"{gaps[0]:.2f}", "75%"),
        ("<few>", "16", "0.5 to 1.0", "4.0", f"{gaps[1]:.2f}", "75%"),
    ]
    before = panel._view.value
    panel.slider.value = 0.1
    assert panel.rows()[0][4] == "none: at least 1"
    assert "none: at least 1" in panel._view.value != before
    panel.noise = 10.0
    assert panel.slider.value == 10.0
    assert panel.rows()[1][2] == "0.0 to 0.0"
    assert not panel.error


def test_names_are_escaped_and_the_line_stands_at_the_noise() -> None:
    panel = BoundsPanel(SETS, noise=0.1)
    assert "<few>" not in panel._view.value
    assert "&lt;few&gt;" in panel._view.value
    left = [re.findall(r'<line x1="([\d.]+)"[^>]*stroke-dasharray="3 3"', bounds_chart(SETS, at)) for at in SCALES]
    assert [len(found) for found in left] == [2, 2, 2]
    places = [float(found[0]) for found in left]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.1)
    assert "share still recognised" in panel.snapshot().data
    assert repr(panel) == "<BoundsPanel of real, <few> at noise 0.1>"


def test_a_name_is_no_mathematics_and_no_markup_in_any_picture() -> None:
    panel = BoundsPanel({"$a_{$ <img src=x>": SETS["real"]})
    panel.figure().savefig(io.BytesIO())
    assert "<img" not in panel._view.value + panel._fallback()["text/html"].partition("<img alt")[0]


@pytest.mark.parametrize("noise", [0.5, 0.0, math.nan, "much"])
def test_noise_that_was_not_measured_is_refused(noise: object) -> None:
    panel = BoundsPanel(SETS)
    with pytest.raises(ConfigError, match=r"nothing was measured at noise .*: take 0\.1, 1, 10\."):
        panel.noise = noise
    assert panel.noise == 1.0


def test_sets_of_different_scales_or_of_one_are_refused() -> None:
    other = Measured((1.0,), (Information(1.0, 2.0, 0.1, 5),), (1.0,))
    for sets in ({}, {"one": other}, {**SETS, "one": other}):
        with pytest.raises(ConfigError, match="at the same scales of noise, at least two"):
            BoundsPanel(sets)


def test_the_figure_draws_each_set_and_marks_where_a_bound_says_nothing() -> None:
    left, right = BoundsPanel(SETS).figure().axes
    assert [line.get_label() for line in left.lines[::2]] == ["real, 1024 images", "<few>, 16 images"]
    assert left.lines[0].get_ydata().tolist() == [30.0, 4.0, 0.0]
    assert left.lines[1].get_ydata().tolist() == [15.0, 2.0, 0.0]
    assert right.lines[0].get_ydata()[1] == pytest.approx(math.sqrt((2**4 + math.log(20)) / 2048))
    assert right.lines[-1].get_ydata()[0] == 1
