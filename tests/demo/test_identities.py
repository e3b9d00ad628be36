"""The twelve people: who they are, that they differ, and that what meets on the built-in head meets on them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from emovoca_cli.constants import INNER_LIP_PAIRS, MM
from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.head import load_head
from emovoca_cli.demo.identities import FIXED, IDENTITY_NAMES, PEOPLE, Identity, identity, shape_gains
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.demo.rig_anatomy import Anatomy
from emovoca_cli.demo.visemes import load_visemes
from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.landmarks import landmark_points

pytestmark = pytest.mark.unit


def marks(vertices: np.ndarray) -> np.ndarray:
    template = load_head().template
    where = template.faces, template.landmark_faces, template.landmark_weights
    return np.asarray(landmark_points(vertices.astype(np.float32), *where)) * MM


@pytest.fixture(scope="module")
def people() -> dict[str, Identity]:
    return {name: identity(name) for name in IDENTITY_NAMES}


def test_splits_are_eight_two_two() -> None:
    splits = [PEOPLE[name].split for name in IDENTITY_NAMES]
    assert splits == ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    assert len(set(IDENTITY_NAMES)) == 12


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="ada"):
        identity("nobody")


def test_people_are_reproducible(people: dict[str, Identity]) -> None:
    again = identity.__wrapped__("ada")
    np.testing.assert_array_equal(again.neutral, people["ada"].neutral)
    np.testing.assert_array_equal(again.basis, people["ada"].basis)


def test_people_differ_as_people_do(people: dict[str, Identity]) -> None:
    points = {name: marks(person.neutral) for name, person in people.items()}
    for one, other in combinations(IDENTITY_NAMES, 2):
        apart = np.linalg.norm(points[one] - points[other], axis=1).mean()
        assert 2.0 < apart < 16.0, (one, other)
    eyes = [np.linalg.norm(p[45] - p[36]) for p in points.values()]
    assert 80 < min(eyes) < max(eyes) < 98
    mouths = [np.linalg.norm(p[54] - p[48]) for p in points.values()]
    assert 42 < min(mouths) < max(mouths) < 62


def test_nobody_is_folded_or_torn(people: dict[str, Identity]) -> None:
    template = load_head().template
    rest, faces = template.vertices, template.faces

    def cross(points: np.ndarray) -> np.ndarray:
        return np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])

    before = cross(rest)
    for person in people.values():
        after = cross(person.neutral)
        cosine = (before * after).sum(axis=1) / np.maximum(np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1), 1e-15)
        assert np.percentile(cosine, 0.1) > 0.3
        assert np.isfinite(person.basis).all()


def test_lips_meet_on_everybody(people: dict[str, Identity]) -> None:
    press = load_visemes()["PP"]
    for name, person in people.items():
        rest = marks(person.neutral)
        pressed = marks(person.neutral + np.tensordot(press, person.basis, 1))
        for upper, lower in INNER_LIP_PAIRS:
            assert -0.6 < rest[upper, 1] - rest[lower, 1] < 0.7, name
            assert pressed[upper, 1] - pressed[lower, 1] < -0.3, name


def test_eyes_still_fit(people: dict[str, Identity]) -> None:
    head = load_head()
    anatomy = Anatomy(head)
    for name, person in people.items():
        for side in (1, -1):
            eye = anatomy.eye(side)
            lids = np.flatnonzero((anatomy.eye_side == side) & (anatomy.eye_ring >= -1) & (anatomy.eye_ring <= 1))
            before = head.template.vertices[lids].astype(float)
            for pose in (np.zeros(52), np.eye(52)[ARKIT_INDEX["eyeBlinkLeft"]] + np.eye(52)[ARKIT_INDEX["eyeBlinkRight"]]):
                after = person.neutral[lids] + np.tensordot(pose, person.basis[:, lids], 1)
                posed = before + np.tensordot(pose, load_rig().deltas[:, lids], 1)
                # The lids move as a rigid whole against the built-in head's (a little more or less open at rest).
                a, b = posed - posed.mean(axis=0), after - after.mean(axis=0)
                u, _, vt = np.linalg.svd(b.T @ a)
                residual = np.linalg.norm(b - a @ (u @ vt).T, axis=1) * MM
                assert residual.mean() < (0.3 if pose.any() else 1.3), (name, eye.side)


def test_blink_closes_on_everybody(people: dict[str, Identity]) -> None:
    for name, person in people.items():
        closed = person.neutral + person.basis[ARKIT_INDEX["eyeBlinkLeft"]] + person.basis[ARKIT_INDEX["eyeBlinkRight"]]
        points = marks(closed)
        for upper, lower in ((43, 47), (44, 46), (38, 40), (37, 41)):
            assert np.linalg.norm(points[upper] - points[lower]) < 2.0, name


def test_gains_vary_by_a_tenth_and_keep_what_must_meet() -> None:
    gains = np.stack([shape_gains(person.seed) for person in PEOPLE.values()])
    free = np.array([not name.startswith(FIXED) for name in ARKIT_NAMES])
    assert 0.07 < np.log(gains[:, free]).std() < 0.13
    assert (gains[:, ~free] == 1.0).all()
    assert gains[:, free].min() > 0.75


def test_shapes_keep_their_meaning(people: dict[str, Identity]) -> None:
    base = load_rig().deltas
    for name, person in people.items():
        for index, shape in enumerate(ARKIT_NAMES):
            if shape == "tongueOut":
                continue
            a, b = base[index].ravel(), person.basis[index].ravel()
            alike = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            assert alike > 0.9, (name, shape)
