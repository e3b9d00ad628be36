"""Videos as a page can show them: looked at before they are taken, copied without what would give their maker away."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from emovoca_cli.errors import DataError
from emovoca_cli.files import atomic_write
from emovoca_cli.render.video import ffmpeg_path

CONTAINERS = {".mp4": ".mp4", ".m4v": ".mp4", ".webm": ".webm"}
"""Suffixes of videos that browsers play, and the one that a copy gets."""
_CODECS = ("h264", "vp8", "vp9", "av1")
_PIXELS = ("yuv420p", "yuvj420p")


@dataclass(frozen=True)
class Look:
    """What a video file is: picture size in pixels, frames a second, seconds, and whether it has sound."""

    size: tuple[int, int]
    fps: float
    seconds: float
    sound: bool


def look_at(path: Path) -> Look:
    """Look into a video file. Raises DataError for one that browsers do not show, with what to do."""
    done = subprocess.run(
        [ffmpeg_path(), "-hide_banner", "-nostdin", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "null", "-"],
        capture_output=True, text=True, check=False, errors="replace",
    )  # fmt: skip
    said = done.stderr.split("Output #", maxsplit=1)[0]
    stream = re.search(r"Stream #.*?: Video: (\w+).*", said)
    clock = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    frames = re.findall(r"frame=\s*(\d+)", done.stderr)
    if done.returncode != 0 or stream is None or clock is None or not frames or int(frames[-1]) == 0:
        raise DataError(f"{path} is not a readable video; expected {', '.join(CONTAINERS)} with a picture")
    size = re.search(r", (\d+)x(\d+)", stream[0])
    rate = re.search(r"([\d.]+) fps", stream[0])
    pixels = re.search(r"\byuvj?\d+p\w*|\bgbrp\w*|\brgb\w*", stream[0])
    if stream[1] not in _CODECS or (pixels is not None and pixels[0] not in _PIXELS):
        seen = f"{stream[1]} {pixels[0] if pixels else ''}".strip()
        raise DataError(f"{path} is {seen}, which not every browser shows; convert it: ffmpeg -i IN -pix_fmt yuv420p OUT.mp4")
    hours, minutes, seconds = clock.groups()
    return Look(
        (int(size[1]), int(size[2])) if size else (0, 0),
        float(rate[1]) if rate else 0.0,
        int(hours) * 3600 + int(minutes) * 60 + float(seconds),
        re.search(r"Stream #.*?: Audio: ", said) is not None,
    )


def copy_video(source: Path, out: Path, *, sound: bool) -> None:
    """Copy a video's picture (and sound) as they are, without the words in the file. Raises OutputError, DataError.

    Nothing is encoded anew. Without `sound` there is none in the file, so that no player can turn it on.
    """
    streams = ["-map", "0:v:0", *(["-map", "0:a:0"] if sound else [])]
    with atomic_write(out) as temporary:
        command = [
            ffmpeg_path(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i", str(source), *streams, "-c", "copy",
            "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags", "+bitexact",
            *(["-movflags", "+faststart"] if out.suffix == ".mp4" else []), str(temporary),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["ffmpeg said nothing"]
            raise DataError(f"{source} cannot be copied: {lines[-1]}")
