"""Frames to files: H.264 with AAC sound, an animated GIF, or a folder of PNG pictures. Whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.files import atomic_write

Picture = NDArray[np.uint8]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov")
AUDIO_RATE = 48_000
"""Every player decodes AAC at this rate (Hz)."""

_CRF = "17"
_MAX_GIF_FPS = 50.0


def write_frames(out: Path, frames: Iterable[Picture], *, fps: float, count: int, speech: Path | None = None) -> None:
    """Write `count` frames (H,W,3): .mp4/.m4v/.mov (with the sound of `speech`), .gif, or else a folder of frame_00000.png.

    A video lasts count / fps seconds exactly: sound is padded or cut. Odd sizes grow by a pixel, which H.264 needs.
    Raises UsageError for a suffix it does not know or a folder in use, OutputError when writing fails, DataError when
    frames are missing or change size.
    """
    suffix = out.suffix.lower()
    if not (np.isfinite(fps) and fps > 0):
        raise UsageError(f"fps is {fps}, expected a positive number")
    if suffix in VIDEO_SUFFIXES:
        _write_with_ffmpeg(out, frames, fps=fps, count=count, speech=speech)
    elif suffix == ".gif":
        _write_with_ffmpeg(out, frames, fps=fps, count=count, speech=None)
    elif suffix == "":
        _write_folder(out, frames, count)
    else:
        raise UsageError(
            f"cannot write frames as {suffix}; use {', '.join(VIDEO_SUFFIXES)}, .gif, or a name without suffix for PNG files"
        )


def save_picture(out: Path, picture: Picture) -> None:
    """Write one picture (H,W,3) as .png or .jpg. Raises OutputError."""
    from PIL import Image

    with atomic_write(out) as temporary:
        try:
            Image.fromarray(picture).save(temporary)
        except ValueError as error:
            raise OutputError(f"cannot write {out}: {error}; use .png or .jpg") from error


def ffmpeg_path() -> str:
    """The ffmpeg that comes with imageio-ffmpeg (or the one it is told to use). Raises OutputError."""
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise OutputError(f"no ffmpeg to write video with ({error}); pip install imageio-ffmpeg") from error


def _write_with_ffmpeg(out: Path, frames: Iterable[Picture], *, fps: float, count: int, speech: Path | None) -> None:
    first, rest = _first(frames)
    height, width = first.shape[:2]
    rate = Fraction(fps).limit_denominator(1001 * 60)
    padded = (width + width % 2, height + height % 2)
    source = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{padded[0]}x{padded[1]}",
        "-r",
        f"{rate.numerator}/{rate.denominator}",
        "-i",
        "-",
    ]
    command = [ffmpeg_path(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *source]
    if speech is not None:
        command += ["-i", str(speech)]
    command += (
        _gif_options(fps) if out.suffix.lower() == ".gif" else _h264_options(count / float(rate), with_sound=speech is not None)
    )
    with atomic_write(out) as temporary:
        _pipe([*command, str(temporary)], _checked(first, rest, count), out)
        if out.suffix.lower() != ".gif":
            written = _count_frames(temporary)
            if written != count:
                raise OutputError(f"{out} would hold {written} frames, {count} were made; is the disk full?")


def _h264_options(seconds: float, *, with_sound: bool) -> list[str]:
    matrix = "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int"
    options = ["-map", "0:v:0", "-vf", matrix, "-c:v", "libx264", "-preset", "medium", "-crf", _CRF, "-pix_fmt", "yuv420p"]
    options += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    if with_sound:
        sound = f"aresample={AUDIO_RATE},apad=whole_dur={seconds:.6f},atrim=end={seconds:.6f}"
        options += ["-map", "1:a:0", "-af", sound, "-c:a", "aac", "-b:a", "128k", "-ac", "1"]
    return [*options, "-movflags", "+faststart", "-f", "mp4"]


def _gif_options(fps: float) -> list[str]:
    # A GIF counts hundredths of a second and viewers slow down what is faster than 50 frames a second.
    thin = f"fps={_MAX_GIF_FPS:g}," if fps > _MAX_GIF_FPS else ""
    palette = f"{thin}split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse=dither=sierra2_4a:diff_mode=rectangle"
    return ["-filter_complex", palette, "-loop", "0", "-f", "gif"]


def _pipe(command: list[str], frames: Iterator[Picture], out: Path) -> None:
    """Feed frames to ffmpeg; every failure of it is an OutputError with its own last words."""
    with tempfile.TemporaryFile() as words:
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words)
        except OSError as error:
            raise OutputError(f"ffmpeg does not start ({error}); reinstall imageio-ffmpeg") from error
        try:
            with contextlib.suppress(BrokenPipeError):
                stdin = process.stdin
                if stdin is not None:
                    for frame in frames:
                        stdin.write(frame.tobytes())
                    stdin.close()
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
        if code != 0:
            raise OutputError(f"cannot write {out}: ffmpeg ended with code {code}: {_last_words(words)}")


def _last_words(words: IO[bytes]) -> str:
    words.seek(0)
    lines = [line.strip() for line in words.read().decode("utf-8", "replace").splitlines() if line.strip()]
    space = [line for line in lines if "No space left" in line]
    return (space or lines or ["it said nothing"])[-1]


def _count_frames(path: Path) -> int:
    """Frames that a video really holds, by reading it through."""
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    found = re.findall(r"frame=\s*(\d+)", done.stderr)
    return int(found[-1]) if done.returncode == 0 and found else 0


def _write_folder(out: Path, frames: Iterable[Picture], count: int) -> None:
    from PIL import Image

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not an empty folder; choose another place for the pictures")
    first, rest = _first(frames)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        for index, frame in enumerate(_checked(first, rest, count, even=False)):
            Image.fromarray(frame).save(temporary / f"frame_{index:05d}.png", compress_level=3)
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)
        if out.is_dir():
            out.rmdir()
        os.replace(temporary, out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _first(frames: Iterable[Picture]) -> tuple[Picture, Iterator[Picture]]:
    iterator = iter(frames)
    try:
        return next(iterator), iterator
    except StopIteration:
        raise DataError("there is no frame to write; the clip is empty") from None


def _checked(first: Picture, rest: Iterator[Picture], count: int, *, even: bool = True) -> Iterator[Picture]:
    """All frames, each looked at: right shape, and their number; padded to even sizes for `even`."""
    seen = 0
    for frame in _chain(first, rest):
        if frame.dtype != np.uint8 or frame.shape != first.shape or frame.ndim != 3 or frame.shape[2] != 3:
            raise DataError(f"frame {seen} is {frame.dtype} {frame.shape}, the first one is {first.dtype} {first.shape}")
        seen += 1
        height, width = frame.shape[:2]
        if even and (height % 2 or width % 2):
            yield np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        else:
            yield np.ascontiguousarray(frame)
    if seen != count:
        raise DataError(f"{seen} frames came, {count} were announced")


def _chain(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from rest
