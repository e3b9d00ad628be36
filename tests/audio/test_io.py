"""Reading speech files: every kind, and one named error for each way a file can be bad."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emovoca_cli.audio.io import frame_count, load_speech, prepare_speech
from emovoca_cli.errors import DataError, UsageError
from tests.helpers import peak_memory

pytestmark = pytest.mark.unit


def tone(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_of_file_becomes_the_same_tone(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.tile(tone(1.0, rate)[:, None], (1, channels)), rate)
    speech = load_speech(path)
    assert speech.dtype == np.float32
    assert speech.ndim == 1
    assert abs(len(speech) - 16000) < 2000  # mp3 pads its ends
    middle = speech[4000:12000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() * 16000 / len(middle) - 440) < 3
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_channels_are_averaged() -> None:
    left, right = tone(0.5, 16000), np.zeros(8000, dtype=np.float32)
    np.testing.assert_allclose(prepare_speech(np.stack([left, right], 1), 16000), left / 2)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (None, UsageError, "does not exist"),
        ("folder", UsageError, "is a folder"),
        (b"", DataError, "is empty"),
        (b"this is no sound at all, only words", DataError, "is not audio"),
        (np.zeros(16000, np.float32), DataError, "is silent"),
        (np.full(16000, 5e-4, np.float32), DataError, "is silent"),
        (tone(0.05, 16000), DataError, "lasts 0.050 s"),
        (np.r_[tone(0.5, 16000), np.float32(np.nan)], DataError, "1 samples that are not numbers"),
        (np.r_[tone(0.5, 16000), np.float32([np.inf, -np.inf])], DataError, "2 samples that are not numbers"),
        (np.zeros(0, np.float32), DataError, "lasts 0.000 s"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: object, error: type[Exception], words: str) -> None:
    path = tmp_path / "bad.wav"
    if isinstance(content, str):
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        soundfile.write(path, content, 16000, subtype="FLOAT")
    with pytest.raises(error, match=words) as caught:
        load_speech(path)
    assert "\n" not in str(caught.value)
    assert "bad.wav" in str(caught.value)


def test_a_length_that_a_header_merely_claims_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(1.0, 16000), 16000)
    whole = load_speech(path)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the upper bits of the 36 that count samples: 68 billion of them
    path.write_bytes(content)
    assert soundfile.info(str(path)).frames > 1 << 35
    with peak_memory() as peak, contextlib.suppress(DataError):  # some versions of libsndfile do not read such a file at all
        np.testing.assert_array_equal(load_speech(path), whole)
    assert peak() < 1 << 25


def test_a_cut_off_flac_is_not_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(1.0, 16000), 16000)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match="is not audio"):
        load_speech(path)


@pytest.mark.parametrize(("samples", "fps", "frames"), [(16000, 30, 30), (16000, 60, 60), (17000, 30, 32), (1, 30, 1)])
def test_frame_count(samples: int, fps: float, frames: int) -> None:
    assert frame_count(samples, fps) == frames
