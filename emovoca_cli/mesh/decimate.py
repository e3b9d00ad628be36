"""Quadric decimation that keeps a subset of the vertices and stays manifold.

fast-simplification proposes the order of edge collapses (Garland and Heckbert 1997). It moves vertices to new places and lets
surfaces pinch, so its collapses are replayed here on the mesh itself: each merges one vertex into the other, at the place of that
other, where the quadric error is lower, and only if the surface stays a manifold of the same topology and no face turns over.
What was refused is proposed anew on the smaller mesh until the wanted number of vertices is reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import fast_simplification
import numpy as np
from numpy.typing import NDArray

from emovoca_cli.mesh.topology import AnyFloat, AnyInt, boundary_edges, edges, face_normals, half_edges
from emovoca_cli.types import Int

MINIMUM_COSINE = 0.2
"""A collapse may not turn the normal of a face further than this."""
MINIMUM_SHAPE = 0.08
"""Nor leave a sliver: 4 sqrt(3) area / sum of squared sides, 1 for an equilateral triangle."""
BOUNDARY_WEIGHT = 10.0
"""How much more leaving a boundary's line costs than leaving a face's plane."""
PROPOSAL_EDGE = 100.0
"""Mean edge length for the library, whose first thresholds are absolute: at smaller sizes it would collapse in index order."""

Place = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Decimation:
    """What is left: `kept` vertices (N,) ascending, `faces` (M,3) over them; `cluster` (V,): the kept one each has merged into."""

    kept: Int
    faces: Int
    cluster: Int


def decimate(vertices: AnyFloat, faces: AnyInt, target: int) -> Decimation:
    """Take vertices (V,3), faces (F,3) of a manifold down to `target` vertices, or as near as its topology allows.

    Every component keeps at least a tetrahedron or a triangle, every hole three edges, every vertex without faces itself.
    Deterministic.
    """
    surface = _Surface(np.asarray(vertices, dtype=np.float64), faces)
    excess = surface.count - target
    while excess > 0:
        done = surface.replay(surface.proposals(excess), excess)
        # What is left then are collapses the dearer way round, the cheapest first, and in the end any that topology allows.
        done = done or surface.collapse_cheapest(strict=True) or surface.collapse_cheapest(strict=False)
        if done == 0:
            break
        excess -= done
    return surface.result()


class _Surface:
    """A mesh under collapse: faces round each vertex as dictionaries (ordered sets), quadrics that add up."""

    def __init__(self, points: NDArray[np.float64], faces: AnyInt) -> None:
        self.points = points
        self.faces: dict[int, tuple[int, int, int]] = {
            index: (a, b, c) for index, (a, b, c) in enumerate(np.asarray(faces).tolist())
        }
        self.around: dict[int, dict[int, None]] = {vertex: {} for vertex in range(len(points))}
        for index, corners in self.faces.items():
            for vertex in corners:
                self.around[vertex][index] = None
        self.places: list[Place] = [(x, y, z) for x, y, z in points.tolist()]
        self.parent = np.arange(len(points))
        self.quadrics = _quadrics(points, faces)

    @property
    def count(self) -> int:
        return len(self.around)

    def proposals(self, wanted: int) -> list[tuple[int, int]]:
        """Vertex pairs to merge, best first, from the library's record of its own collapses."""
        triangles = np.array(list(self.faces.values()), dtype=np.int64).reshape(-1, 3)
        used, compact = np.unique(triangles, return_inverse=True)
        compact = compact.reshape(-1, 3).astype(np.int32)
        points = self.points[used]
        pairs = edges(compact)
        mean = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1).mean() if len(pairs) else 1.0
        centred = (points - points.mean(axis=0)) * (PROPOSAL_EDGE / max(mean, 1e-12))
        _, _, collapses = fast_simplification.simplify(
            centred, compact, target_count=max(0, len(compact) - 2 * wanted), return_collapses=True
        )
        return [(int(used[a]), int(used[b])) for a, b in collapses]

    def replay(self, proposals: Sequence[tuple[int, int]], limit: int) -> int:
        """Apply up to `limit` of the proposed collapses, each the way round that costs less; returns how many were possible."""
        name: dict[int, int] = {}
        done = 0
        for first, second in proposals:
            if done == limit:
                break
            a, b = name.get(first, first), name.get(second, second)
            if a not in self.around or b not in self.around or not self._possible(a, b):
                continue
            quadric = self.quadrics[a] + self.quadrics[b]
            kept, gone = min((a, b), (b, a), key=lambda pair: (_error(quadric, self.points[pair[0]]), pair))
            if self._keeps_shape(kept, gone):
                self._collapse(kept, gone)
                name[first] = kept
                done += 1
        return done

    def collapse_cheapest(self, *, strict: bool) -> int:
        """Do the possible collapse of least quadric error, either way round; not strict = whatever becomes of the faces' shape."""
        pairs = edges(np.array(list(self.faces.values()), dtype=np.int64).reshape(-1, 3)).astype(np.int64)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        places = np.concatenate([self.points, np.ones((len(self.points), 1))], axis=1)[both[:, 0]]
        cost = np.einsum("ni,nij,nj->n", places, self.quadrics[both[:, 0]] + self.quadrics[both[:, 1]], places)
        for kept, gone in both[np.argsort(cost, kind="stable")].tolist():
            if self._possible(kept, gone) and (not strict or self._keeps_shape(kept, gone)):
                self._collapse(kept, gone)
                return 1
        return 0

    def _neighbours(self, vertex: int) -> set[int]:
        return {corner for face in self.around[vertex] for corner in self.faces[face]} - {vertex}

    def _is_boundary(self, vertex: int, neighbours: set[int]) -> bool:
        return len(self.around[vertex]) < len(neighbours)

    def _possible(self, a: int, b: int) -> bool:
        """The link condition (Dey et al. 1999), with a virtual vertex in every hole."""
        shared = self.around[a].keys() & self.around[b].keys()
        if not shared:
            return False
        near_a, near_b = self._neighbours(a), self._neighbours(b)
        if len(near_a & near_b) != len(shared):
            return False
        if len(shared) == 2 and self._is_boundary(a, near_a) and self._is_boundary(b, near_b):
            return False
        staying = [face for vertex in (a, b) for face in self.around[vertex] if face not in shared]
        merged = {frozenset(a if corner == b else corner for corner in self.faces[face]) for face in staying}
        return len(staying) > 0 and len(merged) == len(staying)

    def _keeps_shape(self, kept: int, gone: int) -> bool:
        """Whether the faces that move with `gone` stay the right way round and do not become slivers."""
        for face in self.around[gone]:
            corners = self.faces[face]
            if kept in corners:
                continue
            before = _triangle(*(self.places[corner] for corner in corners))
            after = _triangle(*(self.places[kept if corner == gone else corner] for corner in corners))
            turned = sum(x * y for x, y in zip(before.normal, after.normal, strict=True))
            if turned < MINIMUM_COSINE * before.size * after.size or after.shape < min(MINIMUM_SHAPE, before.shape):
                return False
        return True

    def _collapse(self, kept: int, gone: int) -> None:
        for face in list(self.around[gone]):
            corners = self.faces[face]
            if kept in corners:
                for corner in corners:
                    del self.around[corner][face]
                del self.faces[face]
            else:
                a, b, c = (kept if corner == gone else corner for corner in corners)
                self.faces[face] = (a, b, c)
                self.around[kept][face] = None
        del self.around[gone]
        self.quadrics[kept] = self.quadrics[kept] + self.quadrics[gone]
        self.parent[gone] = kept

    def result(self) -> Decimation:
        kept = np.array(sorted(self.around), dtype=np.int32)
        cluster = self.parent
        while (cluster != self.parent[cluster]).any():
            cluster = self.parent[cluster]
        place = np.full(len(self.points), -1, dtype=np.int32)
        place[kept] = np.arange(len(kept))
        corners = np.array([self.faces[face] for face in sorted(self.faces)], dtype=np.int64).reshape(-1, 3)
        return Decimation(kept=kept, faces=place[corners], cluster=place[cluster])


