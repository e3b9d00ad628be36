"""Do the lips pass through each other? Pairs of their triangles that cross, counted frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.evaluation.measure import Array
from emovoca_cli.types import Int

EDGE = 1e-6
"""Share of an edge or triangle by which a crossing has to be inside, so that touching is not crossing."""


def lip_triangles(faces: Int, lips: NDArray[np.int64]) -> NDArray[np.int64]:
    """The triangles (n,3) whose three corners all belong to the lips."""
    inside = np.isin(faces, lips).all(axis=1)
    return np.asarray(faces[inside], np.int64)


def crossings(vertices: NDArray[Any], triangles: NDArray[np.int64]) -> int:
    """Pairs of triangles (n,3) of vertices (V,3) that pass through each other and share no corner."""
    corners = np.asarray(vertices, np.float64)[triangles]  # (n,3 corners,3)
    centre = corners.mean(axis=1)
    radius = float(np.linalg.norm(corners - centre[:, None], axis=2).max()) if len(corners) else 0.0
    pairs = cKDTree(centre).query_pairs(2 * radius, output_type="ndarray") if len(corners) > 1 else np.zeros((0, 2), np.int64)
    low, high = corners.min(axis=1), corners.max(axis=1)
    first, second = pairs[:, 0], pairs[:, 1]
    near = ((low[first] <= high[second]) & (low[second] <= high[first])).all(axis=1)
    apart = (triangles[first][:, :, None] != triangles[second][:, None, :]).all(axis=(1, 2))
    first, second = first[near & apart], second[near & apart]
    hit = np.zeros(len(first), dtype=np.bool_)
    for a, b in ((corners[first], corners[second]), (corners[second], corners[first])):
        for corner in range(3):
            hit |= _pierces(a[:, corner], a[:, (corner + 1) % 3], b)
    return int(hit.sum())


def _pierces(start: Array, end: Array, triangle: Array) -> NDArray[np.bool_]:
    """Whether segments (n,3)-(n,3) pass through the inside of triangles (n,3 corners,3)."""
    along = end - start
    side, other = triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    across = np.cross(along, other)
    volume = np.einsum("nd,nd->n", side, across)
    size = np.linalg.norm(along, axis=1) * np.linalg.norm(side, axis=1) * np.linalg.norm(other, axis=1)
    usable = np.abs(volume) > 1e-9 * size
    scale = 1.0 / np.where(usable, volume, 1.0)
    offset = start - triangle[:, 0]
    u = np.einsum("nd,nd->n", offset, across) * scale
    turned = np.cross(offset, side)
    v = np.einsum("nd,nd->n", along, turned) * scale
    t = np.einsum("nd,nd->n", other, turned) * scale
    inside = (u > EDGE) & (v > EDGE) & (u + v < 1 - EDGE) & (t > EDGE) & (t < 1 - EDGE)
    return np.asarray(usable & inside)
