"""Log-mel speech features that need no download: what the shipped generators listen to.

80 bands at 100 frames a second (25 ms window, 10 ms hop), floored 60 dB below the utterance's level, normalised over the part
of the recording in which somebody speaks, then stacked in four taps a video frame so that nothing is lost between frames.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft

from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.types import Float

BANDS = 80
HOP = SAMPLE_RATE // 100
WINDOW = SAMPLE_RATE // 40
FFT = 1024
"""Longer than the window: below 300 Hz the mel bands are narrower than the bins of a 512-point transform."""
MEL_RATE = SAMPLE_RATE / HOP
LOWEST_HZ, HIGHEST_HZ = 40.0, 7800.0
FLOOR_DB = 60.0
ACTIVE_DB = 35.0
"""Speech is looked for within this many dB of the utterance's level."""
MARGIN = 12
"""Mel frames kept on each side of the active part: weak onsets such as f or h lie under the threshold."""
TAPS = 4
ROWS = 6000
"""Rows (a minute) transformed at once: an hour of speech would take gigabytes in one piece."""


def hz_to_mel(hz: Float) -> Float:
    """Frequencies in Hz to mels (2595 log10(1 + f/700))."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hz) / 700.0), dtype=np.float32)


def mel_to_hz(mel: Float) -> Float:
    """Mels to frequencies in Hz."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mel) / 2595.0) - 1.0), dtype=np.float32)


def band_centres() -> Float:
    """Centre frequencies (80,) of the mel bands in Hz, with equal steps in mel."""
    ends = hz_to_mel(np.array([LOWEST_HZ, HIGHEST_HZ], dtype=np.float32))
    return mel_to_hz(np.linspace(ends[0], ends[1], BANDS + 2, dtype=np.float32)[1:-1])


@cache
def _filters() -> Float:
    ends = hz_to_mel(np.array([LOWEST_HZ, HIGHEST_HZ], dtype=np.float32))
    corners = mel_to_hz(np.linspace(ends[0], ends[1], BANDS + 2, dtype=np.float32))
    bins = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).T.astype(np.float32)


def spectrogram(speech: Float) -> Float:
    """Mel power in dB, (M,80): row m is centred at m x 10 ms, M = N // 160 + 1. Not yet floored or normalised."""
    half = WINDOW // 2
    padded = np.pad(np.asarray(speech, dtype=np.float32), (half, half + HOP))
    count = len(speech) // HOP + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: count * HOP : HOP]
    decibels = np.empty((count, BANDS), dtype=np.float32)
    for start in range(0, count, ROWS):
        decibels[start : start + ROWS] = mel_decibels(frames[start : start + ROWS])
    return decibels


def mel_decibels(frames: Float) -> Float:
    """Mel power in dB (M,80) of stretches of speech (M,400), each under a Hann window."""
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(rfft(frames * window, FFT, axis=1)) ** 2
    return np.asarray(10.0 * np.log10(power @ _filters() + 1e-14), dtype=np.float32)


def active_part(decibels: Float) -> tuple[int, int]:
    """First and one-past-last row of (M,80) dB that belong to speech, margins included; the whole when there is none."""
    energy = decibels.max(axis=1)
    loud = energy > np.percentile(energy, 98) - ACTIVE_DB
    # three rows together: a click is not speech
    steady = np.convolve(loud, np.ones(3), "same") >= 3 if len(loud) >= 3 else loud
    rows = np.flatnonzero(steady)
    if len(rows) == 0:
        return 0, len(decibels)
    return max(0, int(rows[0]) - 1 - MARGIN), min(len(decibels), int(rows[-1]) + 2 + MARGIN)


def normalise(decibels: Float, *, floor: float = FLOOR_DB) -> Float:
    """Floor (M,80) dB under the utterance's level and scale each band to mean 0, deviation 1 over the active part; (M,80).

    Rows outside the active part stay, at the floor: silence keeps its length, and room noise there moves no lips.
    """
    level = np.percentile(decibels.max(axis=1), 99)
    start, end = active_part(decibels)
    lifted = np.maximum(decibels, level - floor)
    lifted[:start] = level - floor
    lifted[end:] = level - floor
    speaking = lifted[start:end]
    deviation = np.maximum(speaking.std(axis=0), 3.0)  # dB: a band that hardly moves is not blown up
    lifted -= speaking.mean(axis=0)
    lifted /= deviation
    return np.asarray(lifted, dtype=np.float32)


def align(mels: Float, fps: float, frames: int, *, first: int = 0, row: int = 0) -> Float:
    """Stack four interpolated taps of (M,80) rows around each video frame's time i/fps; (frames,320).

    The taps lie one quarter frame apart and centred on the frame, so that the frames together see all of the recording.
    first: the first frame that is wanted; row: which row of the recording `mels` begins with.
    """
    stacked = np.empty((frames, TAPS * mels.shape[1]), dtype=np.float32)
    for start in range(0, frames, ROWS):
        count = min(ROWS, frames - start)
        position = np.clip(taps(first + start, count, fps) - row, 0, len(mels) - 1).reshape(-1)
        lower = np.minimum(position.astype(np.int64), max(0, len(mels) - 2))
        upper = np.minimum(lower + 1, len(mels) - 1)
        share = (position - lower).astype(np.float32)[:, None]
        rows = mels[lower] * (1 - share) + mels[upper] * share  # (frames x taps, 80)
        stacked[start : start + count] = rows.reshape(count, -1)
    return stacked


def taps(first: int, count: int, fps: float) -> NDArray[np.float64]:
    """Where in the rows of a recording the taps of `count` video frames from `first` on lie, (count,4); may lie outside."""
    offsets = (np.arange(TAPS) - (TAPS - 1) / 2) / TAPS
    return np.asarray((first + np.arange(count)[:, None] + offsets) / fps * MEL_RATE, dtype=np.float64)


class LogMel:
    """The built-in speech encoder: (N,) speech to (frames,320), see `emovoca_cli.audio.features.SpeechEncoder`."""

    name = "logmel"
    dim = TAPS * BANDS

    def encode(self, speech: Float, fps: float, frames: int) -> Float:
        """Features (frames,320) of (N,) 16 kHz speech, row i at time i/fps."""
        return align(normalise(spectrogram(speech)), fps, frames)
