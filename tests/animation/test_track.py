"""The emotion track and the one-hots that it becomes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emovoca_cli.animation.track import constant_track
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
