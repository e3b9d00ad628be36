"""Distances along surfaces against those that one can compute."""

from __future__ import annotations

import numpy as np
import pytest

from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.geodesic import distance_to_points, geodesic_distance
from tests.mesh.meshes import grid, sphere

pytestmark = pytest.mark.unit


def test_on_a_plane_it_is_the_straight_distance_a_few_per_cent_longer() -> None:
    vertices, faces = grid(25, 25)
    truth = np.linalg.norm(vertices - vertices[312], axis=1)
    found = geodesic_distance(vertices, faces, [312])
    assert found[312] == 0
    assert (found >= truth - 1e-7).all()
    ratio = found[truth > 0] / truth[truth > 0]
    assert ratio.max() < 1.09
    assert ratio.mean() < 1.04
    same_row = slice(300, 325)
    np.testing.assert_allclose(found[same_row], truth[same_row], atol=1e-7)


def test_on_a_sphere_it_is_the_angle() -> None:
    vertices, faces = sphere(4)
    angle = np.arccos(np.clip(vertices @ vertices[0], -1, 1))
    found = geodesic_distance(vertices, faces, [0])
    ratio = found[1:] / angle[1:]
    assert ratio.min() > 0.99
    assert ratio.max() < 1.06


def test_it_goes_round_a_slit_and_never_across() -> None:
    vertices, faces = grid(11, 11)
    # Cut between rows 5 and 6 except at the far right.
    low, high = vertices[faces][..., 1].min(axis=1), vertices[faces][..., 1].max(axis=1)
    left = vertices[faces][..., 0].max(axis=1) < 0.095
    cut = faces[~((low > 0.045) & (high < 0.065) & left)]
    found = geodesic_distance(vertices, cut, [5 * 11])
    assert found[6 * 11] > 0.18, "the way there and back, though the straight distance is 10 mm"


def test_several_sources_give_the_nearest_and_other_components_are_infinite() -> None:
    vertices, faces = grid(9, 4)
    both = np.concatenate([vertices, vertices + np.array([0, 0, 0.001])])
    doubled = np.concatenate([faces, faces + 36])
    found = geodesic_distance(both, doubled, [0, 8])
    np.testing.assert_allclose(
        found[:36], np.minimum(geodesic_distance(vertices, faces, [0]), geodesic_distance(vertices, faces, [8]))
    )
    assert np.isinf(found[36:]).all()


def test_points_between_vertices_are_sources_too() -> None:
    vertices, faces = grid(15, 15)
    points = np.array([[0.033, 0.052, 0.001], [0.111, 0.08, 0.0]])
    found = distance_to_points(vertices, faces, points)
    truth = np.linalg.norm(vertices[:, None, :2] - points[None, :, :2], axis=-1).min(axis=1)
    assert (found >= truth - 1e-7).all()
    assert (found <= truth * 1.09 + 5e-3).all()
    at_vertex = distance_to_points(vertices, faces, vertices[[100]])
    np.testing.assert_allclose(at_vertex, geodesic_distance(vertices, faces, [100]), atol=1e-9)


def test_bad_sources_are_named() -> None:
    vertices, faces = grid(3, 3)
    for sources in ([], [9], [-1]):
        with pytest.raises(UsageError, match="source vertices between 0 and 8"):
            geodesic_distance(vertices, faces, sources)
    for points in (np.zeros((0, 3)), np.array([[np.nan, 0, 0]])):
        with pytest.raises(UsageError, match="finite points"):
            distance_to_points(vertices, faces, points)


def test_the_way_over_a_shared_edge_must_cross_that_edge() -> None:
    # Two long triangles hinged at x = 0..1 with their tips side by side at x = 5: between the tips there is no surface.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [5, 1, 0], [5, -1, 0]], dtype=np.float32)
    found = geodesic_distance(vertices, np.array([[0, 1, 2], [1, 0, 3]]), [2])
    assert found[3] == pytest.approx(2 * np.sqrt(17))
