"""Things called `x.png` that are no ordinary picture: right, or refused in one line, and never waited for."""

import os
import socket
import stat
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import picture, write_pictures

from sre2l_core import pictures
from sre2l_core.data import decode, load
from sre2l_core.data.decode import check_memory, decode_all, fit, open_rgb
from sre2l_core.data.resident import resized
from sre2l_core.errors import ArtifactError, DataError

DAMAGE = {
    "pipe": "it is a pipe, not a file",
    "socket": "it is a socket, not a file",
    "device": "it is a device, not a file",
    "folder": "it is a folder, not a file",
    "dangling link": "No such file",
    "circular link": "symbolic links",
    "unreadable": "Permission denied",
    "empty": "cannot identify",
    "text": "cannot identify",
    "truncated": "truncated",
    "bomb": "30,000 x 30,000|exceeds limit",
    "32-bit": "32-bit or signed integers, whose white is not known",
    "float": "floats, whose white is not known",
}


def make(kind, path):
    """Put something odd where a picture is expected."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path may be 107 bytes long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
        os.chdir(here)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("nowhere.png")
    elif kind == "circular link":
        path.symlink_to(path.name)
    elif kind == "bomb":
        path.write_bytes(bomb(30_000, 30_000))
    elif kind in ("32-bit", "float"):
        levels = np.full((8, 8), 70_000, np.int32) if kind == "32-bit" else np.full((8, 8), 0.5, np.float32)
        Image.fromarray(levels).save(path, "TIFF")
    else:
        picture(path, size=(64, 64))
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "text": b"words", "truncated": whole[: len(whole) // 2]}.get(kind, whole))


def bomb(width, height):
    """A PNG of some hundred bytes that claims to be large."""
    chunks = b""
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0" * 500)),
        (b"IEND", b""),
    ):
        chunks += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.fixture
def unreadable(monkeypatch):
    """Files called odd-unreadable cannot be opened: permissions do not stop root."""
    really_open = Image.open

    def open_or_refuse(path, *args, **options):
        if "odd-unreadable" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, *args, **options)

    monkeypatch.setattr(Image, "open", open_or_refuse)


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_no_picture_stops_or_is_skipped(tmp_path, unreadable, kind, stream):
    write_pictures(tmp_path / "train", {"a": 3, "b": 3})
    write_pictures(tmp_path / "val", {"a": 1, "b": 1})
    make(kind, tmp_path / "train" / "b" / f"odd-{kind}.png")

    def labels(**options):
        train = load("folder", tmp_path, stream=stream, workers=0, **options).train
        return torch.cat([labels for _, labels in train.eval_batches(4, "cpu")]).tolist()

    with pytest.raises(DataError, match=rf"odd-{kind}\.png cannot be read \(.*({DAMAGE[kind]}).*skip_corrupt") as error:
        labels()
    assert str(error.value).isprintable()
    with pytest.warns(UserWarning, match=rf"skipped.*odd-{kind}\.png"):
        assert labels(skip_corrupt=True) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("skip_corrupt", [False, True])
@pytest.mark.parametrize("made", ["gif", "animated png", "animated webp", "jpeg", "two pages"])
def test_what_a_file_holds_counts_and_of_many_pictures_the_first(tmp_path, made, skip_corrupt):
    first, second = Image.new("RGB", (20, 20), (250, 0, 0)), Image.new("RGB", (20, 20), (0, 0, 250))
    formats = {"gif": "GIF", "animated png": "PNG", "animated webp": "WEBP", "jpeg": "JPEG", "two pages": "TIFF"}
    many = {} if made == "jpeg" else {"save_all": True, "append_images": [second]}
    first.save(tmp_path / "odd.png", formats[made], **many)
    images, kept = decode_all([tmp_path / "odd.png"], 20, skip_corrupt=skip_corrupt)
    assert kept.tolist() == [0]
    assert images[0, :, 10, 10].tolist() == pytest.approx([250, 0, 0], abs=5)


def read(image, path, **options):
    image.save(path, **options)
    return np.asarray(open_rgb(path))[:, :, 0]


RAMP = np.arange(0, 65_536, 13, dtype=np.uint16)[None].repeat(2, axis=0)
EXPECTED = (RAMP.astype(np.float64) / 65_535 * 255).round()


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_become_eight_as_the_nearest_level(tmp_path, ending):
    assert np.array_equal(read(Image.fromarray(RAMP), tmp_path / f"deep.{ending}"), EXPECTED)


def test_where_zero_is_white_it_is(tmp_path):
    grey = read(Image.fromarray(RAMP), tmp_path / "negative.tif", tiffinfo={262: 0})
    assert np.array_equal(grey, 255 - EXPECTED)


def test_a_picture_of_a_thousand_levels_uses_all_of_ours(tmp_path):
    (tmp_path / "x.pgm").write_bytes(b"P5\n3 1\n1000\n" + struct.pack(">3H", 0, 500, 1000))
    assert np.asarray(open_rgb(tmp_path / "x.pgm"))[0, :, 0].tolist() == [0, 128, 255]


def test_the_transparent_level_of_sixteen_is_white(tmp_path):
    levels = np.array([[7, 30_000]], dtype=np.uint16)
    assert read(Image.fromarray(levels), tmp_path / "x.png", transparency=7).tolist() == [[255, 117]]


def test_transparent_grey_and_ink_are_right(tmp_path):
    grey = Image.new("LA", (4, 4), (100, 0))
    grey.putpixel((1, 0), (100, 255))
    grey.putpixel((2, 0), (100, 51))
    assert read(grey, tmp_path / "la.png")[0].tolist() == [255, 100, 224, 255]  # 51/255 of 100 on white
    ink = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    ink.save(tmp_path / "ink.tif")
    assert open_rgb(tmp_path / "ink.tif").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_its_definition_says(tmp_path, orientation):
    """EXIF 2.32, tag 274: where the 0th row and the 0th column of the stored picture are seen."""
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    seen = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.T, 6: stored[::-1].T, 7: stored[::-1, ::-1].T, 8: stored.T[::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(np.asarray(open_rgb(tmp_path / "x.png", upright=True))[:, :, 0], seen)


@pytest.mark.parametrize("size", [(20_000, 1), (1, 20_000), (40_000, 30), (3, 50)])
def test_a_long_thin_picture_shows_its_middle_and_takes_no_memory(size, monkeypatch):
    """Its long side, enlarged with the short one to 512 pixels, would take 30 GB."""
    levels = np.linspace(0, 255, max(size)).astype(np.uint8)[None].repeat(min(size), axis=0)
    levels = levels if size[0] > size[1] else levels.T
    image = fit(Image.fromarray(levels).convert("RGB"), 512)
    assert image.size == (512, 512)
    share = 255 * min(size) / max(size)
    assert np.asarray(image).astype(float).mean() == pytest.approx(127.5, abs=1 + share)
    assert np.ptp(np.asarray(image).astype(int)) <= share + 2


def test_pictures_may_not_need_more_memory_than_there_is(tmp_path, monkeypatch):
    picture(tmp_path / "large.png", size=(3000, 2000), colour=0, mode="L")
    monkeypatch.setattr(pictures, "free_memory", lambda: 40 * 2**20)
    with pytest.raises(DataError, match=r"3000 x 2000 pixels need 46 MiB; .* 40 MiB are free: make it smaller"):
        open_rgb(tmp_path / "large.png")
    with pytest.raises(ArtifactError, match=r"large\.png cannot be read as an image \(its 3000 x 2000 pixels"):
        pictures.read(tmp_path / "large.png", 3, (2000, 3000))
    monkeypatch.setattr(pictures, "free_memory", lambda: 50 * 2**20)
    assert open_rgb(tmp_path / "large.png").size == (3000, 2000)


def test_what_a_setting_would_need_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "free_memory", lambda: 10 * 2**30)
    check_memory(1000, 3, 1024)
    with pytest.raises(DataError, match=r"100,000 images of 1024 x 1024 pixels need 293\.0 GiB .* 10\.0 GiB are free"):
        check_memory(100_000, 3, 1024)
    with pytest.raises(DataError, match="smaller resolution"):
        resized(torch.zeros(1, 1, 8, 8, dtype=torch.uint8).expand(60_000, 3, 8, 8), 1024)
    write_pictures(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "0.png").write_bytes(b"nothing: it would be found unreadable")
    monkeypatch.setattr(decode, "free_memory", lambda: 100)
    with pytest.raises(DataError, match=r"4 images of 1024 x 1024 pixels need 0\.0 GiB"):
        load("folder", tmp_path, resolution=1024, stream=False)


@pytest.mark.parametrize("kind", ["pipe", "folder", "text", "bomb", "truncated"])
@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
def test_a_condensed_picture_is_read_as_carefully(tmp_path, kind):
    make(kind, tmp_path / "x.png")
    with pytest.raises(ArtifactError, match=r"x\.png cannot be read as an image"):
        pictures.read(tmp_path / "x.png", 3, (20, 20))


def test_programs_are_not_started_for_a_picture(tmp_path):
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match="cannot identify image file"):
        open_rgb(tmp_path / "x.png")


def test_a_list_with_a_dangling_link_can_be_cached(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "CACHE_FROM", 2)
    monkeypatch.setenv("SRE2L_CACHE", str(tmp_path / "cache"))
    paths = [picture(tmp_path / f"{n}.png") for n in range(3)]
    (tmp_path / "9.png").symlink_to("nowhere")
    for _ in range(2):
        with pytest.warns(UserWarning, match="skipped 1 unreadable of 4"):
            assert len(decode_all([*paths, tmp_path / "9.png"], 5, skip_corrupt=True)[0]) == 3
    assert stat.S_ISREG(next((tmp_path / "cache").iterdir()).stat().st_mode)
