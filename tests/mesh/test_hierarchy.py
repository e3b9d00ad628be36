"""Levels, ways between them, and the file they are kept in."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from emovoca_cli.data.restricted import load_pickle
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.mesh.decimate import decimate
from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.hierarchy import Hierarchy, build_hierarchy, hierarchy_of
from emovoca_cli.mesh.landmarks import LOWER_LIP, UPPER_LIP, eye_distance, landmark_points
from emovoca_cli.mesh.topology import boundary_loops, boundary_mask, components, manifold_problem, vertex_areas
from emovoca_cli.types import MeshTemplate
from tests.helpers import shared_data
from tests.mesh import meshes
from tests.mesh.meshes import grid, sphere

pytestmark = pytest.mark.unit


@cache
def flame() -> tuple[MeshTemplate, Hierarchy, float]:
    template = meshes.flame()
    start = time.process_time()
    hierarchy = build_hierarchy(template)
    return template, hierarchy, time.process_time() - start


@cache
def ict() -> tuple[MeshTemplate, Hierarchy]:
    template = meshes.ict_face()
    return template, build_hierarchy(template, levels=1)


def raised(hierarchy: Hierarchy, level: int, values: np.ndarray) -> np.ndarray:
    """Values (V_{level+1},C) of a level brought to the next finer one."""
    indices, weights = hierarchy.up[level]
    return (values[indices] * weights[..., None]).sum(axis=1)


def check_invariants(hierarchy: Hierarchy) -> None:
    for index, level in enumerate(hierarchy.levels):
        count = len(level.vertices)
        assert manifold_problem(level.faces, count) is None
        assert len(np.unique(level.faces)) == count, "every vertex has a face"
        np.testing.assert_array_equal(level.spirals[:, 0], np.arange(count))
        assert level.spirals.min() >= -1
        assert level.spirals.max() < count
        assert level.vertices.dtype == np.float32
        assert level.faces.dtype == level.spirals.dtype == np.int32
        if index + 1 == len(hierarchy.levels):
            continue
        kept, (indices, weights) = hierarchy.down[index], hierarchy.up[index]
        assert len(np.unique(kept)) == len(kept) == hierarchy.sizes[index + 1]
        np.testing.assert_array_equal(level.vertices[kept], hierarchy.levels[index + 1].vertices)
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
        assert weights.min() >= 0
        assert indices.dtype == np.int32
        assert weights.dtype == np.float32
        # A kept vertex gets exactly its own coarse value back.
        values = np.random.default_rng(index).normal(size=(len(kept), 2)).astype(np.float32)
        np.testing.assert_array_equal(raised(hierarchy, index, values)[kept], values)


def test_flame_has_the_level_sizes_of_the_release_in_seconds() -> None:
    _, hierarchy, seconds = flame()
    assert hierarchy.sizes == (5023, 1256, 314, 79, 20)
    assert seconds < 30, "about 2 s on an idle core"
    check_invariants(hierarchy)
    for level in hierarchy.levels:
        labels = components(level.faces, len(level.vertices))
        assert labels.max() == 2, "the skin and two eyeballs stay apart"
        assert len(boundary_loops(level.faces)) == 2, "both openings stay open"


def test_flame_is_rebuilt_from_coarse_levels_at_least_as_well_as_with_the_released_matrices() -> None:
    template, hierarchy, _ = flame()
    released = load_pickle(shared_data() / "emovoca_release" / "template" / "downsampling_matrices.pkl")
    area = vertex_areas(template.vertices, template.faces)
    for level, bound in ((0, 1.05), (1, 1.0)):
        ours = np.linalg.norm(
            raised(hierarchy, level, hierarchy.levels[level + 1].vertices) - hierarchy.levels[level].vertices, axis=1
        )
        finer, coarser = (released["M_verts_faces"][index][0] for index in (level, level + 1))
        theirs = np.linalg.norm(released["U"][level] @ coarser - finer, axis=1)
        assert ours.mean() < bound * theirs.mean()
        assert ours.max() < theirs.max()
    assert area.min() > 0


def lip_sides(template: MeshTemplate) -> tuple[np.ndarray, np.ndarray]:
    """Masks (V,) of the upper and the lower lip, without the corners, by distance along the surface."""
    marks = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)
    # Landmarks lie on the lips' rims: the nearest vertex of their own face cannot be on the other lip.
    scale = eye_distance(marks)
    upper, lower, corners = (
        distance_to_points(template.vertices, template.faces, marks[list(numbers)]) / scale
        for numbers in (UPPER_LIP, LOWER_LIP, (48, 54, 60, 64))
    )
    inside = (np.minimum(upper, lower) < 0.12) & (corners > 0.06)
    return inside & (upper < lower), inside & (lower < upper)


@pytest.mark.parametrize("source", ["flame", "ict"])
def test_closed_lips_never_take_from_one_another(source: str) -> None:
    template, hierarchy = flame()[:2] if source == "flame" else ict()
    sides = lip_sides(template)
    assert min(side.sum() for side in sides) > 60
    numbers = np.arange(len(template.vertices))
    for level in range(min(2, len(hierarchy.down))):  # beyond, the mouth is a handful of vertices
        coarse = numbers[hierarchy.down[level]]
        indices, weights = hierarchy.up[level]
        for own, other in (sides, sides[::-1]):
            taken = other[coarse[indices]] & (weights > 1e-4)
            assert not taken[own[numbers]].any()
        numbers = coarse
    # The test would notice: matching by distance alone does mix them here.
    points = template.vertices.astype(np.float64)
    coarse = hierarchy.down[0]
    nearest = coarse[np.argmin(np.linalg.norm(points[sides[0]][:, None] - points[coarse][None], axis=-1), axis=1)]
    assert sides[1][nearest].any()


def test_on_a_flat_grid_down_then_up_gives_affine_functions_back() -> None:
    vertices, faces = grid(17, 13)
    hierarchy = hierarchy_of(vertices, faces, 0, levels=2)
    check_invariants(hierarchy)
    assert hierarchy.sizes == (221, 56, 14)
    random = np.random.default_rng(0)
    for level in (0, 1):
        fine, coarse = hierarchy.levels[level].vertices, hierarchy.levels[level + 1].vertices
        matrix, offset = random.normal(size=(3, 4)), random.normal(size=4)
        np.testing.assert_allclose(raised(hierarchy, level, coarse @ matrix + offset), fine @ matrix + offset, atol=1e-6)
    corners = {0, 16, 17 * 12, 17 * 13 - 1}
    assert corners <= set(hierarchy.down[0].tolist()), "the outline stays"


def test_a_sphere_stays_a_sphere() -> None:
    vertices, faces = sphere(4)
    hierarchy = hierarchy_of(vertices, faces, 0, levels=3)
    check_invariants(hierarchy)
    assert hierarchy.sizes == (2562, 641, 161, 41)
    for level in (0, 1, 2):
        radius = np.linalg.norm(raised(hierarchy, level, hierarchy.levels[level + 1].vertices), axis=1)
        assert radius.min() > (0.97, 0.9, 0.7)[level]
        assert radius.max() <= 1 + 1e-6


def test_building_twice_gives_the_same_bits_whatever_the_unit() -> None:
    vertices, faces = sphere(3)
    first, second, large = (hierarchy_of(points, faces, 7, levels=2) for points in (vertices, vertices, vertices * 1024))
    for name, array in first.arrays().items():
        np.testing.assert_array_equal(array, second.arrays()[name])
    for one, other in zip(first.down, large.down, strict=True):
        np.testing.assert_array_equal(one, other)


def test_decimation_stops_where_topology_would_break() -> None:
    vertices, faces = sphere(1)
    both = np.concatenate([vertices, vertices + 5])
    left = decimate(both, np.concatenate([faces, faces + 42]), 1)
    assert len(left.kept) == 8, "two tetrahedra"
    assert manifold_problem(left.faces, 8) is None
    sheet, triangles = grid(5, 5)
    left = decimate(sheet, triangles, 1)
    assert (len(left.kept), len(left.faces)) == (3, 1)
    keep = ~np.isin(triangles, [12]).any(axis=1)
    left = decimate(np.delete(sheet, 12, axis=0), np.where(triangles > 12, triangles - 1, triangles)[keep], 1)
    assert [len(loop) for loop in boundary_loops(left.faces)] == [3, 3], "the hole keeps three edges"
    lone = decimate(np.concatenate([sheet, [[9, 9, 9]]]), triangles, 5)
    assert lone.kept[-1] == 25
    assert lone.cluster[25] == 4


def test_clusters_are_connected_and_boundaries_stay_on_boundaries() -> None:
    vertices, faces = grid(12, 10)
    left = decimate(vertices, faces, 40)
    fine, coarse = boundary_mask(faces, 120), boundary_mask(left.faces, 40)
    np.testing.assert_array_equal(left.cluster[left.kept], np.arange(40))
    assert fine[left.kept[coarse]].all()
    for cluster in range(40):
        inside = left.cluster == cluster
        own = faces[inside[faces].sum(axis=1) >= 2]
        edges = np.concatenate([own[:, [0, 1]], own[:, [1, 2]], own[:, [2, 0]]])
        edges = edges[inside[edges].all(axis=1)]
        reached = {int(left.kept[cluster])}
        for _ in range(120):
            reached |= {int(vertex) for edge in edges if set(edge.tolist()) & reached for vertex in edge}
        assert reached == set(np.flatnonzero(inside).tolist())


def test_no_levels_are_one_level_and_nonsense_is_refused() -> None:
    vertices, faces = grid(4, 4)
    alone = hierarchy_of(vertices, faces, 0, levels=0)
    assert (alone.sizes, alone.down, alone.up) == ((16,), (), ())
    for extra in ({"levels": -1}, {"factor": 1}):
        with pytest.raises(UsageError, match="levels of at least 0 and a factor of at least 2"):
            hierarchy_of(vertices, faces, 0, **extra)
    marks = np.repeat(vertices[:1], 68, axis=0)
    template = meshes.template_of(vertices, np.concatenate([faces, faces[:1]]), marks)
    with pytest.raises(TopologyError, match="not manifold"):
        build_hierarchy(template)


def test_a_file_brings_everything_back_and_a_broken_one_is_named(tmp_path: Path) -> None:
    hierarchy = hierarchy_of(*sphere(2), 0, levels=2)
    path = tmp_path / "hierarchy.npz"
    hierarchy.save(path)
    read = Hierarchy.load(path)
    assert read.sizes == hierarchy.sizes
    for name, array in hierarchy.arrays().items():
        np.testing.assert_array_equal(read.arrays()[name], array)
        assert read.arrays()[name].dtype == array.dtype

    with pytest.raises(UsageError, match="does not exist"):
        Hierarchy.load(tmp_path / "none.npz")
    whole = path.read_bytes()
    for content in (b"", b"junk", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is not an emovoca hierarchy"):
            Hierarchy.load(path)
    arrays = hierarchy.arrays()
    for change, message in (
        ({"schema": np.array(99)}, "hierarchy schema 99, this version reads up to 2; update emovoca"),
        ({"spirals1": arrays["spirals1"] + 1}, "spirals on level 1 that do not fit"),
        ({"up_indices0": arrays["up_indices0"] + 1}, "a step from level 0 that does not fit"),
        ({"down1": arrays["down1"][:-1]}, "a step from level 1 that does not fit"),
    ):
        np.savez(path, **{**arrays, **change})
        with pytest.raises(DataError, match=message):
            Hierarchy.load(path)
