"""Augmentation of speech that knows where the lips have to be afterwards.

Recordings are changed in ways that keep their timing, or change it by a known speed and lead; spectrograms are changed on the fly.
A model that hears only synthetic voices needs all of it to follow a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from scipy.signal import fftconvolve

from emovoca_cli.audio.logmel import BANDS, band_centres, hz_to_mel
from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.types import Float

SPEEDS = (0.88, 1.14)
PAD_SECONDS = 1.0
NOISE_DB = (8.0, 45.0)
WARP = (0.9, 1.12)
FLOORS = (45.0, 65.0)


@dataclass(frozen=True)
class Timing:
    """How a changed recording lies against the original: original time = (time - lead) x speed, in seconds."""

    speed: float = 1.0
    lead: float = 0.0

    def positions(self, frames: int, fps: float) -> Float:
        """Where frames 0..frames-1 of the changed recording lie in the original's frames (fractional, may lie outside)."""
        return np.asarray((np.arange(frames) / fps - self.lead) * self.speed * fps, dtype=np.float32)


def augment_wave(speech: Float, rng: np.random.Generator) -> tuple[Float, Timing]:
    """A changed copy of (N,) 16 kHz speech (speed, pitch, silence around it, room, equaliser, noise, clipping) and its timing."""
    speed = float(rng.uniform(*SPEEDS)) if rng.random() < 0.6 else 1.0
    wave = speech if speed == 1.0 else soxr.resample(speech, SAMPLE_RATE * speed, SAMPLE_RATE)
    lead, tail = rng.uniform(0, PAD_SECONDS, 2) * (rng.random(2) < 0.7)
    wave = np.pad(wave, (round(lead * SAMPLE_RATE), round(tail * SAMPLE_RATE)))
    if rng.random() < 0.5:
        wave = _room(wave, rng)
    wave = _equalise(wave, rng)
    wave = wave / max(1e-6, float(np.abs(wave).max()))
    if rng.random() < 0.8:
        wave = wave + _noise(wave, rng)
    if rng.random() < 0.3:
        drive = rng.uniform(1.0, 4.0)
        wave = np.tanh(drive * wave) / drive
    return np.asarray(wave, dtype=np.float32), Timing(speed, round(lead * SAMPLE_RATE) / SAMPLE_RATE)


def _room(wave: Float, rng: np.random.Generator) -> Float:
    # exponentially decaying noise behind an undelayed direct sound, so that the lips stay on time
    seconds = rng.uniform(0.1, 0.5)
    count = int(seconds * SAMPLE_RATE)
    decay = np.exp(-6.9 * np.arange(count) / count)
    response = rng.normal(size=count) * decay
    response *= rng.uniform(0.1, 0.6) / np.sqrt((response**2).sum())
    response[0] = 1.0
    return np.asarray(fftconvolve(wave, response)[: len(wave)], dtype=np.float32)


def _equalise(wave: Float, rng: np.random.Generator) -> Float:
    spectrum = np.fft.rfft(wave)
    hz = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    octaves = np.log2(np.maximum(hz, 40.0) / 40.0)  # 0 .. 7.6
    gain = np.interp(octaves, np.linspace(0, 8, 6), rng.normal(0, 4, 6))
    if rng.random() < 0.5:
        low, high = rng.uniform(60, 300), rng.uniform(3400, 8000)
        gain -= 12 * np.maximum(0, np.log2(low / np.maximum(hz, 1.0))) + 24 * np.maximum(0, np.log2(np.maximum(hz, 1.0) / high))
    return np.asarray(np.fft.irfft(spectrum * 10 ** (gain / 20), len(wave)), dtype=np.float32)


def _noise(wave: Float, rng: np.random.Generator) -> Float:
    spectrum = np.fft.rfft(rng.normal(size=len(wave)))
    hz = np.maximum(np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE), 50.0)
    noise = np.fft.irfft(spectrum * hz ** -rng.uniform(0, 1), len(wave))
    level = np.sqrt((wave**2).mean() / max(1e-12, float((noise**2).mean()))) * 10 ** (-rng.uniform(*NOISE_DB) / 20)
    return np.asarray(noise * level, dtype=np.float32)


def augment_mels(decibels: Float, rng: np.random.Generator) -> Float:
    """Another vocal tract and another microphone: warp (M,80) dB along frequency and add a smooth gain over the bands."""
    centres = band_centres()
    mels = hz_to_mel(centres)
    warped = hz_to_mel(centres * np.float32(rng.uniform(*WARP)))
    position = np.clip((warped - mels[0]) / (mels[1] - mels[0]), 0, BANDS - 1)
    lower = np.minimum(position.astype(np.int64), BANDS - 2)
    share = position - lower
    gain = np.interp(np.arange(BANDS), np.linspace(0, BANDS - 1, 5), rng.normal(0, 4, 5))
    return np.asarray(decibels[:, lower] * (1 - share) + decibels[:, lower + 1] * share + gain, dtype=np.float32)


def mask_features(features: Float, bands: int, rng: np.random.Generator) -> Float:
    """SpecAugment on (T, taps x bands) features: some bands and some short times are blanked (set to 0, the mean)."""
    masked = features.reshape(len(features), -1, bands).copy()  # (T,taps,bands)
    for _ in range(int(rng.integers(0, 3))):
        width = int(rng.integers(1, max(2, bands // 8)))
        start = int(rng.integers(0, bands - width + 1))
        masked[:, :, start : start + width] = 0
    for _ in range(int(rng.integers(0, 3))):
        length = int(rng.integers(1, 4))
        start = int(rng.integers(0, max(1, len(masked) - length)))
        masked[start : start + length] = 0
    return masked.reshape(features.shape)
