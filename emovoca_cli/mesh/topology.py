"""What follows from faces alone: edges, rings, boundaries, components; and the normals and areas of vertices.

Letters: V vertices, F faces, E edges. Faces are counter-clockwise seen from outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from emovoca_cli.errors import TopologyError
from emovoca_cli.types import Bool, Float, Int

AnyInt = NDArray[np.integer[Any]]
AnyFloat = NDArray[np.floating[Any]]


def half_edges(faces: AnyInt) -> NDArray[np.int64]:
    """Directed edges (3F,2) of faces (F,3), face after face: rows 3k, 3k+1 and 3k+2 go round face k."""
    corners = np.asarray(faces, dtype=np.int64)
    return np.stack([corners, np.roll(corners, -1, axis=1)], axis=-1).reshape(-1, 2)


def edges(faces: AnyInt) -> Int:
    """Undirected edges (E,2) of faces (F,3), each once, lower vertex first, sorted."""
    pairs: Int = np.unique(np.sort(half_edges(faces), axis=1), axis=0).astype(np.int32)
    return pairs.reshape(-1, 2)


def boundary_edges(faces: AnyInt) -> Int:
    """Edges that one face only has (N,2), in the direction of that face, sorted."""
    directed = half_edges(faces)
    _, inverse, counts = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True, return_counts=True)
    single = directed[counts[inverse.reshape(-1)] == 1]
    return np.asarray(single[np.lexsort((single[:, 1], single[:, 0]))], dtype=np.int32)


def boundary_mask(faces: AnyInt, vertex_count: int) -> Bool:
    """Which vertices (V,) lie on a boundary."""
    mask = np.zeros(vertex_count, dtype=np.bool_)
    mask[boundary_edges(faces).reshape(-1)] = True
    return mask


def boundary_loops(faces: AnyInt) -> list[Int]:
    """Closed boundary walks, longest first (then by lowest vertex), each in the direction of its faces.

    A vertex where two boundaries touch splits them into two loops.
    """
    outgoing: dict[int, list[int]] = {}
    for start, end in boundary_edges(faces).tolist():
        outgoing.setdefault(start, []).append(end)
    loops: list[Int] = []
    while outgoing:
        walk = [min(outgoing)]
        position = {walk[0]: 0}
        while True:
            ends = outgoing.get(walk[-1])
            if not ends:
                break
            following = ends.pop(0)
            if not ends:
                del outgoing[walk[-1]]
            if following in position:
                first = position[following]
                loops.append(np.array(walk[first:], dtype=np.int32))
                for vertex in walk[first + 1 :]:
                    del position[vertex]
                del walk[first + 1 :]
            else:
                position[following] = len(walk)
                walk.append(following)
    return sorted(loops, key=lambda loop: (-len(loop), int(loop.min())))


def adjacency(faces: AnyInt, vertex_count: int, lengths: AnyFloat | None = None) -> sparse.csr_matrix:
    """Symmetric vertex graph (V,V) of faces (F,3): ones, or `lengths` (E,) in the order of `edges`."""
    pairs = edges(faces)
    values = np.ones(len(pairs)) if lengths is None else np.asarray(lengths, dtype=np.float64)
    row = np.concatenate([pairs[:, 0], pairs[:, 1]])
    column = np.concatenate([pairs[:, 1], pairs[:, 0]])
    return sparse.csr_matrix((np.concatenate([values, values]), (row, column)), shape=(vertex_count, vertex_count))


def components(faces: AnyInt, vertex_count: int) -> Int:
    """Label (V,) of each vertex's connected component, numbered by lowest vertex; a vertex without faces is one of its own."""
    _, labels = connected_components(adjacency(faces, vertex_count), directed=False)
    _, first = np.unique(labels, return_index=True)
    return np.asarray(np.argsort(np.argsort(first))[labels], dtype=np.int32)


def faces_of_vertices(faces: AnyInt, vertex_count: int) -> list[list[int]]:
    """Indices of the faces round each vertex (V lists), ascending."""
    around: list[list[int]] = [[] for _ in range(vertex_count)]
    for index, corners in enumerate(np.asarray(faces).tolist()):
        for vertex in dict.fromkeys(corners):
            around[vertex].append(index)
    return around


def one_rings(faces: AnyInt, vertex_count: int) -> list[list[int]]:
    """Neighbours of each vertex of a manifold mesh, counter-clockwise from outside.

    An inner vertex's ring starts at its lowest neighbour, a boundary vertex's at the boundary, so that the gap is at the end.
    Raises TopologyError where the mesh is not manifold.
    """
    check_manifold(faces, vertex_count)
    following: list[dict[int, int]] = [{} for _ in range(vertex_count)]
    for a, b, c in np.asarray(faces).tolist():
        following[a][b] = c
        following[b][c] = a
        following[c][a] = b
    rings = []
    for steps in following:
        starts = set(steps) - set(steps.values())
        ring: list[int] = []
        current: int | None = min(starts or steps) if steps else None
        while current is not None and (not ring or current != ring[0]):
            ring.append(current)
            current = steps.get(current)
        rings.append(ring)
    return rings


