"""Pixels to image files and back."""

from __future__ import annotations

import pytest
import torch

from sre2l_core import pictures
from sre2l_core.errors import ArtifactError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_pictures_come_back(tmp_path, channels, image_format):
    pixels = torch.randint(0, 256, (channels, 9, 9), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    pictures.write(tmp_path / "x", pixels, image_format)
    found = pictures.read(tmp_path / "x", channels, (9, 9))
    assert found.shape == pixels.shape
    assert found.equal(pictures.as_stored(pixels, image_format))
    assert found.equal(pixels) == (image_format != "jpeg")
    with pytest.raises(ArtifactError, match=r"x cannot be read as an image \(it has 9x9 pixels, expected 9x8"):
        pictures.read(tmp_path / "x", channels, (9, 8))
    (tmp_path / "x").write_bytes(b"no picture")
    with pytest.raises(ArtifactError, match="cannot be read as an image"):
        pictures.read(tmp_path / "x", channels, (9, 9))
