"""The nearest point of a surface, as a face and barycentric weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.mesh.topology import AnyFloat, AnyInt
from emovoca_cli.types import Float, Int


def closest_weights(points: AnyFloat, corners: AnyFloat) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Barycentric weights (N,3) of the point of each triangle nearest to each point, and its distance (N,), metres.

    points (N,3) and corners (N,3 corners,3) go pairwise. Weights are within 0-1 and sum to one; a triangle without area counts as
    its edges.
    """
    point = np.asarray(points, dtype=np.float64)
    triangle = np.asarray(corners, dtype=np.float64)
    a, b, c = triangle[:, 0], triangle[:, 1], triangle[:, 2]
    best = _inside_weights(point, a, b, c)
    distance = np.where(
        (best >= 0).all(axis=1), np.linalg.norm(np.einsum("nk,nkd->nd", np.nan_to_num(best), triangle) - point, axis=1), np.inf
    )
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, along = triangle[:, first], triangle[:, second] - triangle[:, first]
        length = np.einsum("nd,nd->n", along, along)
        share = np.clip(np.einsum("nd,nd->n", point - start, along) / np.where(length > 0, length, 1.0), 0.0, 1.0)
        away = np.linalg.norm(start + share[:, None] * along - point, axis=1)
        nearer = away < distance
        weights = np.zeros_like(best)
        weights[:, first], weights[:, second] = 1.0 - share, share
        best = np.where(nearer[:, None], weights, best)
        distance = np.where(nearer, away, distance)
    return best, distance


def _inside_weights(point: AnyFloat, a: AnyFloat, b: AnyFloat, c: AnyFloat) -> NDArray[np.float64]:
    """Barycentric weights of the projection into the triangle's plane; a negative one (or -1 without area) means outside."""
    ab, ac, ap = b - a, c - a, point - a
    aa, bb, cross = (np.einsum("nd,nd->n", x, y) for x, y in ((ab, ab), (ac, ac), (ab, ac)))
    pa, pb = np.einsum("nd,nd->n", ap, ab), np.einsum("nd,nd->n", ap, ac)
    area = aa * bb - cross * cross
    usable = area > 1e-12 * np.maximum(aa * bb, 1e-300)
    safe = np.where(usable, area, 1.0)
    second = (bb * pa - cross * pb) / safe
    third = (aa * pb - cross * pa) / safe
    weights = np.stack([1.0 - second - third, second, third], axis=1)
    return np.where(usable[:, None], weights, -1.0)


def nearest_surface(points: AnyFloat, vertices: AnyFloat, faces: AnyInt) -> tuple[Int, Float]:
    """Face (N,) and barycentric weights (N,3) of the surface point nearest to each point (N,3); vertices (V,3), faces (F,3).

    Of equally near faces the lowest wins.
    """
    targets = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)]  # (F,3 corners,3)
    centre = corners.mean(axis=1)
    radius = np.linalg.norm(corners - centre[:, None], axis=-1).max()
    used = corners.reshape(-1, 3)
    bound, _ = cKDTree(used).query(targets)
    # A face nearer than the nearest corner has its centre within that distance and its own radius.
    candidates = cKDTree(centre).query_ball_point(targets, bound * (1 + 1e-9) + radius, return_sorted=True)
    counts = np.array([len(found) for found in candidates], dtype=np.int64)
    face = (
        np.concatenate([np.asarray(found, dtype=np.int64) for found in candidates]) if len(targets) else np.zeros(0, dtype=np.int64)
    )
    owner = np.repeat(np.arange(len(targets)), counts)
    weights, distance = closest_weights(targets[owner], corners[face])
    pick = first_best(owner, distance, len(targets))
    return face[pick].astype(np.int32), weights[pick].astype(np.float32)


def first_best(owner: NDArray[np.int64], cost: AnyFloat, count: int) -> NDArray[np.int64]:
    """Position of the lowest cost of each owner 0..count-1, the first of equals; every owner has at least one entry."""
    order = np.lexsort((np.arange(len(owner)), cost, owner))
    first = np.searchsorted(owner[order], np.arange(count))
    return order[first]