def check_manifold(faces: AnyInt, vertex_count: int) -> None:
    """Raise TopologyError, naming the first offender, unless faces (F,3) form an oriented manifold, with or without boundary."""
    problem = manifold_problem(faces, vertex_count)
    if problem:
        raise TopologyError(f"the mesh is not manifold: {problem}; repair it (in Blender: Select > All by Trait > Non Manifold)")


def manifold_problem(faces: AnyInt, vertex_count: int) -> str | None:
    """What keeps faces (F,3) from being an oriented manifold, first offender only, or None."""
    corners = np.asarray(faces, dtype=np.int64)
    if corners.size and (corners.min() < 0 or corners.max() >= vertex_count):
        face = int(np.flatnonzero(((corners < 0) | (corners >= vertex_count)).any(axis=1))[0])
        return f"face {face} names a vertex outside 0..{vertex_count - 1}"
    repeated = (corners == np.roll(corners, 1, axis=1)).any(axis=1)
    if repeated.any():
        return f"face {int(np.flatnonzero(repeated)[0])} uses a vertex twice"
    directed = half_edges(corners)
    unique, first, counts = np.unique(np.sort(directed, axis=1), axis=0, return_index=True, return_counts=True)
    if (counts > 2).any():
        worst = np.flatnonzero(counts > 2)
        worst = worst[np.argmin(first[worst])]
        return f"edge {unique[worst, 0]}-{unique[worst, 1]} belongs to {counts[worst]} faces, at most 2 are possible"
    oriented, first, counts = np.unique(directed, axis=0, return_index=True, return_counts=True)
    if (counts > 1).any():
        worst = np.flatnonzero(counts > 1)
        worst = worst[np.argmin(first[worst])]
        return f"the two faces at edge {oriented[worst, 0]}-{oriented[worst, 1]} disagree in orientation"
    # Faces round a vertex that hang together by edges form one fan; two fans touching in a point are a pinch.
    fans = _fan_counts(corners, vertex_count)
    if (fans > 1).any():
        vertex = int(np.flatnonzero(fans > 1)[0])
        return f"vertex {vertex} joins {int(fans[vertex])} separate fans of faces"
    return None


def _fan_counts(corners: NDArray[np.int64], vertex_count: int) -> Int:
    """Number of fans of faces (V,) at each vertex, where no edge has more than two faces."""
    directed = half_edges(corners)
    # Corner 3k+j, where half edge 3k+j begins, sits at vertex corners[k, j]; an inner edge a-b joins two corners at a and two at b.
    order = np.lexsort((directed.max(axis=1), directed.min(axis=1)))
    key = np.sort(directed, axis=1)[order]
    pair = np.flatnonzero((key[1:] == key[:-1]).all(axis=1))
    left, right = order[pair], order[pair + 1]
    end = np.arange(corners.size).reshape(-1, 3)[:, [1, 2, 0]].reshape(-1)  # the corner where a half edge ends
    joined_a = np.concatenate([left, end[left]])
    joined_b = np.concatenate([end[right], right])
    count = corners.size
    graph = sparse.csr_matrix((np.ones(len(joined_a)), (joined_a, joined_b)), shape=(count, count))
    _, fan = connected_components(graph, directed=False)
    at_vertex = np.unique(np.stack([corners.reshape(-1), fan], axis=1), axis=0)[:, 0] if count else np.zeros(0, dtype=np.int64)
    return np.bincount(at_vertex, minlength=vertex_count).astype(np.int32)


def face_normals(vertices: AnyFloat, faces: AnyInt) -> NDArray[np.float64]:
    """Normals (...,F,3) of faces (F,3) over vertices (...,V,3), as long as twice the face's area in square metres."""
    corners = np.asarray(vertices, dtype=np.float64)[..., np.asarray(faces), :]  # (...,F,3 corners,3)
    return np.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])


def vertex_normals(vertices: AnyFloat, faces: AnyInt) -> Float:
    """Unit normals (...,V,3) of vertices (...,V,3), faces weighted by area; zero at a vertex without area."""
    normals = face_normals(vertices, faces)
    count = np.asarray(vertices).shape[-2]
    flat = normals.reshape(-1, normals.shape[-2], 3)
    around = sparse.csr_matrix(
        (np.ones(np.asarray(faces).size), (np.asarray(faces).reshape(-1), np.repeat(np.arange(len(faces)), 3))),
        shape=(count, len(faces)),
    )
    summed = np.stack([np.asarray(around @ one) for one in flat]) if len(flat) else np.zeros((0, count, 3))
    length = np.linalg.norm(summed, axis=-1, keepdims=True)
    unit = np.divide(summed, length, out=np.zeros_like(summed), where=length > 0)
    return np.asarray(unit.reshape(*normals.shape[:-2], count, 3), dtype=np.float32)


def vertex_areas(vertices: AnyFloat, faces: AnyInt) -> NDArray[np.float64]:
    """A third of the area of the faces round each vertex (V,), square metres: they sum to the area of the mesh."""
    third = np.linalg.norm(face_normals(vertices, faces), axis=-1) / 6.0
    summed = np.bincount(np.asarray(faces).reshape(-1), weights=np.repeat(third, 3), minlength=np.asarray(vertices).shape[-2])
    return np.asarray(summed, dtype=np.float64)
