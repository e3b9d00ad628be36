"""Distance along the surface."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra

from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, edges, half_edges


def geodesic_distance(vertices: AnyFloat, faces: AnyInt, sources: Sequence[int] | AnyInt) -> NDArray[np.float64]:
    """Distance (V,) along the surface to the nearest of `sources` (vertex indices), metres; inf where no path leads.

    Dijkstra over edges and over the diagonals of neighbouring faces unfolded into a plane: an upper bound, a few per cent too
    long on a regular mesh.
    """
    points = np.asarray(vertices, dtype=np.float64)
    origins = np.unique(np.asarray(sources, dtype=np.int64))
    if len(origins) == 0 or origins[0] < 0 or origins[-1] >= len(points):
        raise UsageError(
            f"geodesic distance needs source vertices between 0 and {len(points) - 1}, got {np.asarray(sources).tolist()}"
        )
    return np.asarray(dijkstra(surface_graph(points, faces), directed=False, indices=origins, min_only=True))


def surface_graph(vertices: AnyFloat, faces: AnyInt) -> sparse.csr_matrix:
    """Upper triangle (V,V) of the graph whose shortest paths approximate geodesics, lengths in metres."""
    points = np.asarray(vertices, dtype=np.float64)
    along = edges(faces).astype(np.int64)
    across, lengths = _diagonals(points, faces)
    pairs = np.concatenate([along, across])
    weights = np.concatenate([np.linalg.norm(points[along[:, 0]] - points[along[:, 1]], axis=1), lengths])
    # Two faces of a pinch may offer one pair twice: the shorter counts. Zero would mean "no edge" to scipy.
    order = np.lexsort((weights, pairs[:, 1], pairs[:, 0]))
    pairs, weights = pairs[order], np.maximum(weights[order], 1e-12)
    keep = np.ones(len(pairs), dtype=np.bool_)
    keep[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return sparse.csr_matrix((weights[keep], (pairs[keep, 0], pairs[keep, 1])), shape=(len(points), len(points)))


def _diagonals(points: NDArray[np.float64], faces: AnyInt) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Opposite corners (N,2) of faces that share an edge, and their distance (N,) when both are unfolded into one plane.

    Only where the straight line crosses the shared edge: elsewhere it would leave the surface.
    """
    directed = half_edges(faces)
    apex = np.roll(np.asarray(faces, dtype=np.int64), 1, axis=1).reshape(-1)  # the corner opposite to half edge j of a face
    key = np.sort(directed, axis=1)
    order = np.lexsort((key[:, 1], key[:, 0]))
    pair = np.flatnonzero((key[order][1:] == key[order][:-1]).all(axis=1))
    left, right = order[pair], order[pair + 1]
    base, tip = points[key[left, 0]], points[key[left, 1]]
    length = np.linalg.norm(tip - base, axis=1)
    axis = (tip - base) / np.maximum(length, 1e-300)[:, None]
    flat = []
    for corner in (apex[left], apex[right]):
        arm = points[corner] - base
        x = np.einsum("nd,nd->n", arm, axis)
        flat.append((x, np.linalg.norm(arm - x[:, None] * axis, axis=1)))
    (x0, y0), (x1, y1) = flat
    height = np.maximum(y0 + y1, 1e-300)
    crossing = (x0 * y1 + x1 * y0) / height
    good = (crossing >= 0) & (crossing <= length) & (apex[left] != apex[right])
    ends = np.sort(np.stack([apex[left], apex[right]], axis=1), axis=1)
    return ends[good], np.hypot(x1 - x0, y0 + y1)[good]


def distance_to_points(vertices: AnyFloat, faces: AnyInt, points: AnyFloat) -> NDArray[np.float64]:
    """Distance (V,) along the surface to the nearest of `points` (N,3) on or near it, metres; inf where no path leads."""
    places = np.asarray(vertices, dtype=np.float64)
    targets = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if len(targets) == 0 or not np.isfinite(targets).all():
        raise UsageError(f"distance along the surface needs one or more finite points, got {len(targets)}")
    face, weights = nearest_surface(targets, places, faces)
    corners = np.asarray(faces, dtype=np.int64)[face]
    foot = np.einsum("nk,nkd->nd", weights, places[corners])
    starts = np.full(len(places), np.inf)
    np.minimum.at(starts, corners, np.linalg.norm(places[corners] - foot[:, None], axis=-1))
    # One more vertex stands for all points: the way from it to a corner is as long as the way from the nearest point.
    near = np.flatnonzero(np.isfinite(starts))
    column = sparse.csr_matrix(
        (np.maximum(starts[near], 1e-12), (near, np.zeros(len(near), dtype=np.int64))), shape=(len(places), 1)
    )
    both = sparse.hstack([surface_graph(places, faces), column])
    graph = sparse.csr_matrix(sparse.vstack([both, sparse.csr_matrix((1, len(places) + 1))]))
    distance: NDArray[np.float64] = dijkstra(graph, directed=False, indices=[len(places)])[0, : len(places)]
    return distance
