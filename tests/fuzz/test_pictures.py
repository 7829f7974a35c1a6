"""Picture files: every format and mode of one colour is that colour; bytes of anything are a picture or a line."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fuzzing import answer
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sre2l_core import pictures
from sre2l_core.data.decode import fit, open_rgb

FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "BMP": "bmp", "PPM": "ppm", "TIFF": "tif", "GIF": "gif"}
MODES = {
    "1": lambda level: level // 128 * 255,
    "L": lambda level: level,
    "P": lambda level: level,
    "RGB": lambda level: (level, 255 - level, 7),
    "RGBA": lambda level: (level, 255 - level, 7, 255),
    "CMYK": lambda level: (level, 0, 0, 0),
    "LA": lambda level: (level, 255),
    "I;16": lambda level: level * 257,
}
SIDES = st.sampled_from([1, 2, 3, 17, 64])


def seen(mode, level):
    """The colour that people see of `MODES`."""
    grey = level // 128 * 255 if mode == "1" else level
    return {"RGB": (level, 255 - level, 7), "RGBA": (level, 255 - level, 7), "CMYK": (255 - level, 255, 255)}.get(
        mode, (grey,) * 3
    )


def encoded(form, mode, level, width, height):
    """A file of one colour; None where a format has no such mode."""
    if mode == "I;16" and form in ("WEBP", "GIF"):  # Pillow cuts levels off there
        return None
    buffer, picture = io.BytesIO(), Image.new(mode, (width, height), MODES[mode](level))
    if mode == "P":
        picture.putpalette([n for n in range(256) for _ in range(3)])
    try:
        picture.save(buffer, form)
    except (OSError, ValueError):
        return None
    return buffer.getvalue()


@given(st.sampled_from(list(FORMATS)), st.sampled_from(list(MODES)), st.integers(0, 255), SIDES, SIDES)
def test_a_picture_of_one_colour_is_that_colour(tmp_path_factory, form, mode, level, width, height):
    path = tmp_path_factory.mktemp("colour") / f"x.{FORMATS[form]}"
    content = encoded(form, mode, level, width, height)
    if content is None:
        return
    path.write_bytes(content)
    near = 5 if form in ("JPEG", "WEBP") else 0  # these lose a little

    def right(image):
        pixels = np.asarray(fit(image, 8), dtype=int)
        return image.size == (width, height) and np.abs(pixels - seen(mode, level)).max() <= near

    answer("pictures", lambda: open_rgb(path), str(path), right=right)


@given(
    st.sampled_from(list(FORMATS)),
    st.sampled_from(list(MODES)),
    st.data(),
    st.binary(max_size=12),
    st.sampled_from([1, 3]),
)
def test_bytes_that_were_a_picture(tmp_path_factory, form, mode, data, noise, channels):
    path = tmp_path_factory.mktemp("bytes") / f"x.{data.draw(st.sampled_from(list(FORMATS.values())))}"
    whole = encoded(form, mode, 100, 9, 9) or noise
    start = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:start] + noise + whole[start + data.draw(st.integers(0, 30)) :])

    def right(image):
        return image.mode == "RGB" and fit(image, 8).size == (8, 8)

    answer("pictures", lambda: open_rgb(path, upright=True), str(path), right=right)
    shape = (channels, 9, 9)
    answer(
        "pictures", lambda: pictures.read(path, channels, (9, 9)), str(path), right=lambda pixels: pixels.shape == shape
    )


@given(st.binary(max_size=200), st.sampled_from(list(FORMATS.values())))
def test_bytes_of_anything(tmp_path_factory, noise, ending):
    path = tmp_path_factory.mktemp("noise") / f"x.{ending}"
    path.write_bytes(noise)
    answer("pictures", lambda: open_rgb(path), str(path), "skip_corrupt")


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (60_000, 60_000), (1, 100_000)])
def test_sizes_that_a_header_claims(tmp_path, size):
    path = tmp_path / "x.ppm"
    path.write_bytes(b"P6\n%d %d\n255\n" % size + b"\0" * 12)
    answer("pictures", lambda: open_rgb(path), str(path), right=lambda image: False)
