"""Eyes, teeth and tongue follow the face by the amounts it moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.errors import DataError, TopologyError
from emovoca_cli.mesh.gaze import gaze_yaw
from emovoca_cli.render.parts import apply, part_motions, pose_parts, similarity
from emovoca_cli.types import Float, MeshTemplate, Part
from tests.render.shapes import ball

pytestmark = pytest.mark.unit
OUTER = 0.089


def rotation(axis: int, degrees: float) -> Float:
    angle = np.radians(degrees)
    out = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    out[i, i] = out[j, j] = np.cos(angle)
    out[i, j], out[j, i] = -np.sin(angle), np.sin(angle)
    if axis == 1:
        out = out.T
    return out.astype(np.float32)


def template(*parts: Part) -> MeshTemplate:
    """A ball whose 68 landmarks are vertices near the front; 36 and 45 lie at the outer eye corners."""
    vertices, faces = ball(0.11, rows=40)
    wanted = np.tile(np.array([0.0, -0.05, 0.1], np.float32), (68, 1))
    wanted[17:27] = [0.0, 0.02, 0.108]
    wanted[36:42] = [-0.03, 0.0, 0.1]
    wanted[42:48] = [0.03, 0.0, 0.1]
    wanted[36], wanted[45] = [-OUTER / 2, 0.0, 0.1], [OUTER / 2, 0.0, 0.1]
    nearest = np.argmin(np.linalg.norm(vertices[None] - wanted[:, None], axis=2), axis=1)
    where = [np.argwhere(faces == vertex)[0] for vertex in nearest]
    weights = np.zeros((68, 3), np.float32)
    weights[np.arange(68), [corner for _, corner in where]] = 1.0
    return MeshTemplate("ball", vertices, faces, np.array([face for face, _ in where], np.int32), weights, parts=parts)


def part(drive: str, anchors: list[int], centre: tuple[float, float, float] = (0.0, -0.03, 0.05)) -> Part:
    vertices, faces = ball(0.012, centre, rows=8)
    return Part(drive, vertices, faces, np.ones_like(vertices), drive, np.array(anchors, np.int32))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2), st.floats(-170, 170), st.floats(0.5, 2.0), st.integers(0, 1000))
def test_similarity_recovers_a_known_transform(axis: int, degrees: float, scale: float, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
    moved = scale * points @ rotation(axis, degrees).T + np.float32([0.3, -0.2, 0.1])
    found = similarity(points, moved)
    assert np.allclose(found[:3, :3], scale * rotation(axis, degrees), atol=1e-5)
    assert np.allclose(apply(found, points), moved, atol=1e-5)
    rigid = similarity(points, moved, scale=False)
    assert np.isclose(np.linalg.det(rigid[:3, :3]), 1.0, atol=1e-9)


def test_similarity_never_mirrors_and_takes_few_points() -> None:
    points = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    mirrored = similarity(points, points * np.float32([-1, 1, 1]))
    assert np.linalg.det(mirrored[:3, :3]) > 0
    one = similarity(points[:1], points[:1] + 2)
    assert np.allclose(one[:3, :3], np.eye(3))
    assert np.allclose(one[:3, 3], 2, atol=1e-6)


def test_nothing_moves_when_nothing_moves() -> None:
    base = template(
        part("jaw", list(range(100, 400, 7))), part("head", list(range(0, 300, 9))), part("eye_left", list(range(0, 90, 3)))
    )
    for posed, rest in zip(pose_parts(base, base.vertices, np.stack([base.vertices] * 3)), base.parts, strict=True):
        assert posed.shape == (3, *rest.vertices.shape)
        assert np.allclose(posed, rest.vertices, atol=1e-6)


def test_the_jaw_takes_its_parts_along_and_leaves_the_others() -> None:
    base = template(part("jaw", []), part("head", list(range(0, 300, 9))))
    lower = np.flatnonzero(base.vertices[:, 1] < -0.04)
    jaw = part("jaw", lower.tolist())
    base = template(jaw, base.parts[1])
    hinge = np.float32([0.0, 0.0, -0.02])
    frames = np.stack([base.vertices] * 3)
    angles = (0.0, 10.0, 20.0)
    for frame, angle in zip(frames, angles, strict=True):
        frame[lower] = (frame[lower] - hinge) @ rotation(0, angle).T + hinge
    teeth, upper = pose_parts(base, base.vertices, frames)
    for posed, angle in zip(teeth, angles, strict=True):
        assert np.allclose(posed, (jaw.vertices - hinge) @ rotation(0, angle).T + hinge, atol=1e-6)
    assert np.allclose(upper, base.parts[1].vertices, atol=1e-6)


def test_another_identity_wears_the_parts_in_its_own_size() -> None:
    anchors = list(range(0, 600, 11))
    base = template(part("head", anchors), part("eye_right", anchors, (-0.03, 0.0, 0.09)))
    other = (base.vertices * 1.1 + np.float32([0.0, 0.01, 0.0])).astype(np.float32)
    for posed, rest in zip(pose_parts(base, other, other[None]), base.parts, strict=True):
        assert np.allclose(posed[0], rest.vertices * 1.1 + np.float32([0.0, 0.01, 0.0]), atol=1e-6)


def test_a_turning_head_takes_everything_along() -> None:
    base = template(part("head", list(range(0, 600, 11))), part("eye_left", list(range(0, 600, 11)), (0.03, 0.0, 0.09)))
    turned = (base.vertices @ rotation(1, 25.0).T).astype(np.float32)
    for posed, rest in zip(pose_parts(base, base.vertices, turned[None]), base.parts, strict=True):
        assert np.allclose(posed[0], rest.vertices @ rotation(1, 25.0).T, atol=2e-6)


def test_two_millimetres_of_lid_drag_are_thirty_degrees() -> None:
    rest = np.zeros((68, 3), np.float32)
    rest[36, 0], rest[45, 0] = -OUTER / 2, OUTER / 2
    moved = np.stack([rest] * 5)
    lids = [37, 38, 40, 41, 43, 44, 46, 47]
    moved[1, lids, 0] += 0.002
    moved[2, lids, 0] -= 0.001
    moved[3, lids[:4], 0] -= 0.002  # a squint: lids of both eyes move apart
    moved[3, lids[4:], 0] += 0.002
    moved[4, lids, 1] -= 0.006  # a blink
    assert np.allclose(gaze_yaw(moved, rest), [0, 30, -15, 0, 0], atol=0.4)


def test_a_gaze_to_the_left_turns_the_eye_about_its_middle_to_the_left() -> None:
    eye = part("eye_left", list(range(0, 600, 11)), (0.03, 0.0, 0.09))
    base = template(eye)
    corners = base.faces[base.landmark_faces][np.arange(68), base.landmark_weights.argmax(axis=1)]
    frames = base.vertices[None].copy()
    outer = np.linalg.norm(base.vertices[corners[36]] - base.vertices[corners[45]])
    lids = np.setdiff1d(corners[[37, 38, 40, 41, 43, 44, 46, 47]], corners[[36, 45]])
    frames[0, lids, 0] += 0.002 / 0.089 * outer
    (posed,) = pose_parts(base, base.vertices, frames)
    front = np.argmax(eye.vertices[:, 2])
    assert np.allclose(posed[0].mean(axis=0), eye.vertices.mean(axis=0), atol=1e-5)
    turn = np.degrees(np.arctan2(*(posed[0, front] - eye.vertices.mean(axis=0))[[0, 2]]))
    before = np.degrees(np.arctan2(*(eye.vertices[front] - eye.vertices.mean(axis=0))[[0, 2]]))
    assert np.isclose(turn - before, 30.0, atol=1.0)


def test_wrong_topology_and_unknown_drive_are_named() -> None:
    base = template(part("ear", [1, 2, 3]))
    with pytest.raises(TopologyError, match="do not fit"):
        part_motions(base, base.vertices[:-1], base.vertices[None])
    with pytest.raises(DataError, match="driven by 'ear'"):
        part_motions(base, base.vertices, base.vertices[None])
