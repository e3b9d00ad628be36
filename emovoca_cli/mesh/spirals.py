"""Spiral orderings (Bouritsas et al. 2019, Neural 3D Morphable Models): the one order of neighbours that spiral convolutions read.

The rules, for one vertex:

- it comes first;
- ring 1 starts at the neighbour through which the shortest path along edges to the component's reference vertex leaves (at the
  reference itself: the nearest neighbour) and goes round counter-clockwise, seen from outside;
- where the surface ends, the ring has one -1 for the gap and goes on at its other side;
- ring n+1 starts at the outer vertex of the face that closes ring n (the one with its last and first vertex); where there is none,
  at the first face along ring n that leads outwards; it walks along the faces that touch ring n with one vertex;
- dilation d keeps the vertex itself and of the rest every d-th, from the first;
- the table is cut and filled with -1 to one length, by default int(mean + 2 standard deviations) of the lengths of the level.

-1 means "nothing here": a convolution reads zeros. Where an outer ring touches itself, or the mesh is not manifold (coarse levels
of other people's hierarchies), several faces may be there to go on with. No geometry decides then, and no vertex comes twice; the
released tables took the first in the iteration order of a Python set of corner triples, so we do. That order does not depend on
the hash seed, and tables are stored with every model.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, components, edges
from emovoca_cli.types import Int

GAP = -1


def spirals(
    vertices: AnyFloat,
    faces: AnyInt,
    references: Sequence[int] | AnyInt,
    *,
    rings: int = 1,
    dilation: int = 1,
    length: int | None = None,
) -> Int:
    """Spiral table (V,L) of a mesh: row = vertex, -1 = nothing there. Bouritsas et al. 2019, section 3.

    vertices (V,3), faces (F,3), `references` vertex indices, one for each component (of two in one component the later one
    counts; a component without one gets its vertex nearest to the first reference); L = `length`, or int(mean + 2 std) of this
    mesh's spirals. Raises UsageError for references, rings, dilation or length that make no sense.
    """
    points = np.asarray(vertices, dtype=np.float64)
    sources = _references(points, faces, references)
    if rings < 1 or dilation < 1 or (length is not None and length < 1):
        raise UsageError(f"spirals need rings, dilation and length of at least 1, got {rings}, {dilation}, {length}")
    walker = _Walker(points, faces)
    towards = walker.towards(sources)
    rows = []
    for vertex, start in enumerate(towards):
        spiral = walker.spiral(vertex, start, rings)
        rows.append(spiral[:1] + spiral[1::dilation])
    if length is None:
        sizes = np.array([len(row) for row in rows])
        length = int(sizes.mean() + 2 * sizes.std())
    table = np.full((len(rows), length), GAP, dtype=np.int32)
    for vertex, row in enumerate(rows):
        table[vertex, : min(len(row), length)] = row[:length]
    return table


def nearest_references(
    vertices: AnyFloat, reference_points: AnyFloat, labels: AnyInt | None = None, wanted: AnyInt | None = None
) -> Int:
    """Vertex (N,) nearest to each of `reference_points` (N,3); with `labels` (V,) and `wanted` (N,) of that label only."""
    points = np.asarray(vertices, dtype=np.float64)
    distance = np.linalg.norm(points[None] - np.asarray(reference_points, dtype=np.float64)[:, None], axis=-1)
    if labels is not None and wanted is not None:
        inside = np.asarray(labels)[None] == np.asarray(wanted)[:, None]
        distance = np.where(inside | ~inside.any(axis=1, keepdims=True), distance, np.inf)
    nearest = distance.min(axis=1, keepdims=True)
    # A mirror-symmetric mesh has exact ties; rounding must not decide them.
    return np.asarray(np.argmax(distance <= nearest * (1 + 1e-6), axis=1), dtype=np.int32)


def _references(points: AnyFloat, faces: AnyInt, references: Sequence[int] | AnyInt) -> list[int]:
    given = np.asarray(references, dtype=np.int64).reshape(-1)
    if len(given) == 0 or given.min() < 0 or given.max() >= len(points):
        raise UsageError(f"spirals need reference vertices between 0 and {len(points) - 1}, got {given.tolist()}")
    labels = components(faces, len(points))
    missing = np.setdiff1d(labels, labels[given])
    filled = nearest_references(points, np.repeat(points[given[:1]], len(missing), axis=0), labels, missing)
    return [*given.tolist(), *filled.tolist()]


Face = tuple[int, int, int]


class _Walker:
    """The mesh as plain lists: walking is a loop over a few neighbours, where arrays would only cost."""

    def __init__(self, points: AnyFloat, faces: AnyInt) -> None:
        count = len(points)
        self.around: list[list[Face]] = [[] for _ in range(count)]
        for a, b, c in np.asarray(faces).tolist():
            for vertex in (a, b, c):
                self.around[vertex].append((a, b, c))
        pairs = edges(faces)
        lengths = np.sqrt(np.square(points[pairs[:, 0]] - points[pairs[:, 1]]).sum(axis=1))
        self.neighbours: list[list[int]] = [[] for _ in range(count)]
        self.lengths: list[list[float]] = [[] for _ in range(count)]
        both = np.concatenate([pairs, pairs[:, ::-1]])
        order = np.lexsort((both[:, 1], both[:, 0]))
        for (a, b), step in zip(both[order].tolist(), np.concatenate([lengths, lengths])[order].tolist(), strict=True):
            self.neighbours[a].append(b)
            self.lengths[a].append(step)

    def towards(self, sources: Sequence[int]) -> list[int | None]:
        """The next vertex on each vertex's shortest path to its reference; None where there is no neighbour."""
        following: list[int | None] = [None] * len(self.neighbours)
        for source in sources:
            done: set[int] = set()
            # Ties go to the lower vertex, then to the lower predecessor.
            queue: list[tuple[float, int, int]] = [(0.0, source, -1)]
            while queue:
                distance, vertex, origin = heapq.heappop(queue)
                if vertex in done:
                    continue
                done.add(vertex)
                following[vertex] = origin
                for neighbour, step in zip(self.neighbours[vertex], self.lengths[vertex], strict=True):
                    if neighbour not in done:
                        heapq.heappush(queue, (distance + step, neighbour, vertex))
        for source in sources:
            around = self.neighbours[source]
            following[source] = around[int(np.argmin(self.lengths[source]))] if around else None
        return following

    def spiral(self, vertex: int, start: int | None, rings: int) -> list[int]:
        """The undilated spiral of one vertex, gaps included."""
        row = [vertex]
        seen = {vertex}
        if start is None:
            return row
        ring = self._walk(start, set(self.around[vertex]), seen)
        row += ring
        for _ in range(rings - 1):
            outer = self._outer_faces(ring, seen)
            first = self._outer_start(ring, outer, seen)
            if first is None:
                break
            ring = self._walk(first, outer, seen)
            row += ring
        return row

    def _walk(self, start: int, unused: set[Face], seen: set[int]) -> list[int]:
        """One ring over `unused` faces from `start`: counter-clockwise to the end, a gap, then what lies before the start."""
        seen.add(start)
        choices = self._at(start, unused)
        ahead: list[int] = []
        if len(choices) > 1:
            ahead = self._run(choices[0 if _counter_clockwise(choices[0], start, seen) else 1], start, unused, seen)
        rest = self._at(start, unused)
        if len(rest) != 1:
            return [start, *ahead]
        at_the_end = len(choices) == 1 and _counter_clockwise(rest[0], start, seen)
        behind = self._run(rest[0], start, unused, seen)
        return [start, *behind, GAP] if at_the_end else [start, *ahead, GAP, *reversed(behind)]

    def _run(self, face: Face, vertex: int, unused: set[Face], seen: set[int]) -> list[int]:
        """New vertices met when walking from face to neighbouring face, beginning with `face` at `vertex`."""
        found: list[int] = []
        while True:
            unused.discard(face)
            third = _unseen(face, seen)
            if third is None:
                return found
            found.append(third)
            seen.add(third)
            vertex = third
            choices = self._at(vertex, unused)
            if not choices:
                return found
            face = choices[0]

    def _outer_faces(self, ring: Sequence[int], seen: set[int]) -> set[Face]:
        """Faces outside `ring` that touch what is seen with one vertex."""
        outside = {neighbour for vertex in ring if vertex != GAP for neighbour in self.neighbours[vertex] if neighbour not in seen}
        around = {face for vertex in outside for face in self.around[vertex]}
        return {face for face in around if (face[0] in seen) + (face[1] in seen) + (face[2] in seen) == 1}

    def _outer_start(self, ring: Sequence[int], outer: set[Face], seen: set[int]) -> int | None:
        """Where the next ring begins: beyond the edge that closes this ring, else beyond the first edge with anything behind it."""
        for one, other in [(ring[0], ring[-1]), *pairwise(ring)]:
            if GAP in (one, other) or one == other:
                continue
            for face in self.around[one]:
                if other in face:
                    beyond = _unseen(face, seen)
                    if beyond is not None and self._at(beyond, outer):
                        return beyond
        return None

    def _at(self, vertex: int, faces: set[Face]) -> list[Face]:
        """Which of `faces` have `vertex` as a corner; more than two only where the ring touches itself (see the module's text)."""
        found = [face for face in self.around[vertex] if face in faces]
        return found if len(found) < 2 else list(faces & set(self.around[vertex]))


def _unseen(face: Face, seen: set[int]) -> int | None:
    return next((corner for corner in face if corner not in seen), None)


def _counter_clockwise(face: Face, vertex: int, seen: set[int]) -> bool:
    """Whether a walk from `vertex` over `face` keeps what is seen on its left."""
    return face[face.index(vertex) - 1] in seen
