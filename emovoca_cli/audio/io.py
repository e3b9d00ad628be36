"""Reading speech: any file libsndfile knows becomes mono float32 at 16 kHz, or a named error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.types import Float

SHORTEST_SECONDS = 0.1
PIECE = 1 << 20
"""Samples that are read at a time."""
SILENCE_DB = -60.0
"""A recording whose peak stays under this level (dB of full scale) holds no speech to follow."""


def load_speech(path: Path) -> Float:
    """Read a speech file (wav, flac, ogg, mp3, any rate, mono or stereo) as (N,) mono float32 at 16 kHz.

    Raises UsageError for a missing file; DataError for one that is empty, not audio, too short, non-finite or silent.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"{path} does not exist; give a speech recording (wav, flac, ogg or mp3)")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give one speech recording (wav, flac, ogg or mp3)")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes); give a speech recording (wav, flac, ogg or mp3)")
        samples, rate = _read(path)
    except PermissionError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (soundfile.LibsndfileError, OSError, RuntimeError, ValueError) as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise DataError(f"{path} is not audio that can be read ({reason}); convert it to wav, flac, ogg or mp3") from error
    return prepare_speech(samples, rate, name=str(path))


def _read(path: Path) -> tuple[Float, int]:
    """Samples (N,C) and their rate, in pieces: a header may promise more than memory holds, the file ends where it ends."""
    with soundfile.SoundFile(str(path)) as stream:
        pieces = [np.zeros((0, stream.channels), np.float32)]
        while len(piece := stream.read(PIECE, dtype="float32", always_2d=True)):
            pieces.append(piece)
        return np.concatenate(pieces), int(stream.samplerate)


def prepare_speech(samples: Float, rate: int, *, name: str = "the recording") -> Float:
    """Mix (N,C) or (N,) samples at `rate` Hz down to (N,) mono float32 at 16 kHz, with the checks of `load_speech`."""
    mono = np.asarray(samples, dtype=np.float32)
    # a voice on one side only halves its level under a plain mean, and the features do not depend on the level
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    seconds = len(mono) / rate
    if seconds < SHORTEST_SECONDS:
        raise DataError(f"{name} lasts {seconds:.3f} s, at least {SHORTEST_SECONDS} s is needed; give a longer recording")
    if not np.isfinite(mono).all():
        raise DataError(f"{name} holds {int((~np.isfinite(mono)).sum())} samples that are not numbers; export it again")
    if np.abs(mono).max() < 10 ** (SILENCE_DB / 20):
        raise DataError(f"{name} is silent (peak under {SILENCE_DB:.0f} dB of full scale); give a recording with speech in it")
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.ascontiguousarray(mono, dtype=np.float32)


def frame_count(samples: int, fps: float) -> int:
    """Video frames that belong to `samples` of 16 kHz speech: round(duration x fps), at least one."""
    return max(1, round(samples / SAMPLE_RATE * fps))
