"""Landmarks on surfaces, nearest points, the lip gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import eye_distance, landmark_operator, landmark_points, lip_gap, lip_opening
from emovoca_cli.mesh.surface import closest_weights, nearest_surface
from tests.mesh.meshes import flame, grid, sphere, template_of

pytestmark = pytest.mark.unit


def test_points_over_a_triangle_know_their_nearest_point_in_every_zone() -> None:
    corners = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0]], dtype=float)
    cases = {
        (1, 1, 5): ((0.5, 0.25, 0.25), 5.0),  # inside
        (-1, -1, 0): ((1, 0, 0), np.sqrt(2)),  # corners
        (6, -1, 0): ((0, 1, 0), np.sqrt(5)),
        (0, 5, 1): ((0, 0, 1), np.sqrt(2)),
        (1, -2, 0): ((0.75, 0.25, 0), 2.0),  # edges
        (3, 3, 0): ((0, 0.5, 0.5), np.sqrt(2)),
        (-3, 2, 4): ((0.5, 0, 0.5), 5.0),
    }
    weights, distance = closest_weights(np.array(list(cases), dtype=float), np.repeat(corners[None], len(cases), axis=0))
    np.testing.assert_allclose(weights, [wanted for wanted, _ in cases.values()], atol=1e-12)
    np.testing.assert_allclose(distance, [wanted for _, wanted in cases.values()], atol=1e-12)


def test_triangles_without_area_count_as_their_edges() -> None:
    line = np.array([[[0, 0, 0], [1, 0, 0], [3, 0, 0]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]]], dtype=float)
    weights, distance = closest_weights(np.array([[2, 1, 0], [1, 1, 3]], dtype=float), line)
    np.testing.assert_allclose(np.einsum("nk,nkd->nd", weights, line), [[2, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(distance, [1, 2])


def test_the_nearest_face_of_all_is_found() -> None:
    random = np.random.default_rng(0)
    vertices, faces = sphere(2)
    vertices = vertices * random.uniform(0.5, 1.5, size=(len(vertices), 1)).astype(np.float32)
    points = random.normal(size=(40, 3))
    found, weights = nearest_surface(points, vertices, faces)
    assert found.dtype == np.int32
    assert weights.dtype == np.float32
    feet = np.einsum("nk,nkd->nd", weights, vertices[faces[found]])
    for point, foot in zip(points, feet, strict=True):  # the slow twin: every face
        _, distance = closest_weights(np.repeat(point[None], len(faces), axis=0), vertices[faces])
        assert np.linalg.norm(foot - point) == pytest.approx(distance.min(), rel=1e-5)
    assert nearest_surface(np.zeros((0, 3)), vertices, faces)[0].shape == (0,)


def test_landmarks_follow_the_surface_in_any_number_of_frames() -> None:
    vertices, faces = grid(6, 6)
    random = np.random.default_rng(1)
    places = np.concatenate([random.uniform(0, 0.05, size=(68, 2)), np.zeros((68, 1))], axis=1).astype(np.float32)
    template = template_of(vertices, faces, places)
    found = landmark_points(vertices, faces, template.landmark_faces, template.landmark_weights)
    np.testing.assert_allclose(found, places, atol=1e-8)
    matrix = random.normal(size=(2, 4, 3, 3))
    frames = np.einsum("vd,abde->abve", vertices, matrix)
    moved = landmark_points(frames, faces, template.landmark_faces, template.landmark_weights)
    assert moved.shape == (2, 4, 68, 3)
    np.testing.assert_allclose(moved, np.einsum("ld,abde->able", places, matrix), atol=1e-7)
    indices, weights = landmark_operator(template)
    assert indices.dtype == np.int64
    np.testing.assert_allclose((frames[..., indices, :] * weights[..., None]).sum(axis=-2), moved, atol=1e-7)
    with pytest.raises(DataError, match=r"template test has landmarks \(67,\)"):
        landmark_operator(replace(template, landmark_faces=template.landmark_faces[:67]))


def test_the_lip_gap_is_the_mean_of_three_distances() -> None:
    marks = np.random.default_rng(0).normal(size=(5, 68, 3))
    for pair, offset in zip(INNER_LIP_PAIRS, ([0.003, 0, 0], [0, -0.006, 0], [0, 0, 0.012]), strict=True):
        marks[:, pair[1]] = marks[:, pair[0]] + offset
    np.testing.assert_allclose(lip_gap(marks), np.full(5, 0.007), rtol=1e-5)
    assert lip_gap(marks[0]).shape == ()


def test_the_lip_opening_is_signed_and_linear() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 5, 68, 3))
    for marks, heights in ((first, (0.003, 0.006, -0.012)), (second, (0.001, 0.001, 0.001))):
        for (upper, lower), height in zip(INNER_LIP_PAIRS, heights, strict=True):
            marks[:, upper, 1] = marks[:, lower, 1] + height
    np.testing.assert_allclose(lip_opening(first), -0.001, rtol=1e-5)
    np.testing.assert_allclose(lip_opening(first + 2 * second), 0.001, rtol=1e-5)


def test_flames_landmarks_are_a_face() -> None:
    template = flame()
    marks = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)
    assert marks.shape == (68, 3)
    assert eye_distance(marks) == pytest.approx(0.0885, abs=5e-4)
    assert lip_gap(marks) == pytest.approx(0.00114, abs=1e-4)
    left, right = marks[[45, 54, 26]], marks[[36, 48, 17]]
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-3)
    assert (left[:, 0] > 0).all(), "x grows to the subject's left"
    assert marks[27, 1] > marks[30, 1] > marks[51, 1] > marks[57, 1] > marks[8, 1]
    assert marks[30, 2] == marks[:, 2].max(), "the tip of the nose is foremost"
