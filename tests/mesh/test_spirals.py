"""The spiral order: rules on meshes that one can read, and the released tables entry for entry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.spirals import nearest_references, spirals
from emovoca_cli.mesh.topology import adjacency, boundary_mask, one_rings
from tests.helpers import shared_data
from tests.mesh.meshes import grid, sphere

pytestmark = pytest.mark.unit

FLAME_REFERENCES = (3567, 4051, 4597)
RELEASED_RINGS = (2, 2, 1, 1, 1)
RELEASED_LENGTHS = (15, 14, 9, 9, 7)


def test_the_released_hierarchy_gives_the_released_tables_entry_for_entry() -> None:
    folder = shared_data()
    meshes = load_pickle(folder / "emovoca_release" / "template" / "downsampling_matrices.pkl")["M_verts_faces"]
    finest = meshes[0][0]
    with np.load(folder / "release_parity" / "spirals.npz") as tables:
        for level, (vertices, faces) in enumerate(meshes):
            references = nearest_references(vertices, finest[list(FLAME_REFERENCES)])
            rings = RELEASED_RINGS[level]
            table = spirals(vertices, faces, references, rings=rings, dilation=rings)
            assert table.shape == (len(vertices), RELEASED_LENGTHS[level])
            np.testing.assert_array_equal(table, tables[f"level{level}"][:-1], err_msg=f"level {level}")
            assert (tables[f"level{level}"][-1] == -1).all()


def test_a_grid_read_by_hand() -> None:
    #  6 7 8
    #  3 4 5      diagonals from lower left to upper right
    #  0 1 2
    vertices, faces = grid(3, 3)
    table = spirals(vertices, faces, [8], length=8)
    np.testing.assert_array_equal(table[4], [4, 8, 7, 3, 0, 1, 5, -1])  # inside: towards 8, then counter-clockwise
    np.testing.assert_array_equal(table[8], [8, 5, -1, 7, 4, -1, -1, -1])  # the reference: from its nearest neighbour
    np.testing.assert_array_equal(table[0], [0, 4, 3, -1, 1, -1, -1, -1])  # a corner: the gap between 3 and 1
    np.testing.assert_array_equal(table[7], [7, 8, -1, 6, 3, 4, -1, -1])
    np.testing.assert_array_equal(
        table[2], [2, 5, 1, -1, -1, -1, -1, -1]
    )  # starts at the boundary and runs inwards: gap at the end


def test_the_second_ring_follows_the_first_and_dilation_takes_every_other() -> None:
    vertices, faces = grid(7, 7)
    whole = spirals(vertices, faces, [48], rings=2, length=19)
    # 24 is the middle; ring 2 starts at 33, beyond the edge between the last and the first vertex of ring 1 (25 and 32).
    ring, outer = [32, 31, 23, 16, 17, 25], [33, 40, 39, 38, 30, 22, 15, 8, 9, 10, 18, 26]
    np.testing.assert_array_equal(whole[24], [24, *ring, *outer])
    thin = spirals(vertices, faces, [48], rings=2, dilation=2, length=10)
    np.testing.assert_array_equal(thin[24], np.concatenate([whole[24][:1], whole[24][1::2]]))


@pytest.mark.parametrize("rings", [1, 2, 3])
def test_rows_begin_with_their_vertex_walk_the_ring_and_never_repeat(rings: int) -> None:
    for (vertices, faces), reference in ((grid(9, 7), 3), (sphere(2), 5)):
        table = spirals(vertices, faces, [reference], rings=rings, length=60)
        boundary = boundary_mask(faces, len(vertices))
        graph = adjacency(faces, len(vertices))
        for vertex, (row, ring) in enumerate(zip(table.tolist(), one_rings(faces, len(vertices)), strict=True)):
            assert row[0] == vertex
            met = [entry for entry in row if entry >= 0]
            assert len(met) == len(set(met))
            first = row[1 : 1 + len(ring) + int(boundary[vertex])]
            cycle = [*ring, -1] if boundary[vertex] else ring
            start = first.index(cycle[0])
            assert first[start:] + first[:start] == cycle
            reach = graph[vertex].toarray()[0] > 0
            for _ in range(rings - 1):
                reach |= (graph @ reach.astype(float)) > 0
            assert set(met) <= set(np.flatnonzero(reach).tolist()) | {vertex}
            if not boundary.any():
                assert set(met) == set(np.flatnonzero(reach).tolist()) | {vertex}


def test_each_walk_starts_on_the_shortest_path_to_the_reference() -> None:
    vertices, faces = grid(9, 9)
    table = spirals(vertices, faces, [80], length=8)
    target = vertices[80]
    for vertex in range(80):
        assert np.linalg.norm(vertices[table[vertex, 1]] - target) < np.linalg.norm(vertices[vertex] - target)


def test_the_default_length_is_mean_plus_two_deviations() -> None:
    vertices, faces = grid(8, 6)
    full = spirals(vertices, faces, [0], length=40)
    # A row's own length includes a gap at its end, which padding hides: ring and gap are counted from the mesh.
    sizes = np.array([len(ring) + 1 for ring in one_rings(faces, 48)]) + boundary_mask(faces, 48)
    table = spirals(vertices, faces, [0])
    assert table.shape[1] == int(sizes.mean() + 2 * sizes.std())
    np.testing.assert_array_equal(table, full[:, : table.shape[1]])


def test_components_without_a_reference_and_lone_vertices_are_served() -> None:
    vertices, faces = grid(3, 3)
    both = np.concatenate([vertices, vertices + np.array([1, 0, 0]), [[9, 9, 9]]]).astype(np.float32)
    table = spirals(both, np.concatenate([faces, faces + 9]), [8], length=8)
    np.testing.assert_array_equal(table[:9], spirals(vertices, faces, [8], length=8))
    # Of the second sheet, its upper left vertex is nearest to (0.02, 0.02): its neighbour to the right starts there.
    assert table[9 + 7, 1] == 9 + 6
    np.testing.assert_array_equal(table[18], [18, -1, -1, -1, -1, -1, -1, -1])


def test_surfaces_that_are_not_manifold_are_tolerated() -> None:
    vertices, faces = grid(4, 4)
    bowtie = np.concatenate([faces, [[5, 16, 17], [0, 5, 18]]])
    points = np.concatenate([vertices, vertices[:3] + np.array([0, 0, 0.1])]).astype(np.float32)
    for rings in (1, 2, 3):
        table = spirals(points, bowtie, [0], rings=rings, length=40)
        for vertex, row in enumerate(table.tolist()):
            met = [entry for entry in row if entry >= 0]
            assert row[0] == vertex
            assert len(met) == len(set(met))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), columns=st.integers(3, 7), rows=st.integers(3, 7))
def test_numbering_of_vertices_and_faces_does_not_matter(seed: int, columns: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    vertices, faces = grid(columns, rows)
    vertices = vertices + random.normal(scale=5e-4, size=vertices.shape).astype(np.float32)  # no ties
    order = random.permutation(len(vertices))
    place = np.argsort(order)
    turned = np.array([np.roll(face, random.integers(3)) for face in place[faces]])[random.permutation(len(faces))]
    table = spirals(vertices, faces, [0], rings=2, length=24)
    other = spirals(vertices[order], turned, [int(place[0])], rings=2, length=24)
    named = np.where(other >= 0, order[other], -1)
    np.testing.assert_array_equal(named[place], table)


def test_references_of_a_coarse_mesh_are_the_nearest_and_ties_go_to_the_lowest() -> None:
    vertices, _ = grid(3, 3, step=1.0)
    assert nearest_references(vertices, np.array([[1.9, 1.8, 0.3], [0.5, 0.5 + 1e-9, 0]])).tolist() == [8, 0]
    labels = np.array([0] * 6 + [1] * 3)
    assert nearest_references(vertices, np.array([[0, 0, 0], [0, 0, 0]]), labels, np.array([1, 0])).tolist() == [6, 0]


@pytest.mark.parametrize(
    ("references", "extra", "message"),
    [
        ([], {}, r"reference vertices between 0 and 8, got \[\]"),
        ([9], {}, r"reference vertices between 0 and 8, got \[9\]"),
        ([-1], {}, r"got \[-1\]"),
        ([0], {"rings": 0}, "at least 1, got 0, 1, None"),
        ([0], {"dilation": 0}, "at least 1, got 1, 0, None"),
        ([0], {"length": 0}, "at least 1, got 1, 1, 0"),
    ],
)
def test_what_makes_no_sense_is_refused(references: list[int], extra: dict[str, int], message: str) -> None:
    vertices, faces = grid(3, 3)
    with pytest.raises(UsageError, match=message):
        spirals(vertices, faces, references, **extra)
