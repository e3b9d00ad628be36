"""Log-mel features of live speech: the same however it is cut, near those of the recording, at rest in noise and silence."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.audio.io import frame_count, load_speech
from emovoca_cli.audio.live import LiveLogMel
from emovoca_cli.audio.logmel import LogMel
from emovoca_cli.audio.pcm import PcmReader
from emovoca_cli.constants import SAMPLE_RATE
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

pytestmark = pytest.mark.unit
SPEECH = load_speech(Path(__file__).resolve().parents[2] / "examples" / "speech.wav")


def features(pieces: list[Float], fps: float = 30.0) -> Float:
    """Each frame's features right after its step."""
    live, rows = LiveLogMel(fps, keep=4), []

    def drain() -> None:
        while live.frames < live.ready:
            live.step()
            rows.append(live.window(live.frames - 1, live.frames)[0])

    for piece in pieces:
        live.hear(piece)
        drain()
    live.close()
    drain()
    return np.stack(rows)


@given(cuts=st.lists(st.integers(0, 24_000), max_size=12), fps=st.sampled_from([24.0, 29.97, 30.0, 60.0]))
@settings(max_examples=12, deadline=None)
def test_bit_for_bit_the_same_however_the_speech_is_cut(cuts: list[int], fps: float) -> None:
    speech = SPEECH[8000:32_000]
    whole = features([speech], fps)
    assert len(whole) == frame_count(len(speech), fps)
    np.testing.assert_array_equal(features(np.split(speech, sorted(cuts)), fps), whole)


def test_they_approach_those_of_the_recording() -> None:
    truth = LogMel().encode(SPEECH, 30.0, frame_count(len(SPEECH), 30.0))
    wrong = np.sqrt(((features([SPEECH]) - truth) ** 2).mean(axis=1))  # the truth's own is 1
    assert wrong[:30].mean() < 0.5
    assert wrong[90:].mean() < 0.25
    assert wrong[90:].mean() < 0.6 * wrong[:30].mean()


def test_only_what_was_heard_counts() -> None:
    later = SPEECH.copy()
    later[40_000:] = 0.3 * np.random.default_rng(0).normal(size=len(later) - 40_000)
    heard = int((40_000 / SAMPLE_RATE - LiveLogMel.reach(30.0, ahead=0)) * 30)
    np.testing.assert_array_equal(features([later])[:heard], features([SPEECH])[:heard])
    assert not np.array_equal(features([later])[heard + 3], features([SPEECH])[heard + 3])


def test_a_window_is_the_frames_of_a_longer_one() -> None:
    live = LiveLogMel(30.0, keep=30)
    live.hear(SPEECH)
    for _ in range(60):
        live.step()
    whole = live.window(32, 60)
    np.testing.assert_allclose(live.window(45, 52), whole[13:20], atol=1e-5)


def test_noise_before_the_first_word_is_silence_and_does_not_teach_the_voice() -> None:
    rng = np.random.default_rng(0)
    noise = (10 ** (-55 / 20) * rng.normal(size=8 * SAMPLE_RATE)).astype(np.float32)
    live = LiveLogMel(30.0, keep=4)
    live.hear(noise)
    while live.frames < live.ready:
        live.step()
    quiet = live.window(live.frames - 4, live.frames)
    assert quiet.max() < 0, "a room's hiss looks like less than speech in every band"
    with_noise, plain = features([noise, SPEECH])[-120:], features([SPEECH])[-120:]
    assert np.sqrt(((with_noise - plain) ** 2).mean()) < 0.35


def test_a_quiet_speaker_is_heard_like_a_loud_one() -> None:
    loud, quiet = features([SPEECH]), features([SPEECH * np.float32(0.1)])
    assert np.sqrt(((quiet - loud)[60:] ** 2).mean()) < 0.3


@pytest.mark.parametrize("count", [1, 100, 159, 400, 1067])
def test_a_stream_shorter_than_a_window_ends_well(count: int) -> None:
    rows = features([SPEECH[20_000 : 20_000 + count]])
    assert rows.shape == (frame_count(count, 30.0), LogMel.dim)
    assert np.isfinite(rows).all()


@given(cuts=st.lists(st.integers(0, 20_000), max_size=8), rate=st.sampled_from([8000, 16_000, 44_100]))
@settings(max_examples=12, deadline=None)
def test_bytes_become_the_same_samples_however_they_are_cut(cuts: list[int], rate: int) -> None:
    samples = np.random.default_rng(0).integers(-20_000, 20_000, size=10_000).astype("<i2")
    data, reader = samples.tobytes(), PcmReader(rate)
    edges = [0, *sorted(cuts), len(data)]
    parts = [reader.read(data[start:end]) for start, end in pairwise(edges)]
    seen = np.concatenate([*parts, reader.read(b"", last=True)])
    truth = samples.astype(np.float32) / 32768
    np.testing.assert_allclose(seen, truth if rate == SAMPLE_RATE else soxr.resample(truth, rate, SAMPLE_RATE), atol=1e-6)
    assert not reader.odd


def test_half_a_sample_waits_for_its_other_half() -> None:
    reader = PcmReader(16_000)
    assert reader.read(b"\x00").tolist() == []
    assert reader.odd
    assert reader.read(b"\x40\x00").tolist() == [0.5]
    assert reader.odd


def test_a_rate_that_no_sound_has() -> None:
    with pytest.raises(UsageError, match="the rate is 3 Hz"):
        PcmReader(3)
