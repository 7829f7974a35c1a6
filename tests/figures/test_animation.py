"""Animations: read back by Pillow, and by ffmpeg where there is one; a stand-in for ffmpeg where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.figures import animation

FRAMES = [Image.new("RGB", (33, 20), colour) for colour in ("red", "lime", "blue")]
STAND_IN = f"""#!{sys.executable}
import sys
data, out = sys.stdin.buffer.read(), sys.argv[-1]
if "--fail" in open(__file__).read().split("#")[-1]:
    sys.exit("first line\\nno space for it")
open(out, "w").write(" ".join(sys.argv[1:-1]) + f" {{len(data)}}")
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program that is found as ffmpeg and writes down what it was asked."""
    path = tmp_path / "bin/ffmpeg"
    path.parent.mkdir()
    path.write_text(STAND_IN)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every ffmpeg away."""
    monkeypatch.setattr(animation, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_pillow_reads_them_back(tmp_path: Path, kind: str) -> None:
    animation.write(FRAMES, tmp_path / f"a.{kind}", kind)
    with Image.open(tmp_path / f"a.{kind}") as read:
        assert (read.n_frames, read.size) == (3, (33, 20))
        times = []
        for number, frame in enumerate(FRAMES):
            read.seek(number)
            read.load()
            times.append(read.info["duration"])
            assert read.convert("RGB").getpixel((5, 5)) == frame.getpixel((5, 5))
    assert times[-1] == animation.LAST_FRAME_MS


def test_mp4_gets_even_sides_and_a_last_picture_that_stands(tmp_path: Path, stand_in: Path) -> None:
    animation.write(FRAMES, tmp_path / "a.mp4", "mp4")
    asked = (tmp_path / "a.mp4").read_text()
    assert "-s 34x20" in asked
    assert f"-r 1000/{animation.FRAME_MS}" in asked
    shown = len(FRAMES) + animation.LAST_FRAME_MS // animation.FRAME_MS
    assert int(asked.split()[-1]) == shown * 34 * 20 * 3


def test_what_ffmpeg_says_is_said_and_nothing_is_left(tmp_path: Path, stand_in: Path) -> None:
    stand_in.write_text(STAND_IN + "# --fail")
    with pytest.raises(ConfigError, match="no space for it"):
        animation.write(FRAMES, tmp_path / "a.mp4", "mp4")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_without_an_encoder_it_says_what_to_install(tmp_path: Path, no_encoder: None) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'sre2l-core\[video\]'.*WebP and GIF need none"):
        animation.write(FRAMES, tmp_path / "a.mp4", "mp4")
    assert [*tmp_path.iterdir()] == []
    animation.write(FRAMES, tmp_path / "a.gif", "gif")


def test_a_real_encoder_gives_the_pictures_back(tmp_path: Path) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.importorskip("imageio_ffmpeg", reason="no ffmpeg here: pip install imageio-ffmpeg")
    animation.write(FRAMES, tmp_path / "a.mp4", "mp4")
    command = [animation.encoder(), "-loglevel", "error", "-i", str(tmp_path / "a.mp4"), "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    size = 34 * 20 * 3
    assert len(raw) == size * (3 + animation.LAST_FRAME_MS // animation.FRAME_MS)
    for number, frame in enumerate(FRAMES):
        middle = number * size + (10 * 34 + 16) * 3
        assert tuple(raw[middle : middle + 3]) == pytest.approx(frame.getpixel((16, 10)), abs=40)


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Known: gif, mp4, webp"):
        animation.write(FRAMES, tmp_path / "a.avi", "avi")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write"):
        animation.write(FRAMES, tmp_path / "file/a.gif", "gif")
