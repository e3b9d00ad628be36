"""The rig's 52 shapes, and what visemes and emotions come to on it in millimetres."""

from __future__ import annotations

import numpy as np
import pytest

from emovoca_cli.constants import MM
from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.emotions import load_emotions
from emovoca_cli.demo.head import load_head
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.rig_anatomy import AREA_LID, AREA_MOUTH
from emovoca_cli.demo.rig_build import build_rig
from emovoca_cli.demo.rig_lids import Eyeball
from emovoca_cli.demo.visemes import load_visemes
from tests.demo.rig_outcomes import EMOTION_COLUMNS, EMOTIONS, VIEWS, VISEME_COLUMNS, VISEMES, Outcomes, tolerance

pytestmark = pytest.mark.unit

OUTCOMES = Outcomes.built_in()


def coefficients(**shapes: float) -> np.ndarray:
    """Coefficients by shape name; a name without a side sets both."""
    values = np.zeros(len(ARKIT_NAMES))
    for name, value in shapes.items():
        for full in [name] if name in ARKIT_INDEX else [f"{name}Left", f"{name}Right"]:
            values[ARKIT_INDEX[full]] = value
    return values


@pytest.mark.parametrize("name", VISEMES)
def test_viseme_outcomes(name: str) -> None:
    seen = OUTCOMES.viseme(load_visemes()[name].astype(float))
    for column, ours, target in zip(VISEME_COLUMNS, seen, VISEMES[name], strict=True):
        # The width that shows is read off half-millimetre rays at the thin ends of the mouth.
        slack = 1.5 if column == "opening w" else 1.0
        assert abs(ours - target) <= slack * tolerance(target) + 1e-6, f"{name}: {column} is {ours:.1f} mm, expected {target:.1f}"


@pytest.mark.parametrize("name", EMOTIONS)
def test_emotion_outcomes(name: str) -> None:
    seen = OUTCOMES.emotion(load_emotions()[name].astype(float))
    for column, ours, target in zip(EMOTION_COLUMNS, seen, EMOTIONS[name], strict=True):
        assert abs(ours - target) <= tolerance(target) + 0.1, f"{name}: {column} is {ours:.1f} mm, expected {target:.1f}"


@pytest.mark.parametrize("name", ["PP", "sil"])
def test_sealed_visemes_show_nothing_from_anywhere(name: str) -> None:
    pose = load_visemes()[name].astype(float)
    assert OUTCOMES.contact_gaps(pose).max() < 0.0
    assert [OUTCOMES.seen(pose, view)[0] for view in VIEWS] == [0.0] * len(VIEWS)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_mouth_close_takes_the_lips_back_together(share: float) -> None:
    gaps = OUTCOMES.contact_gaps(coefficients(jawOpen=share, mouthClose=share))
    assert gaps.max() < 0.35
    assert gaps.min() > -2.0


def test_closed_lips_do_not_pass_through_one_another() -> None:
    poses = [*load_visemes().values(), *load_emotions().values()]
    assert min(OUTCOMES.contact_gaps(pose.astype(float)).min() for pose in poses) > -3.2


def test_labiodental_lip_is_at_the_teeth() -> None:
    a = OUTCOMES.anatomy
    lower = np.flatnonzero((a.lip == -1) & (np.abs(a.mouth_ring) <= 3) & (np.abs(a.rest[:, 0]) < 6))
    edge = a.hinge + np.array([0.0, -30.0, 88.0])
    posed = OUTCOMES.skin(load_visemes()["FF"].astype(float))[lower]
    assert np.linalg.norm((posed - edge)[:, 1:], axis=1).min() < 1.0


def test_jaw_hinges_as_measured() -> None:
    chin = OUTCOMES.marks[ARKIT_INDEX["jawOpen"], 8]
    np.testing.assert_allclose(chin, [0.0, -28.2, -29.1], atol=1.0)
    lip = OUTCOMES.marks[ARKIT_INDEX["jawOpen"], 66]
    np.testing.assert_allclose(lip, [0.0, -35.2, -19.3], atol=1.5)


