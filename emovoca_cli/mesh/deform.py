"""As smooth as possible: how far each vertex of a surface goes with points of it that are moved (biharmonic weights).

Of all ways to move a surface so that given points of it go where they should and what is held stays, the one with the least bending
energy u' L M^-1 L u is taken (Botsch & Kobbelt 2004; cotangent Laplacian L, vertex areas M). It is linear in the points' motion, so
that it is solved once, for a matrix of weights, and frames are one product. What the surface does not connect is not dragged along:
an upper lip does not feel the lower one, however near they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from emovoca_cli.errors import DataError
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, components, vertex_areas
from emovoca_cli.types import Bool

Array = NDArray[np.float64]

STIFFNESS = 1e4
"""How much harder a moved point is pulled than the surface resists, in the unit of length: points that lie a hundredth of it apart
are not torn from each other, others are met."""
SMALLEST_COTANGENT = 1e-3
"""Obtuse and flat triangles would make edges that push; they are held to this."""


def laplacian(vertices: AnyFloat, faces: AnyInt) -> sparse.csr_matrix:
    """Cotangent Laplacian (V,V) of a surface, rows that sum to zero, positive on the diagonal; scale-free.

    Cotangents are kept above `SMALLEST_COTANGENT` and below its inverse, so that triangles without area do no harm.
    """
    points, corners = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    rows, columns, values = [], [], []
    for j in range(3):
        a, b, apex = corners[:, j], corners[:, (j + 1) % 3], corners[:, (j + 2) % 3]
        first, second = points[a] - points[apex], points[b] - points[apex]
        area = np.linalg.norm(np.cross(first, second), axis=1)
        dot = np.einsum("nd,nd->n", first, second)
        cotangent = np.divide(dot, area, out=np.zeros_like(dot), where=area > 0)
        rows.append(a)
        columns.append(b)
        values.append(0.5 * np.clip(cotangent, SMALLEST_COTANGENT, 1 / SMALLEST_COTANGENT))
    row, column, value = np.concatenate(rows), np.concatenate(columns), np.concatenate(values)
    half = sparse.csr_matrix((value, (row, column)), shape=(len(points), len(points)))
    graph = half + half.T
    return sparse.csr_matrix(sparse.diags(np.asarray(graph.sum(axis=1)).reshape(-1)) - graph)


def smooth_weights(vertices: AnyFloat, faces: AnyInt, corners: AnyInt, shares: AnyFloat, held: Bool) -> Array:
    """Weights (V,H): displacements of H points of a surface times them are the smoothest displacement of all vertices.

    vertices (V,3), faces (F,3); the points are given by vertices (H,3) and shares of them (H,3) that sum to one; held (V,) stays.
    A piece of the surface without a point stays too. Raises DataError where two points are one, or a point is held.
    """
    points = np.asarray(vertices, dtype=np.float64)
    count, handles = len(points), len(corners)
    labels = components(faces, count)
    touched = np.isin(labels, labels[np.asarray(corners).reshape(-1)])
    free = np.flatnonzero(touched & ~np.asarray(held))
    rows = np.repeat(np.arange(handles), 3)
    pull = sparse.csr_matrix(
        (np.asarray(shares, dtype=np.float64).reshape(-1), (rows, np.asarray(corners).reshape(-1))), shape=(handles, count)
    )
    pull = sparse.csr_matrix(pull[:, free])
    if (np.asarray(pull.sum(axis=1)).reshape(-1) < 0.5).any():
        raise DataError("a point to be moved lies on what is held")
    area = np.maximum(vertex_areas(points, faces), 1e-9)
    stiff = laplacian(points, faces)
    energy = (stiff @ sparse.diags(1 / area) @ stiff)[free][:, free]
    # A breath of resistance to moving at all: a piece on which nothing is held must not float.
    system = energy + STIFFNESS * (pull.T @ pull) + 1e-6 * sparse.identity(len(free))
    solver: Any = splu(
        sparse.csc_matrix(system), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    spread = solver.solve(STIFFNESS * pull.T.toarray())
    # Pulled once more by what was missed.
    spread = spread @ (2 * np.eye(handles) - pull @ spread)
    weights = np.zeros((count, handles))
    weights[free] = spread
    return weights
