"""Frames: what arrives is what was sent, and never more than a page should have to take."""

import io

import pytest
import torch
from PIL import Image
from torch import Tensor

from sre2l_core.figures import encode


def noise(count: int, size: int, channels: int = 3) -> Tensor:
    return torch.randint(
        0, 256, (count, channels, size, size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "count"), [(16, 10), (32, 10), (32, 50), (32, 100), (64, 20), (64, 100)])
def test_small_images_of_noise_stay_within_60_kilobytes(size: int, count: int, channels: int) -> None:
    assert len(encode.grid(noise(count, size, channels), 10).data) <= 60_000


@pytest.mark.parametrize("count", [1, 10, 20, 100])
def test_wide_images_of_noise_stay_within_120_kilobytes(count: int) -> None:
    frame = encode.grid(noise(count, 224), 5)
    assert frame.format == "jpeg"
    assert len(frame.data) <= 120_000


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_shows_every_pixel_and_a_veil_between_the_images(channels: int) -> None:
    pixels = noise(5, 16, channels)
    frame = encode.grid(pixels, 3)
    assert frame.format == "png"
    picture = opened(frame.data)
    assert picture.size == (3 * 17 - 1, 2 * 17 - 1)
    bands = torch.tensor(list(picture.tobytes())).view(picture.height, picture.width, channels + 1)
    for index, image in enumerate(pixels):
        top, left = index // 3 * 17, index % 3 * 17
        tile = bands[top : top + 16, left : left + 16]
        assert torch.equal(tile[..., :channels], image.permute(1, 2, 0).long())
        assert (tile[..., channels] == 255).all()
    assert (bands[16, :, channels] == encode.VEIL).all()


@pytest.mark.parametrize("size", [8, 32, 64, 224])
def test_there_is_room_under_each_row(size: int) -> None:
    frame = encode.grid(noise(6, size, 3), 3, below=15)
    assert frame.down >= frame.side + 15
    picture = opened(frame.data)
    assert picture.height * frame.width / picture.width == pytest.approx(frame.down + frame.side, abs=1)


@pytest.mark.parametrize(("size", "columns"), [(8, 3), (16, 10), (28, 10), (32, 10), (64, 5), (224, 5)])
def test_frames_know_how_large_to_be_shown(size: int, columns: int) -> None:
    frame = encode.grid(noise(10, size), columns, max_width=510)
    assert frame.width <= 510
    assert frame.side <= encode.TILE_PIXELS
    assert frame.scale < 1 or (2 * frame.scale).is_integer()
    assert frame.tile > frame.side


def test_a_crop_is_framed_and_the_rest_is_dark() -> None:
    image = torch.full((1, 16, 16), 200, dtype=torch.uint8)
    data, kind = encode.outlined(image, (4, 8, 8, 8), side=128)
    assert kind == "png"
    picture = opened(data)
    assert picture.size == (128, 128)
    assert picture.getpixel((96, 64)) == (200, 200, 200)
    assert max(picture.getpixel((10, 10))) < 120
    assert picture.getpixel((64, 64)) == (255, 255, 255)


@pytest.mark.parametrize("box", [(0, 0, 16, 16), (-4, -4, 16, 16), (15, 15, 1, 1), (0, 0, 1, 16)])
@pytest.mark.parametrize("size", [16, 224])
def test_any_crop_can_be_framed(size: int, box: tuple[int, ...]) -> None:
    data, _ = encode.outlined(noise(1, size)[0], [value * size // 16 for value in box], side=100)
    picture = opened(data)
    assert 64 <= picture.width <= 100


def test_a_still_needs_no_page_to_enlarge_it() -> None:
    pixels = noise(4, 8)
    still = encode.still(pixels, 2)
    factor = still.width // 17
    small = still.resize((17, 17), Image.Resampling.NEAREST)
    assert factor >= 8
    assert (
        small.crop((0, 0, 8, 8)).convert("RGB").tobytes() == pixels[0].permute(1, 2, 0).contiguous().numpy().tobytes()
    )