def _quadrics(points: NDArray[np.float64], faces: AnyInt) -> NDArray[np.float64]:
    """Sum (V,4,4) of the squared-distance forms of the planes round each vertex, and of planes that stand on boundaries."""
    corners = np.asarray(faces, dtype=np.int64)
    normals = face_normals(points, corners)
    size = np.linalg.norm(normals, axis=1, keepdims=True)
    unit = normals / np.maximum(size, 1e-300)
    quadrics = np.zeros((len(points), 4, 4))
    _add_planes(quadrics, unit, points[corners[:, 0]], size[:, 0] / 2, corners)
    rim = boundary_edges(faces).astype(np.int64)
    if len(rim):
        # The face of each boundary edge, to stand a plane on it.
        directed = half_edges(corners)
        place = {(a, b): index // 3 for index, (a, b) in enumerate(directed.tolist())}
        owner = np.array([place[a, b] for a, b in rim.tolist()])
        along = points[rim[:, 1]] - points[rim[:, 0]]
        wall = np.cross(along, unit[owner])
        length = np.linalg.norm(along, axis=1)
        wall /= np.maximum(np.linalg.norm(wall, axis=1, keepdims=True), 1e-300)
        _add_planes(quadrics, wall, points[rim[:, 0]], BOUNDARY_WEIGHT * length**2, rim)
    return quadrics


def _add_planes(
    quadrics: NDArray[np.float64], normals: AnyFloat, origins: AnyFloat, weights: AnyFloat, members: NDArray[np.int64]
) -> None:
    planes = np.concatenate([normals, -np.einsum("nd,nd->n", normals, origins)[:, None]], axis=1)
    forms = weights[:, None, None] * planes[:, :, None] * planes[:, None, :]
    for column in range(members.shape[1]):
        np.add.at(quadrics, members[:, column], forms)


def _error(quadric: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    place = np.append(point, 1.0)
    return float(place @ quadric @ place)


class _Triangle(NamedTuple):
    normal: tuple[float, float, float]
    size: float
    shape: float


def _triangle(a: Place, b: Place, c: Place) -> _Triangle:
    """Normal, its length and the shape measure of three corners; plain floats, because arrays this small only cost."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    wx, wy, wz = vx - ux, vy - uy, vz - uz
    normal = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
    size = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    squares = ux * ux + uy * uy + uz * uz + vx * vx + vy * vy + vz * vz + wx * wx + wy * wy + wz * wz
    return _Triangle(normal, size, 2 * math.sqrt(3.0) * size / squares if squares > 0 else 0.0)
