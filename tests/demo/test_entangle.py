"""Emotion on a talking mouth: the rule, number by number, and the seal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.articulation import Articulation, speak
from emovoca_cli.demo.emotions import EMOTION_NAMES, emotion_coefficients
from emovoca_cli.demo.entangle import JAW_BUDGET, SEAL_OVERLAP, combine, emotion_factors, lip_gap
from emovoca_cli.errors import UsageError

pytestmark = pytest.mark.unit

# Millimetres of lip gap a unit of each shape (both sides) adds, as on a scan-based rig (ICT-FaceKit, MIT).
GAINS = {
    "jawOpen": 32.8, "mouthClose": -38.9, "mouthFunnel": 13.7, "mouthLowerDown": 6.8, "mouthUpperUp": 7.1, "noseSneer": 6.2,
    "mouthShrugUpper": 5.3, "mouthShrugLower": -6.9, "mouthRollLower": -3.7, "mouthRollUpper": 1.8, "mouthPress": -2.5,
    "mouthPucker": -0.5, "mouthDimple": -0.7, "mouthSmile": 0.1, "mouthFrown": -0.2, "mouthStretch": -0.3, "jawForward": 1.3,
}  # fmt: skip
REST = 0.0008


def gap_gain():
    gain = np.zeros(52, np.float32)
    for name, value in GAINS.items():
        if name in ARKIT_INDEX:
            gain[ARKIT_INDEX[name]] = value / 1000
        else:
            gain[ARKIT_INDEX[name + "Left"]] = gain[ARKIT_INDEX[name + "Right"]] = value / 2000
    return gain


def held(*, closure=0.0, labiodental=0.0, rounding=0.0, envelope=1.0, coefficients=None):
    """An articulation of one frame."""
    pose = np.zeros((1, 52), np.float32)
    for name, value in (coefficients or {}).items():
        pose[0, ARKIT_INDEX[name]] = value
    tracks = [np.array([value], np.float32) for value in (closure, labiodental, rounding, envelope)]
    return Articulation(pose, *tracks, fps=30.0)


def mix(articulation, emotion, **options):
    values = emotion_coefficients(emotion) if isinstance(emotion, str) else emotion
    return combine(articulation, values, gap_gain=gap_gain(), rest_gap=REST, **options)


@pytest.mark.parametrize(
    ("shape", "tracks", "factor"),
    [
        ("jawOpen", {}, 0.25),
        ("mouthFunnel", {"rounding": 1.0}, 0.25 * 0.3),
        ("mouthUpperUpLeft", {"labiodental": 0.6}, 0.25 * 0.4),
        ("noseSneerLeft", {}, 0.5),
        ("noseSneerRight", {"closure": 1.0, "rounding": 0.5}, 0.5 * 0.5 * 0.75),
        ("mouthSmileLeft", {}, 0.6),
        ("mouthSmileLeft", {"closure": 1.0}, 0.6),
        ("mouthFrownRight", {"labiodental": 1.0, "rounding": 1.0}, 0.6 * 0.3 * 0.7),
        ("mouthPressLeft", {}, 0.25),
        ("mouthRollLower", {"closure": 0.5, "labiodental": 0.75}, 0.25 * 0.25),
        ("jawForward", {}, 0.5),
        ("jawLeft", {"closure": 1.0}, 0.0),
        ("browInnerUp", {"closure": 1.0, "rounding": 1.0}, 1.0),
        ("cheekSquintLeft", {"labiodental": 1.0}, 1.0),
        ("eyeBlinkRight", {}, 1.0),
        ("jawOpen", {"envelope": 0.0}, 1.0),
        ("jawOpen", {"envelope": 0.5}, 0.625),
        ("jawOpen", {"envelope": 0.0, "closure": 1.0}, 0.0),
    ],
)
def test_factors_by_class(shape, tracks, factor):
    assert emotion_factors(held(**tracks))[0, ARKIT_INDEX[shape]] == pytest.approx(factor)


def test_every_mouth_shape_belongs_to_one_class():
    loosened = {name for name in ARKIT_NAMES if emotion_factors(held())[0, ARKIT_INDEX[name]] < 1}
    mouth = {name for name in ARKIT_NAMES if name.startswith(("mouth", "jaw", "noseSneer"))} | {"cheekPuff"}
    assert loosened == mouth


def test_a_pause_shows_the_whole_expression():
    for emotion in EMOTION_NAMES:
        np.testing.assert_allclose(mix(held(envelope=0.0), emotion)[0], emotion_coefficients(emotion), atol=1e-6)


def test_intensity_is_linear_and_natural_at_two():
    brow, smile = ARKIT_INDEX["browInnerUp"], ARKIT_INDEX["mouthSmileLeft"]
    sad = [mix(held(envelope=0.0), "sad", intensity=value)[0, brow] for value in (0, 1, 2, 3)]
    np.testing.assert_allclose(sad, [0, 0.5, 1.0, 1.5], atol=1e-6)
    talking = [mix(held(), "happy", intensity=value)[0, smile] for value in (1, 2, 3)]
    np.testing.assert_allclose(talking, [0.3, 0.6, 0.9], atol=1e-6)
    lids = mix(held(envelope=0.0), "drunk", intensity=3)[0]
    assert lids[[ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeSquintLeft"]]].max() <= 1


def test_the_jaw_keeps_its_budget():
    spoken = held(coefficients={"jawOpen": 0.38})
    feeling = emotion_coefficients("surprised")[ARKIT_INDEX["jawOpen"]]
    assert mix(spoken, "surprised")[0, ARKIT_INDEX["jawOpen"]] == pytest.approx(0.38 + 0.25 * feeling)
    assert mix(spoken, "surprised", intensity=3)[0, ARKIT_INDEX["jawOpen"]] == pytest.approx(0.38 + 0.25 * 0.55)
    assert mix(held(coefficients={"jawOpen": 0.5}), "surprised")[0, ARKIT_INDEX["jawOpen"]] == pytest.approx(JAW_BUDGET)


PHONES = [
    ("SIL", 0, 0.3), ("M", 0.3, 0.38), ("AA", 0.38, 0.55), ("M", 0.55, 0.6), ("UW", 0.6, 0.75), ("P", 0.75, 0.83),
    ("IY", 0.83, 0.95), ("V", 0.95, 1.03), ("AO", 1.03, 1.2), ("B", 1.2, 1.26), ("SIL", 1.26, 2.0),
]  # fmt: skip


@pytest.mark.parametrize("emotion", EMOTION_NAMES)
@pytest.mark.parametrize("intensity", [1, 2, 3])
def test_lips_seal_under_every_emotion(emotion, intensity):
    spoken = speak(PHONES, fps=30, frames=60)
    gap = lip_gap(mix(spoken, emotion, intensity=intensity), gap_gain=gap_gain(), rest_gap=REST)
    sealed = spoken.closure == 1
    assert sealed.sum() >= 8
    assert gap[sealed].max() <= -SEAL_OVERLAP[0] + 1e-6
    if emotion == "neutral":
        assert gap[sealed].min() >= -SEAL_OVERLAP[1] - 1e-6
    opened = gap[int(0.42 * 30) : int(0.5 * 30) + 1].max()
    assert 0.006 < opened < 0.020


def test_a_plain_sum_would_leak():
    """The reason for the rule: adding the emotion leaves the lips open in most emotions."""
    spoken = speak(PHONES, fps=30, frames=60)
    summed = spoken.coefficients + emotion_coefficients("happy")
    assert lip_gap(summed, gap_gain=gap_gain(), rest_gap=REST)[spoken.closure == 1].min() > 0.003


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(EMOTION_NAMES),
    st.floats(0, 3),
    st.floats(0, 0.0015),
    st.lists(st.floats(0.6, 1.4), min_size=52, max_size=52),
)
def test_any_rig_seals_with_coefficients_in_range(emotion, intensity, rest, scales):
    gain = gap_gain() * np.array(scales, np.float32)
    spoken = speak(PHONES, fps=30, frames=60)
    values = combine(spoken, emotion_coefficients(emotion), intensity=intensity, gap_gain=gain, rest_gap=rest)
    assert values.min() >= 0
    assert values.max() <= max(1.0, intensity / 2) + 1e-6
    assert lip_gap(values, gap_gain=gain, rest_gap=rest)[spoken.closure == 1].max() <= -SEAL_OVERLAP[0] + 1e-6
    assert (values[:, ARKIT_INDEX["mouthClose"]] <= values[:, ARKIT_INDEX["jawOpen"]] + 1e-6).all()


def test_no_emotion_leaves_the_upper_face_alone_and_the_speech_unchanged_between_closures():
    spoken = speak(PHONES, fps=30, frames=60)
    values = mix(spoken, np.zeros(52, np.float32))
    free = spoken.closure == 0
    np.testing.assert_allclose(values[free], spoken.coefficients[free], atol=1e-6)


def test_upper_face_keeps_the_whole_emotion_while_talking():
    spoken = speak(PHONES, fps=30, frames=60)
    upper = [ARKIT_INDEX[name] for name in ARKIT_NAMES if name.startswith(("brow", "eye", "cheekSquint"))]
    for emotion in EMOTION_NAMES:
        whole = np.tile(emotion_coefficients(emotion)[upper], (60, 1))
        np.testing.assert_allclose(mix(spoken, emotion)[:, upper], whole, atol=1e-6)


def test_the_seal_does_not_pop():
    spoken = speak(PHONES, fps=240, frames=480)
    for emotion in ("disgust", "happy", "angry"):
        values = mix(spoken, emotion, intensity=3)
        assert np.abs(np.diff(values, axis=0)).max() < 0.12


@pytest.mark.parametrize("intensity", [-0.1, 3.5, float("nan")])
def test_intensity_out_of_range(intensity):
    with pytest.raises(UsageError, match="out of range"):
        mix(held(), "happy", intensity=intensity)


def test_wrong_shapes():
    with pytest.raises(UsageError, match=r"expected \(52,\)"):
        mix(held(), np.zeros(51, np.float32))
