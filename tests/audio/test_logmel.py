"""Log-mel features: where things land in time and frequency, and what loudness and silence do to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.audio.io import frame_count
from emovoca_cli.audio.logmel import BANDS, TAPS, LogMel, active_part, align, band_centres, normalise, spectrogram
from emovoca_cli.errors import UsageError

pytestmark = pytest.mark.unit


def babble(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables: loud and soft, with a changing colour."""
    rng = np.random.default_rng(seed)
    count = round(seconds * 16000)
    time = np.arange(count) / 16000
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * time)
    hum = np.sin(2 * np.pi * 150 * time) + 0.3 * np.sin(2 * np.pi * 900 * time * (1 + 0.1 * np.sin(time)))
    return (0.2 * syllables * (hum + 0.05 * rng.normal(size=count))).astype(np.float32)


@pytest.mark.parametrize("hz", [200.0, 700.0, 1500.0, 3000.0, 6000.0])
def test_a_tone_lights_its_band(hz: float) -> None:
    tone = np.sin(2 * np.pi * hz * np.arange(16000) / 16000).astype(np.float32)
    band = spectrogram(tone)[20:80].mean(axis=0).argmax()
    assert band == np.abs(band_centres() - hz).argmin()


@settings(max_examples=40, deadline=None)
@given(st.floats(0.15, 1.8), st.sampled_from([24.0, 25.0, 30.0, 60.0]))
def test_an_impulse_shows_in_its_frame(seconds: float, fps: float) -> None:
    speech = np.zeros(32000, dtype=np.float32)
    speech[round(seconds * 16000)] = 1.0
    frames = frame_count(len(speech), fps)
    mels = align(spectrogram(speech), fps, frames)
    energy = 10 ** (mels / 10)
    centre = (energy.sum(axis=1) * np.arange(frames)).sum() / energy.sum()
    assert abs(centre - seconds * fps) < 0.5
    assert abs(int(energy.sum(axis=1).argmax()) - seconds * fps) <= 1


def test_taps_lose_nothing_at_30_fps() -> None:
    rng = np.random.default_rng(1)
    mels = rng.normal(size=(101, BANDS)).astype(np.float32)
    taps = align(mels, 25.0, 25).reshape(25 * TAPS, BANDS)  # at 25 fps the four taps are 10 ms apart: half-way between mel rows
    np.testing.assert_allclose(taps[2:-2], (mels[:-1] + mels[1:])[0:98][2 - 2 : 96] / 2, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.001, 3.0))
def test_loudness_does_not_matter(gain: float) -> None:
    speech = babble(1.0)
    encoder = LogMel()
    np.testing.assert_allclose(encoder.encode(speech * np.float32(gain), 30.0, 30), encoder.encode(speech, 30.0, 30), atol=0.02)


def test_silence_around_speech_changes_neither_speech_nor_length() -> None:
    speech = babble(2.0)
    padded = np.concatenate([np.zeros(16000, np.float32), speech, np.zeros(8000, np.float32)])
    encoder = LogMel()
    alone, inside = encoder.encode(speech, 30.0, 60), encoder.encode(padded, 30.0, 105)
    assert inside.shape == (105, 320)
    assert np.abs(inside[33:87] - alone[3:57]).mean() < 0.25  # up to the margins of the active part
    quiet = inside[:25]
    np.testing.assert_allclose(quiet, np.broadcast_to(quiet[0], quiet.shape), atol=1e-5)
    assert quiet.mean() < inside[33:87].mean() - 1


def test_active_part_finds_speech_in_room_noise_and_ignores_a_click() -> None:
    rng = np.random.default_rng(0)
    speech = np.concatenate([np.zeros(16000, np.float32), babble(1.0), np.zeros(16000, np.float32)])
    speech += 1e-4 * rng.normal(size=len(speech)).astype(np.float32)
    speech[4000] = 0.5
    start, end = active_part(spectrogram(speech))
    assert 80 <= start <= 100
    assert 200 <= end <= 220


def test_statistics_are_those_of_the_active_part() -> None:
    speech = np.concatenate([np.zeros(16000, np.float32), babble(1.0)])
    mels = spectrogram(speech)
    start, end = active_part(mels)
    scaled = normalise(mels)[start:end]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    assert (scaled.std(axis=0) < 1.001).all()


def test_shortest_and_constant_inputs_stay_finite() -> None:
    encoder = LogMel()
    for speech in (np.full(1600, 0.1, np.float32), babble(0.1), np.eye(1, 1700, 800, dtype=np.float32)[0]):
        features = encoder.encode(speech, 30.0, 3)
        assert features.shape == (3, 320)
        assert np.isfinite(features).all()


def test_names() -> None:
    encoder = speech_encoder("logmel")
    assert (encoder.name, encoder.dim) == ("logmel", 320)
    with pytest.raises(UsageError, match="unknown speech encoder 'mfcc'"):
        speech_encoder("mfcc")
