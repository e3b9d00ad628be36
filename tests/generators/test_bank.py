"""What is kept in memory for training: choice of sequences, batches, and speech beside its landmarks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.audio.features import speech_encoder
from emovoca_cli.audio.io import load_speech
from emovoca_cli.data.sequences import SequenceEntry
from emovoca_cli.errors import DataError
from emovoca_cli.generators.bank import (
    Batch,
    LandmarkBank,
    SpeechBank,
    choose_entries,
    load_bank,
    one_hots,
    sample_generators,
    training_batch,
    whole_sequence,
)
from emovoca_cli.runtime.processes import Share

from .fakes import FPS, FakeSource

pytestmark = pytest.mark.unit


def entry(talk: str, emotion: str | None, level: float) -> SequenceEntry:
    return SequenceEntry(f"{talk}-{emotion}-{level}", "ann", "train", emotion, level, 10, Path("x.wav"), (), talk)


def test_one_hots() -> None:
    for emotion, level, left, right in (
        (None, 0.0, [0, 0], [0, 0, 0]),
        ("happy", 1.0, [1, 0], [1, 0, 0]),
        ("sad", 3.0, [0, 1], [0, 0, 1]),
        ("sad", 1.5, [0, 1], [0.5, 0.5, 0]),
    ):
        a, b = one_hots(entry("t", emotion, level), ("happy", "sad"))
        np.testing.assert_allclose(a, left)
        np.testing.assert_allclose(b, right)
    with pytest.raises(DataError, match="label 'ill'"):
        one_hots(entry("t", "ill", 1), ("happy",))


@pytest.mark.parametrize("per_clip", [0, 1, 2, 6])
def test_conditions_are_chosen_evenly_and_never_twice(per_clip: int) -> None:
    entries = [
        entry(f"t{clip}", *what) for clip in range(60) for what in [(None, 0.0)] + [(e, k) for e in "ab" for k in (1.0, 2.0, 3.0)]
    ]
    chosen = choose_entries(entries, per_clip=per_clip, seed=0)
    assert len({e.id for e in chosen}) == len(chosen) == 60 * (1 + per_clip)
    counts = Counter((e.emotion, e.intensity) for e in chosen if e.emotion)
    if per_clip:
        assert max(counts.values()) - min(counts.values()) <= 3
    assert Counter(e.talk for e in chosen) == {f"t{clip}": 1 + per_clip for clip in range(60)}
    assert chosen == choose_entries(entries, per_clip=per_clip, seed=0)


@pytest.fixture
def filled(tmp_path: Path) -> tuple[FakeSource, SpeechBank, LandmarkBank]:
    source = FakeSource(tmp_path)
    speech, landmarks = SpeechBank(speech_encoder("logmel"), FPS), LandmarkBank(source)
    for each in source.entries:
        landmarks.add(each)
    load_bank(source.entries, speech, copies=2, seed=0)
    return source, speech, landmarks


def test_the_clean_copy_is_what_the_encoder_says(filled: tuple[FakeSource, SpeechBank, LandmarkBank]) -> None:
    source, speech, landmarks = filled
    first = source.entries[0]
    batch = whole_sequence(first, source.emotions, speech, landmarks)
    truth = speech.encoder.encode(load_speech(first.audio), FPS, first.frames)
    np.testing.assert_allclose(batch.speech[0], truth, atol=0.02)  # half floats
    np.testing.assert_allclose(batch.truth[0], source.landmarks(first), atol=2e-5)
    np.testing.assert_allclose(
        batch.rest[0], (source.template.vertices[source.template.faces[source.template.landmark_faces]]).mean(1), atol=1e-6
    )


def test_loud_frames_are_where_the_landmarks_are_low(filled: tuple[FakeSource, SpeechBank, LandmarkBank]) -> None:
    source, speech, landmarks = filled
    neutral = [e for e in source.entries if e.emotion is None]
    agreement = []
    for step in range(8):
        rngs = sample_generators(0, Share(step), 4)
        batch = training_batch(neutral, source.emotions, speech, landmarks, crop=30, rngs=rngs)
        for row, length in enumerate(batch.lengths):
            if length > 15:
                low = -batch.truth[row, :length, 0, 1]
                agreement.append(np.corrcoef(batch.speech[row, :length].mean(1), low)[0, 1])
    assert np.mean(agreement) > 0.6


def test_batches_are_padded_repeatable_and_cropped(filled: tuple[FakeSource, SpeechBank, LandmarkBank]) -> None:
    source, speech, landmarks = filled
    draw = [
        training_batch(source.entries, source.emotions, speech, landmarks, crop=20, rngs=sample_generators(5, Share(7), 6))
        for _ in range(2)
    ]
    for name in ("speech", "emotion", "intensity", "truth", "rest", "lengths"):
        np.testing.assert_array_equal(getattr(draw[0], name), getattr(draw[1], name))
    batch = draw[0]
    assert batch.speech.shape == (6, int(batch.lengths.max()), 320)
    assert (batch.lengths == 20).all()
    for row, length in enumerate(batch.lengths):
        assert (batch.speech[row, length:] == 0).all()


def test_a_samples_crop_is_the_same_however_a_step_is_shared_out(filled: tuple[FakeSource, SpeechBank, LandmarkBank]) -> None:
    source, speech, landmarks = filled

    def draw(share: Share, size: int) -> Batch:
        rngs = sample_generators(1, share, size)
        return training_batch(source.entries, source.emotions, speech, landmarks, crop=20, rngs=rngs)

    whole, halves = draw(Share(3), 6), [draw(Share(3, part, 2), 3) for part in range(2)]
    for name in ("speech", "emotion", "intensity", "truth"):
        np.testing.assert_array_equal(getattr(whole, name), np.concatenate([getattr(half, name) for half in halves]))


def test_landmarks_that_are_not_finite_are_named(filled: tuple[FakeSource, SpeechBank, LandmarkBank]) -> None:
    source, _, landmarks = filled
    with pytest.raises(DataError, match=source.entries[0].id):
        landmarks.put(source.entries[0], np.full((5, 68, 3), np.nan, np.float16))
