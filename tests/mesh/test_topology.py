"""Edges, rings, boundaries, components, normals."""

from __future__ import annotations

import numpy as np
import pytest

from emovoca_cli.errors import TopologyError
from emovoca_cli.mesh import topology
from tests.mesh.meshes import grid, sphere

pytestmark = pytest.mark.unit


def test_edges_of_a_grid_are_those_that_one_can_count() -> None:
    _, faces = grid(4, 3)
    pairs = topology.edges(faces)
    assert len(pairs) == 3 * 3 + 4 * 2 + 3 * 2  # along, up, diagonals
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(topology.boundary_edges(faces)) == 2 * (3 + 2)
    assert topology.boundary_mask(faces, 12).tolist() == [True] * 5 + [False] * 2 + [True] * 5


def test_boundary_loops_run_with_their_faces_longest_first() -> None:
    vertices, faces = grid(7, 7)
    keep = ~np.isin(faces, [24]).any(axis=1)  # a hole round the middle vertex
    outer, hole = topology.boundary_loops(faces[keep])
    assert (len(outer), len(hole)) == (24, 6)

    def signed_area(loop: np.ndarray) -> float:
        x, y = vertices[loop, 0], vertices[loop, 1]
        return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)

    assert signed_area(outer) == pytest.approx(0.06**2)
    assert signed_area(hole) < 0
    assert topology.boundary_loops(sphere(1)[1]) == []


def test_two_holes_that_touch_are_two_loops() -> None:
    _, faces = grid(7, 4)
    keep = ~np.isin(np.arange(len(faces)), np.flatnonzero(np.isin(faces, [8]).any(axis=1) | np.isin(faces, [17]).any(axis=1)))
    loops = topology.boundary_loops(faces[keep])
    edges = sorted(map(tuple, topology.boundary_edges(faces[keep]).tolist()))
    assert sorted((a, b) for loop in loops for a, b in zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True)) == edges
    assert all(len(set(loop.tolist())) == len(loop) for loop in loops)


def test_rings_go_round_counter_clockwise_and_boundary_rings_start_at_the_boundary() -> None:
    vertices, faces = grid(5, 4)
    rings = topology.one_rings(faces, 20)
    neighbours = topology.adjacency(faces, 20)
    boundary = topology.boundary_mask(faces, 20)
    for vertex, ring in enumerate(rings):
        assert sorted(ring) == neighbours[vertex].indices.tolist()
        arms = (vertices[ring] - vertices[vertex])[:, :2].astype(np.float64)
        turns = arms[:, 0] * np.roll(arms[:, 1], -1) - arms[:, 1] * np.roll(arms[:, 0], -1)
        assert (turns[: len(ring) - int(boundary[vertex])] > 0).all()
    assert rings[0] == [1, 6, 5]
    assert rings[6] == [0, 1, 7, 12, 11, 5]


def test_a_vertex_without_faces_has_no_ring_and_is_a_component() -> None:
    _, faces = grid(3, 3)
    assert topology.one_rings(faces, 10)[9] == []
    assert topology.components(np.concatenate([faces, faces + 10]), 20).tolist() == [0] * 9 + [1] + [2] * 9 + [3]


MANIFOLD = grid(3, 3)[1].tolist()
BROKEN = {
    "edge 0-1 belongs to 3 faces": [*MANIFOLD, [1, 0, 9], [0, 1, 10]],
    "the two faces at edge 0-1 disagree in orientation": [[0, 1, 2], [0, 1, 3]],
    "vertex 0 joins 2 separate fans of faces": [[0, 1, 2], [0, 3, 4]],
    "face 1 uses a vertex twice": [[0, 1, 2], [3, 3, 4]],
    "face 0 names a vertex outside 0..10": [[0, 1, 11]],
}


@pytest.mark.parametrize("message", sorted(BROKEN))
def test_what_is_not_manifold_is_named(message: str) -> None:
    with pytest.raises(TopologyError, match=message):
        topology.check_manifold(np.array(BROKEN[message]), 11)


def test_what_is_manifold_passes() -> None:
    for faces, count in ((grid(3, 3)[1], 9), (sphere(2)[1], 162), (np.zeros((0, 3), dtype=np.int32), 4)):
        topology.check_manifold(faces, count)
    # Two closed fans that share no edge but lie on one vertex are a pinch too.
    ball = sphere(1)[1]
    other = np.where(ball == 0, 0, ball + 41)
    with pytest.raises(TopologyError, match="vertex 0 joins 2 separate fans"):
        topology.check_manifold(np.concatenate([ball, other]), 83)


def test_normals_of_a_sphere_are_its_radii_and_areas_sum_to_its_surface() -> None:
    vertices, faces = sphere(4, radius=2.0)
    normals = topology.vertex_normals(vertices, faces)
    assert np.einsum("vd,vd->v", normals, vertices / 2.0).min() > 0.9995
    areas = topology.vertex_areas(vertices, faces)
    assert areas.shape == (len(vertices),)
    assert areas.sum() == pytest.approx(4 * np.pi * 4, rel=0.01)
    assert areas.min() > 0


def test_normals_of_many_frames_equal_those_of_each() -> None:
    vertices, faces = sphere(1)
    frames = vertices + np.random.default_rng(0).normal(scale=0.1, size=(2, 3, *vertices.shape)).astype(np.float32)
    together = topology.vertex_normals(frames, faces)
    assert together.shape == frames.shape
    for index in np.ndindex(2, 3):
        np.testing.assert_array_equal(together[index], topology.vertex_normals(frames[index], faces))
    np.testing.assert_array_equal(topology.vertex_normals(np.zeros_like(vertices), faces), 0)
    assert topology.vertex_normals(frames[:0], faces).shape == (0, 3, *vertices.shape)
