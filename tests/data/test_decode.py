import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from sre2l_core.data import decode
from sre2l_core.data.decode import decode_all, fit, open_rgb, to_pixels
from sre2l_core.errors import DataError


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def write_all(folder, count=6):
    return [saved(noise(9, 7, seed), folder / f"{seed}.png") for seed in range(count)]


def corner(path, **options):
    return open_rgb(path, **options).getpixel((0, 0))


def test_grey_and_palette_and_cmyk_become_rgb(tmp_path):
    assert corner(saved(Image.new("L", (3, 3), 80), tmp_path / "grey.png")) == (80, 80, 80)
    assert corner(saved(Image.new("1", (3, 3), 1), tmp_path / "bits.png")) == (255, 255, 255)
    assert corner(saved(Image.new("RGB", (3, 3), (9, 8, 7)).quantize(4), tmp_path / "p.png")) == (9, 8, 7)
    assert corner(saved(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), tmp_path / "ink.jpg")) == (0, 0, 0)


def test_transparency_is_put_on_white(tmp_path):
    assert corner(saved(Image.new("RGBA", (3, 3), (200, 0, 0, 0)), tmp_path / "a.png")) == (255, 255, 255)
    assert corner(saved(Image.new("RGBA", (3, 3), (200, 0, 0, 255)), tmp_path / "b.png")) == (200, 0, 0)
    palette = Image.new("RGB", (3, 3), (200, 0, 0)).quantize(2)
    assert corner(saved(palette, tmp_path / "c.png", transparency=b"\0\0")) == (255, 255, 255)


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    image = Image.fromarray(np.full((3, 3), 0x8012, dtype=np.uint16))
    assert corner(saved(image, tmp_path / "deep.png")) == (128, 128, 128)


def test_a_photograph_is_turned_only_if_asked(tmp_path):
    image = Image.new("RGB", (4, 2), "white")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    path = saved(image, tmp_path / "phone.jpg", exif=exif)
    assert open_rgb(path).size == (4, 2)
    assert open_rgb(path, upright=True).size == (2, 4)


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.jpg cannot be read .*skip_corrupt"):
        open_rgb(path)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_truncated_file_is_named(tmp_path, ending):
    path = saved(noise(64, 64), tmp_path / f"half.{ending}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="half"):
        open_rgb(path)


@pytest.mark.parametrize("size", [(40, 40), (41, 30), (30, 41), (17, 90), (16, 16), (5, 8), (16, 19), (19, 16)])
@pytest.mark.parametrize("scale", [1.0, 256 / 224])
def test_fit_equals_resize_and_centre_crop_of_torchvision(size, scale):
    from torchvision.transforms import v2

    reference = v2.Compose([v2.Resize(round(16 * scale)), v2.CenterCrop(16)])
    image = noise(*size)
    assert np.array_equal(np.asarray(fit(image, 16, scale)), np.asarray(reference(image)))


def test_pixels_are_channel_first(tmp_path):
    image = noise(4, 3)
    pixels = to_pixels(image)
    assert pixels.shape == (3, 3, 4)
    assert tuple(pixels[:, 2, 1].tolist()) == image.getpixel((1, 2))


def test_a_list_is_decoded_in_order(tmp_path):
    paths = write_all(tmp_path)
    images, kept = decode_all(paths, 5)
    assert images.dtype == torch.uint8
    assert kept.tolist() == list(range(6))
    for path, image in zip(paths, images, strict=True):
        assert torch.equal(image, to_pixels(fit(open_rgb(path), 5)))


def test_unreadable_files_stop_or_are_left_out_and_counted(tmp_path):
    paths = write_all(tmp_path)
    expected = decode_all(paths, 5)[0]
    paths[2].write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"2\.png"):
        decode_all(paths, 5)
    with pytest.warns(UserWarning, match=r"skipped 1 unreadable of 6 files, first .*2\.png"):
        images, kept = decode_all(paths, 5, skip_corrupt=True)
    assert kept.tolist() == [0, 1, 3, 4, 5]
    assert torch.equal(images, expected[kept])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "CACHE_FROM", 3)
    monkeypatch.setenv("SRE2L_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refuse(*args, **options):
    raise AssertionError("a file was decoded again")


def test_the_second_start_decodes_nothing(tmp_path, cache, monkeypatch):
    paths = write_all(tmp_path)
    first = decode_all(paths, 5)
    monkeypatch.setattr(decode, "open_rgb", refuse)
    again = decode_all(paths, 5)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first, again, strict=True))
    for options in ({"size": 4}, {"size": 5, "scale": 2.0}, {"size": 5, "upright": True}):
        with pytest.raises(AssertionError, match="decoded again"):
            decode_all(paths, **options)
    with pytest.raises(AssertionError, match="decoded again"):
        decode_all(paths[:4], 5)


def test_a_changed_file_is_seen(tmp_path, cache):
    paths = write_all(tmp_path)
    decode_all(paths, 5)
    saved(Image.new("RGB", (30, 30), (1, 2, 3)), paths[1], format="BMP")
    assert decode_all(paths, 5)[0][1, :, 0, 0].tolist() == [1, 2, 3]
    before = paths[1].stat()
    saved(Image.new("RGB", (30, 30), (4, 5, 6)), paths[1], format="BMP")
    assert paths[1].stat().st_size == before.st_size
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert decode_all(paths, 5)[0][1, :, 0, 0].tolist() == [4, 5, 6]


def test_short_lists_leave_no_cache(tmp_path, cache):
    decode_all(write_all(tmp_path, count=2), 5)
    assert not cache.exists()


def test_a_cache_that_left_files_out_still_reports_them(tmp_path, cache):
    paths = write_all(tmp_path)
    paths[2].write_bytes(b"nothing")
    for _ in range(2):
        with pytest.warns(UserWarning, match="skipped 1"):
            assert len(decode_all(paths, 5, skip_corrupt=True)[0]) == 5
    with pytest.raises(DataError, match=r"2\.png"):
        decode_all(paths, 5)


@pytest.mark.parametrize(
    "content",
    [
        b"damaged",
        save({"images": torch.zeros(6, 3, 5, 5), "kept": torch.arange(6)}),
        save({"images": torch.zeros(6, 3, 4, 4, dtype=torch.uint8), "kept": torch.arange(6)}),
        save({"images": torch.zeros(5, 3, 5, 5, dtype=torch.uint8), "kept": torch.arange(6)}),
    ],
)
def test_a_damaged_cache_is_made_anew(tmp_path, cache, content):
    paths = write_all(tmp_path)
    expected = decode_all(paths, 5)[0]
    [file] = cache.iterdir()
    file.write_bytes(content)
    assert torch.equal(decode_all(paths, 5)[0], expected)
    assert file.stat().st_size > 100


def test_a_cache_that_cannot_be_written_is_only_a_warning(tmp_path, cache):
    Path(cache).write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="could not be kept"):
        assert len(decode_all(write_all(tmp_path), 5)[0]) == 6
