"""The emotion track and the one-hots that it becomes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emovoca_cli.animation.cues import parse_timeline
from emovoca_cli.animation.track import EmotionTrack, Timeline, constant_track
from emovoca_cli.constants import EMOTIONS_V2
from emovoca_cli.errors import UsageError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("level", [1, 2, 3])
def test_trained_levels_are_the_one_hots_of_the_paper(level: int) -> None:
    emotion, intensity = constant_track("happy", level, names=EMOTIONS_V2, frames=4).conditions()
    assert emotion.shape == (4, len(EMOTIONS_V2))
    assert np.array_equal(emotion, np.tile(np.eye(len(EMOTIONS_V2))[EMOTIONS_V2.index("happy")], (4, 1)))
    assert np.array_equal(intensity, np.tile(np.eye(3)[level - 1], (4, 1)))


@pytest.mark.parametrize(("label", "level"), [("neutral", 3), ("happy", 0)])
def test_neutral_and_zero_intensity_are_zero_vectors(label: str, level: float) -> None:
    emotion, intensity = constant_track(label, level, names=EMOTIONS_V2, frames=2).conditions()
    assert not emotion.any()
    assert not intensity.any()


@given(st.floats(1, 3))
def test_between_levels_the_one_hots_are_interpolated(level: float) -> None:
    _, intensity = constant_track("sad", level, names=EMOTIONS_V2, frames=1).conditions()
    assert intensity.sum() == pytest.approx(1, abs=1e-5)
    assert float(intensity[0] @ np.array([1, 2, 3])) == pytest.approx(level, abs=1e-4)


@given(st.floats(0, 1))
def test_below_the_lowest_level_both_fade(level: float) -> None:
    emotion, intensity = constant_track("sad", level, names=EMOTIONS_V2, frames=1).conditions()
    assert emotion.sum() == pytest.approx(level, abs=1e-6)
    assert intensity.sum() == pytest.approx(level, abs=1e-6)


def test_unknown_emotion_names_those_there_are_and_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown emotion 'hapy'; did you mean happy\? \(there are: neutral, afraid"):
        constant_track("hapy", 1, names=EMOTIONS_V2, frames=1)


@pytest.mark.parametrize("level", [-0.1, 3.01, float("nan")])
def test_intensity_out_of_range(level: float) -> None:
    with pytest.raises(UsageError, match=r"from 0 .* to 3"):
        constant_track("sad", level, names=EMOTIONS_V2, frames=1)


def timeline(emotion: str, intensity: str | float = 2.0, *, transition: float = 0.4) -> Timeline:
    return parse_timeline(emotion, intensity, names=EMOTIONS_V2, transition=transition)


def column(track: EmotionTrack, name: str) -> np.ndarray:
    return track.emotion[:, EMOTIONS_V2.index(name)]


def test_a_timeline_is_one_hots_over_time() -> None:
    times = np.arange(0, 5, 0.05)
    track = timeline("0:neutral, 1.5:happy@3, 3:sad@2").sample(times, EMOTIONS_V2)
    emotion, intensity = track.conditions()
    before, happy, sad = times < 1.5, (times >= 1.9) & (times < 3), times >= 3.4
    assert not emotion[before].any()
    assert not intensity[before].any()
    np.testing.assert_allclose(emotion[happy], np.tile(np.eye(11)[EMOTIONS_V2.index("happy")], (happy.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(intensity[happy], np.tile([0, 0, 1], (happy.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(emotion[sad], np.tile(np.eye(11)[EMOTIONS_V2.index("sad")], (sad.sum(), 1)), atol=1e-6)
    np.testing.assert_allclose(intensity[sad], np.tile([0, 1, 0], (sad.sum(), 1)), atol=1e-6)


def test_half_way_values_by_hand() -> None:
    track = timeline("0:happy@3, 1:sad@1", transition=0.5).sample([1.25, 1.125], EMOTIONS_V2)
    assert track.intensity[0] == pytest.approx((3 + 1) / 2)
    assert column(track, "happy")[0] == pytest.approx(1.5 / 2)
    early = 3 / 16 - 2 / 64  # smooth step at a quarter
    assert track.intensity[1] == pytest.approx(3 - 2 * early)
    assert column(track, "sad")[1] == pytest.approx(early / (3 - 2 * early))


@given(st.floats(0.05, 1.5), st.integers(0, 3), st.integers(0, 3))
def test_easing_is_monotone_without_jumps_and_ends_where_it_should(transition: float, first: int, second: int) -> None:
    times = np.linspace(0.9, 3, 2101)
    strength = timeline(f"0:happy@{first}, 1:happy@{second}", transition=transition).sample(times, EMOTIONS_V2).intensity
    step = np.diff(strength) * np.sign(second - first)
    assert (step >= -1e-6).all()
    assert np.abs(step).max() <= 1.5 * abs(second - first) * 0.001 / transition + 1e-5
    assert strength[0] == first
    assert strength[-1] == pytest.approx(second, abs=1e-6)


def test_a_transition_that_is_too_long_is_done_by_the_next_cue() -> None:
    track = timeline("0:happy, 1:sad, 1.2:angry", transition=3).sample([1.1999999, 1.2], EMOTIONS_V2)
    assert column(track, "sad") == pytest.approx([1, 1], abs=1e-4)


def test_no_transition_is_a_step() -> None:
    track = timeline("0:happy@1, 1:happy@3", transition=0).sample([0.99, 1.0], EMOTIONS_V2)
    assert track.intensity.tolist() == [1, 3]


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.floats(0, 4))
def test_blends_sum_to_one_in_the_shares_that_were_given(weights: list[float], at: float) -> None:
    words = ",".join(f"{name}:{weight!r}" for name, weight in zip(EMOTIONS_V2, weights, strict=False))
    track = timeline(words, "0:1, 2:3").sample([at], EMOTIONS_V2)
    np.testing.assert_allclose(track.emotion[0, : len(weights)], np.array(weights) / sum(weights), rtol=1e-4)
    assert track.emotion.sum() == pytest.approx(1, abs=1e-5)


def test_everything_sums_to_one_or_to_nothing_while_it_changes() -> None:
    words = "0:happy:0.7+sad:0.3@3, 1:neutral, 2:angry:1+neutral:1@2, 3:afraid"
    track = timeline(words, transition=0.8).sample(np.arange(0, 5, 0.01), EMOTIONS_V2)
    sums = track.emotion.sum(axis=1)
    assert (np.isclose(sums, 1, atol=1e-5) | (sums == 0)).all()
    assert track.intensity[281:300] == pytest.approx(1), "half neutral is half the intensity"
    assert not track.intensity[181:200].any()


def test_intensity_over_time_is_for_cues_without_their_own() -> None:
    track = timeline("0:happy, 2:sad@1", "0:1, 1:high", transition=0.1).sample([0.5, 1.5, 2.5], EMOTIONS_V2)
    assert track.intensity == pytest.approx([1, 3, 1])


def test_words_and_record_say_what_is_used() -> None:
    assert timeline("happy", 3).words == "happy@3"
    made = timeline("1.5:happy, 3:sad+angry@2", "low")
    assert made.words == "0 s neutral, 1.5 s happy@1, 3 s sad:0.5+angry:0.5@2 (eased over 0.4 s)"
    assert parse_timeline("0:neutral, 1.5:happy@1, 3:sad:0.5+angry:0.5@2", 2, names=EMOTIONS_V2).words == made.words
    assert made.record()["cues"][2] == {"start": 3.0, "emotion": {"sad": 0.5, "angry": 0.5}, "intensity": 2.0}


@pytest.mark.parametrize(
    ("emotion", "intensity", "words"),
    [
        ("", 2, "--emotion is empty"),
        ("0:happy, 0:sad", 2, "two entries at 0 s"),
        ("0:happy, 3:sad, 2:angry", 2, "goes backwards: 2 s comes after 3 s"),
        ("-1:happy", 2, "starts at -1 s"),
        ("0:happy, sad", 2, "'sad' in the timeline has no time"),
        ("0:happy, 1:", 2, "names no emotion"),
        ("0:neutral, 1:hapy", 2, "unknown emotion 'hapy'; did you mean happy?"),
        ("happy:0.7,surprised:0.3", 2, "unknown emotion 'surprised'"),
        ("happy:0.7,sad", 2, "weights for some emotions only"),
        ("happy:0.7,happy:0.3", 2, "names an emotion twice"),
        ("happy:-1,sad:2", 2, "the weight '-1'"),
        ("happy:x,sad:2", 2, "the weight 'x'"),
        ("happy@4", 2, "intensity 4 is out of range"),
        ("0:happy@-1", 2, "intensity -1 is out of range"),
        ("happy@", 2, "the intensity '' is not a number"),
        ("happy", "0:1, 1:5", "intensity 5 is out of range"),
        ("happy", "1:1, 0:2", "goes backwards"),
        ("happy", "loud", "the intensity 'loud'"),
        ("happy", "nan", "intensity nan is out of range"),
        ("nowhere.srt", 2, "nowhere.srt does not exist"),
    ],
)
def test_words_that_make_no_track(emotion: str, intensity: str | float, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        timeline(emotion, intensity)


def test_transition_out_of_range() -> None:
    for seconds in (-0.1, 11, float("nan")):
        with pytest.raises(UsageError, match="the transition lasts"):
            timeline("happy", transition=seconds)
