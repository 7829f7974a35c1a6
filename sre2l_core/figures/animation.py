"""Pictures one after another as an animation: WebP and GIF by Pillow, MP4 by an ffmpeg where there is one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import which
from typing import Any

from PIL import Image

from sre2l_core.errors import ConfigError, unknown
from sre2l_core.files import replacing

FRAME_MS, LAST_FRAME_MS = 90, 1500
"""How long a picture stands, and how long the last one."""
NO_ENCODER = (
    "MP4 needs an encoder, and there is none: pip install 'sre2l-core[video]', or install ffmpeg. "
    "WebP and GIF need none."
)


def write(frames: Sequence[Image.Image], path: Path, kind: str) -> None:
    """Write an animation, whole or not at all.

    Args:
        frames: RGB pictures of one size, at least one.
        path: of the file.
        kind: one of `KINDS`.

    Raises:
        ConfigError: for another kind, and for MP4 where nothing can encode it.
        ArtifactError: if the disk refuses.
    """
    if kind not in KINDS:
        raise unknown("kind of animation", kind, KINDS)
    with replacing(path) as partial:
        KINDS[kind](frames, partial)


def encoder() -> str:
    """The path of an ffmpeg: that of the system, or of the package imageio-ffmpeg; raises `ConfigError` without one."""
    if found := which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        raise ConfigError(NO_ENCODER) from None


def _by_pillow(kind: str, **options: Any) -> Callable[[Sequence[Image.Image], Path], None]:
    def save(frames: Sequence[Image.Image], path: Path) -> None:
        times = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
        frames[0].save(path, kind, save_all=True, append_images=frames[1:], loop=0, duration=times, **options)

    return save


def _by_ffmpeg(frames: Sequence[Image.Image], path: Path) -> None:
    """Pictures of even width and height, as most players want them; the last one again and again while it stands."""
    width, height = (side + side % 2 for side in frames[0].size)
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"1000/{FRAME_MS}", "-i", "-"]
    target = ["-an", "-pix_fmt", "yuv420p", "-b:v", "4M", "-movflags", "+faststart", "-f", "mp4", str(path)]
    shown = [*frames, *[frames[-1]] * (LAST_FRAME_MS // FRAME_MS)]
    raw = b"".join(_padded(frame, width, height).tobytes() for frame in shown)
    command = [encoder(), "-hide_banner", "-loglevel", "error", "-y", *source, *target]
    done = subprocess.run(command, input=raw, capture_output=True)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"it ended with {done.returncode}"]
        raise ConfigError(f"ffmpeg could not write this MP4: {words[-1]}. WebP and GIF need no ffmpeg.")


def _padded(frame: Image.Image, width: int, height: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height))
    canvas.paste(frame)
    return canvas


KINDS: Mapping[str, Callable[[Sequence[Image.Image], Path], None]] = {
    "webp": _by_pillow("webp", lossless=True),
    "gif": _by_pillow("gif"),
    "mp4": _by_ffmpeg,
}
"""Name, which is the ending of the file as well -> what writes it."""
