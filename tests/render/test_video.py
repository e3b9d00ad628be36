"""Videos hold what they should, as ffmpeg itself reads them, and failures leave nothing behind."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from emovoca_cli.errors import DataError, OutputError, UsageError
from emovoca_cli.render import video
from emovoca_cli.render.sheet import contact_sheet
from emovoca_cli.render.video import Picture, ffmpeg_path, save_picture, write_frames

pytestmark = pytest.mark.unit


def moving(count: int, height: int = 64, width: int = 80) -> Iterator[Picture]:
    for index in range(count):
        frame = np.full((height, width, 3), 60, np.uint8)
        frame[:, : 1 + index % width] = (200, 120, 60)
        yield frame


def about(path: Path) -> str:
    return subprocess.run([ffmpeg_path(), "-hide_banner", "-i", str(path)], capture_output=True, text=True, check=False).stderr


def seconds(text: str) -> float:
    hours, minutes, rest = re.search(r"Duration: (\d+):(\d+):([\d.]+)", text).groups()  # type: ignore[union-attr]
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def decoded(path: Path, height: int, width: int) -> Picture:
    command = [ffmpeg_path(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def speech(path: Path, length: float, rate: int = 22050) -> Path:
    time = np.arange(int(length * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 220 * time), rate)
    return path


@pytest.mark.parametrize(("fps", "count", "length"), [(30.0, 45, 2.3), (25.0, 20, 0.3), (29.97, 30, 1.0), (60.0, 61, 1.0)])
def test_a_video_is_h264_with_aac_and_lasts_frames_over_fps(tmp_path: Path, fps: float, count: int, length: float) -> None:
    out = tmp_path / "out.mp4"
    write_frames(out, moving(count), fps=fps, count=count, speech=speech(tmp_path / "s.wav", length))
    text = about(out)
    assert "Video: h264" in text
    assert "yuv420p" in text
    assert "Audio: aac" in text
    assert "48000 Hz" in text
    assert f"{fps:g} fps" in text
    assert abs(seconds(text) - count / fps) < 0.011
    frames = decoded(out, 64, 80)
    assert len(frames) == count
    for frame, original in zip(frames, moving(count), strict=True):
        assert np.abs(frame.astype(int) - original).mean() < 6
    assert out.read_bytes().find(b"moov") < out.read_bytes().find(b"mdat")


def test_sound_starts_with_the_picture(tmp_path: Path) -> None:
    """A click at 0.5 s is heard at 0.5 s."""
    rate = 16000
    click = np.zeros(rate)
    click[rate // 2 : rate // 2 + 80] = 0.9
    soundfile.write(tmp_path / "click.flac", click, rate)
    write_frames(tmp_path / "out.mp4", moving(30), fps=30, count=30, speech=tmp_path / "click.flac")
    command = [ffmpeg_path(), "-v", "error", "-i", str(tmp_path / "out.mp4"), "-f", "f32le", "-ac", "1", "-ar", "16000", "-"]
    heard = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)
    assert abs(int(np.argmax(np.abs(heard))) - (rate // 2 + 40)) < 0.01 * rate


def test_odd_sizes_grow_by_a_pixel_and_silence_needs_no_sound(tmp_path: Path) -> None:
    write_frames(tmp_path / "odd.mp4", moving(3, 33, 51), fps=30, count=3)
    text = about(tmp_path / "odd.mp4")
    assert "52x34" in text
    assert "Audio" not in text


def test_a_gif_moves_and_a_folder_holds_every_frame(tmp_path: Path) -> None:
    write_frames(tmp_path / "out.gif", moving(10), fps=10, count=10)
    with Image.open(tmp_path / "out.gif") as gif:
        assert gif.n_frames == 10
        assert gif.info["duration"] == 100
    write_frames(tmp_path / "frames", moving(4), fps=30, count=4)
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"frame_{index:05d}.png" for index in range(4)]
    for file, frame in zip(files, moving(4), strict=True):
        assert np.array_equal(np.asarray(Image.open(file)), frame)
    with pytest.raises(UsageError, match="not an empty folder"):
        write_frames(tmp_path / "frames", moving(4), fps=30, count=4)


def test_an_unknown_suffix_a_bad_rate_and_wrong_frames_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write frames as \.avi"):
        write_frames(tmp_path / "x.avi", moving(2), fps=30, count=2)
    with pytest.raises(UsageError, match="fps is 0"):
        write_frames(tmp_path / "x.mp4", moving(2), fps=0, count=2)
    with pytest.raises(DataError, match="3 frames came, 4 were announced"):
        write_frames(tmp_path / "x.mp4", moving(3), fps=30, count=4)
    with pytest.raises(DataError, match="no frame"):
        write_frames(tmp_path / "x.mp4", iter(()), fps=30, count=0)
    odd = iter([*moving(1), *moving(1, 32, 32)])
    with pytest.raises(DataError, match="frame 1 is"):
        write_frames(tmp_path / "x.mp4", odd, fps=30, count=2)
    assert list(tmp_path.iterdir()) == []


def test_sound_that_is_none_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"this is not sound")
    with pytest.raises(OutputError, match="ffmpeg ended with code"):
        write_frames(tmp_path / "out.mp4", moving(30), fps=30, count=30, speech=bad)
    assert list(tmp_path.iterdir()) == [bad]


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "frames"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    resource = pytest.importorskip("resource", reason="this system has no file size limits")
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (128, 128, 3), dtype=np.uint8) for _ in range(12)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot write"):
            write_frames(tmp_path / name, iter(frames), fps=30, count=12)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_lost_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "_count_frames", lambda _: 7)
    with pytest.raises(OutputError, match="would hold 7 frames, 9 were made"):
        write_frames(tmp_path / "out.mp4", moving(9), fps=30, count=9)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_frame_stops_the_video_with_its_own_error(tmp_path: Path) -> None:
    def failing() -> Iterator[Picture]:
        yield from moving(3)
        raise DataError("frame 3 is bad")

    with pytest.raises(DataError, match="frame 3 is bad"):
        write_frames(tmp_path / "out.mp4", failing(), fps=30, count=10)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        write_frames(tmp_path / "file" / "out.mp4", moving(2), fps=30, count=2)
    with pytest.raises(OutputError, match="cannot write"):
        save_picture(tmp_path / "file" / "out.png", next(moving(1)))


def test_a_contact_sheet_holds_every_picture_in_order() -> None:
    pictures = [np.full((40, 60, 3), shade, np.uint8) for shade in (50, 100, 150, 200, 250)]
    sheet = contact_sheet(pictures, columns=3, gap=2)
    assert sheet.shape == (2 * 40 + 2, 3 * 60 + 4, 3)
    for index, shade in enumerate((50, 100, 150, 200, 250)):
        row, column = divmod(index, 3)
        assert (sheet[row * 42 : row * 42 + 40, column * 62 : column * 62 + 60] == shade).all()
    labelled = contact_sheet(pictures, list("abcde"))
    assert labelled.shape[0] > 40
    assert labelled[40:].max() > 180
    with pytest.raises(UsageError, match="2 labels for 5 pictures"):
        contact_sheet(pictures, ["a", "b"])
    with pytest.raises(UsageError, match="at least one"):
        contact_sheet([])