def test_lip_gap_gain_follows_the_measured_table() -> None:
    measured = {
        "jawOpen": 28.9,
        "mouthClose": -37.2,
        "mouthFunnel": 10.8,
        "mouthShrugUpper": 4.6,
        "mouthShrugLower": -6.4,
        "mouthPress": -2.2,
        "mouthUpperUp": 7.0,
    }
    gain = load_rig().lip_gap_gain * MM / (OUTCOMES.anatomy.scale * MM)
    for name, target in measured.items():
        names = [name] if name in ARKIT_INDEX else [f"{name}Left", f"{name}Right"]
        ours = sum(gain[ARKIT_INDEX[full]] for full in names)
        # mouthClose has less to take back here: the lips touch at rest.
        assert abs(ours - target) < max(1.2, 0.2 * abs(target)), name


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1.0])
def test_lids_stay_on_the_eyeball_while_they_close(side: int, share: float) -> None:
    a = OUTCOMES.anatomy
    eye = a.eye(side)
    lid = np.flatnonzero((a.eye_side == side) & (a.eye_ring >= 1) & (a.eye_ring <= 3))
    posed = OUTCOMES.skin(coefficients(eyeBlink=share))[lid]
    depth = Eyeball(a, eye).radius(posed) - np.linalg.norm(posed - eye.centre, axis=1)
    assert depth.max() < 0.3


@pytest.mark.parametrize("side", [1, -1])
def test_blink_leaves_no_slit(side: int) -> None:
    a = OUTCOMES.anatomy
    eye, margin = a.eye(side), np.flatnonzero((a.eye_side == side) & (a.eye_ring == 0))
    along, _, angle = eye.polar(OUTCOMES.skin(coefficients(eyeBlink=1))[margin])
    upper, lower = np.sin(a.eye_u[margin]) > 0.3, np.sin(a.eye_u[margin]) < 0.0
    order = np.argsort(along[lower])
    below = np.interp(along[upper], along[lower][order], angle[lower][order])
    assert (angle[upper] - below).max() < 0.02


def test_right_shapes_mirror_the_left() -> None:
    rig, mirror = load_rig(), load_head().mirror
    for name, index in ARKIT_INDEX.items():
        twin = name.replace("Left", "Right") if "Left" in name else name
        other = rig.deltas[ARKIT_INDEX[twin]] if "Right" not in name else None
        if other is not None:
            np.testing.assert_allclose(other[mirror] * np.array([-1, 1, 1], np.float32), rig.deltas[index], atol=5e-5, err_msg=name)


def test_shapes_stay_where_they_belong() -> None:
    rest, moved = OUTCOMES.anatomy.rest, np.linalg.norm(OUTCOMES.deltas, axis=2)
    for name, index in ARKIT_INDEX.items():
        if name.startswith(("jaw", "mouth", "cheekPuff")):
            assert moved[index, rest[:, 1] > 15].max() < 0.5, name
        if name.startswith(("brow", "eye")):
            assert moved[index, rest[:, 1] < -50].max() < 0.5, name
    assert moved[:, rest[:, 2] < -90].max() < 0.3
    assert moved[ARKIT_INDEX["tongueOut"]].max() == 0.0
    assert moved.max() < 45.0


def test_nothing_explodes_or_folds_over() -> None:
    a = OUTCOMES.anatomy
    rest, faces = a.rest, a.faces
    outer = ~np.isin(a.area[faces], (AREA_MOUTH, AREA_LID)).any(axis=1)

    def edges(points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points[faces] - points[faces[:, [1, 2, 0]]], axis=2)

    def normals(points: np.ndarray) -> np.ndarray:
        cross = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
        return cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-9)

    before = normals(rest)
    for name, pose in {**load_visemes(), **load_emotions()}.items():
        posed = OUTCOMES.skin(pose.astype(float))
        assert (edges(posed).max(axis=1) / edges(rest).max(axis=1))[outer].max() < 2.5, name
        turned = (normals(posed) * before).sum(axis=1)[outer] < -0.5
        assert turned.sum() <= 12, name


def test_tongue_comes_forward_with_tongue_out() -> None:
    tongue = load_rig().tongue
    part = next(part for part in load_head().template.parts if part.name == "tongue")
    assert tongue.shape == part.vertices.shape
    tip = part.vertices[:, 2].argmax()
    assert 0.008 < tongue[tip, 2] < 0.02
    assert np.abs(tongue[part.vertices[:, 2].argmin()]).max() < 1e-4


def test_the_asset_is_what_the_code_builds() -> None:
    np.testing.assert_allclose(build_rig(load_head()), load_rig().deltas, atol=1e-4)
