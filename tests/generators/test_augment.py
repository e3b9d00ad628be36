"""Augmentation keeps lips and sound together."""

from __future__ import annotations

import numpy as np
import pytest

from emovoca_cli.audio.logmel import BANDS, spectrogram
from emovoca_cli.generators.augment import Timing, augment_mels, augment_wave, mask_features
from emovoca_cli.generators.tracks import retime

pytestmark = pytest.mark.unit


def bursts(at: list[float], seconds: float = 2.0) -> np.ndarray:
    """Noise bursts of 40 ms centred at the given times."""
    rng = np.random.default_rng(0)
    wave = np.zeros(round(seconds * 16000), np.float32)
    for time in at:
        start = round((time - 0.02) * 16000)
        wave[start : start + 640] = 0.3 * rng.normal(size=640)
    return wave


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_recording_is_where_its_timing_says(seed: int) -> None:
    original = [0.4, 0.9, 1.5]
    wave, timing = augment_wave(bursts(original), np.random.default_rng(seed))
    assert np.isfinite(wave).all()
    energy = (10 ** (spectrogram(wave) / 10)).sum(1)
    for time in original:
        place = (time / timing.speed + timing.lead) * 100
        around = energy[int(place) - 12 : int(place) + 13]
        assert abs(int(around.argmax()) - 12) <= 4  # within a burst's length, reverberation or not
        assert around.max() > 3 * np.median(energy)
    assert timing.positions(3, 30.0)[0] == pytest.approx(-timing.lead * timing.speed * 30)


def test_copies_repeat_with_their_seed_and_differ_between_seeds() -> None:
    wave = bursts([0.5])
    first, again = (augment_wave(wave, np.random.default_rng(3))[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other, _ = augment_wave(wave, np.random.default_rng(4))
    assert len(other) != len(first) or np.abs(other - first).max() > 1e-3


def test_retime_is_linear_between_frames_and_holds_the_ends() -> None:
    track = np.arange(5, dtype=np.float32)[:, None] * np.float32([1, 10])
    moved = retime(track, np.float32([-2, 0, 1.5, 3.25, 4, 9]))
    np.testing.assert_allclose(moved, np.float32([0, 0, 1.5, 3.25, 4, 4])[:, None] * np.float32([1, 10]), rtol=1e-6)
    np.testing.assert_array_equal(retime(track[:1], np.float32([0, 3])), track[[0, 0]])


def test_retimed_targets_stand_at_the_changed_times() -> None:
    timing = Timing(speed=2.0, lead=0.5)
    track = np.arange(31, dtype=np.float32)  # a second at 30 fps
    moved = retime(track, timing.positions(40, 30.0))
    assert (moved[:16] == 0).all()
    assert moved[20] == pytest.approx(2 * 5)
    assert (moved[30:] == 30).all()


def test_mel_changes_keep_time_and_size() -> None:
    mels = np.zeros((50, BANDS), np.float32)
    mels[20] = 40.0
    changed = augment_mels(mels, np.random.default_rng(0))
    np.testing.assert_allclose(changed[20] - changed[0], 40.0, atol=1e-3)
    peak = np.zeros((3, BANDS), np.float32)
    peak[:, 40] = 100.0
    places = {int(augment_mels(peak, np.random.default_rng(seed))[0].argmax()) for seed in range(20)}
    assert len(places) > 3
    assert all(abs(place - 40) <= 6 for place in places)


def test_masks_blank_whole_bands_and_short_times_only() -> None:
    features = np.ones((60, 4 * BANDS), np.float32)
    masked = mask_features(features, BANDS, np.random.default_rng(1)).reshape(60, 4, BANDS)
    rows = np.flatnonzero((masked == 0).all(axis=(1, 2)))
    bands = np.flatnonzero((masked == 0).all(axis=(0, 1)))
    assert len(rows) <= 6
    assert len(bands) <= 20
    rest = np.delete(np.delete(masked, rows, 0), bands, 2)
    assert (rest == 1).all()
    assert (features == 1).all()
