"""Smooth vector fields on the skin that pass through prescribed displacements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import splu

Array = NDArray[np.float64]
Index = NDArray[np.int64]
COTANGENT_RANGE = (0.05, 5.0)


def smoothstep(x: Array, start: float, stop: float) -> Array:
    """0 below `start`, 1 above `stop`, a cubic between; any shape, any unit."""
    t = np.clip((x - start) / (stop - start), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Handles:
    """Prescribed displacements: vertices (H,), moves (H,C) millimetres, weights (H,) (10 is practically exact)."""

    vertices: Index
    moves: Array
    weights: Array

    @classmethod
    def join(cls, parts: list[Handles]) -> Handles:
        """All handles of several sets, in order."""
        return cls(
            np.concatenate([p.vertices for p in parts]),
            np.concatenate([p.moves for p in parts]),
            np.concatenate([p.weights for p in parts]),
        )


class FieldSolver:
    """Solves for the field of least bending (a thin plate with a little tension) that follows handles and dies out where it should.

    The energy lives on the skin itself, so that the two lips, which touch in space, are far from one another here.
    """

    def __init__(self, vertices: Array, faces: Index) -> None:
        """vertices (V,3) millimetres, faces (F,3)."""
        self.vertices = vertices
        self.faces = faces
        count = len(vertices)
        corners = vertices[faces]
        weights = np.zeros((len(faces), 3))
        for k in range(3):
            a = corners[:, (k + 1) % 3] - corners[:, k]
            b = corners[:, (k + 2) % 3] - corners[:, k]
            sine = np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-9)
            weights[:, k] = 0.5 * np.clip(np.einsum("fi,fi->f", a, b) / sine, *COTANGENT_RANGE)
        rows = faces[:, [1, 2, 0]].ravel()
        columns = faces[:, [2, 0, 1]].ravel()
        half = sparse.coo_matrix((weights.ravel(), (rows, columns)), shape=(count, count))
        edges = (half + half.T).tocsr()
        self.laplacian = (sparse.diags(np.asarray(edges.sum(axis=1)).ravel()) - edges).tocsr()
        double_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        self.areas = np.maximum(np.bincount(faces.ravel(), np.repeat(double_area / 6.0, 3), minlength=count), 1e-2)
        self.bending = (self.laplacian @ sparse.diags(1.0 / self.areas) @ self.laplacian).tocsc()
        length = np.linalg.norm(vertices[rows] - vertices[columns], axis=1)
        steps = sparse.coo_matrix((length, (rows, columns)), shape=(count, count)).tocsr()
        self.graph = steps.maximum(steps.T).tocsr()

    def distance(self, sources: Index) -> Array:
        """Distance (V,) in millimetres along edges from the nearest of the source vertices."""
        return np.asarray(dijkstra(self.graph, directed=False, indices=sources, min_only=True), dtype=np.float64)

    def solve(self, handles: Handles, *, outside: Array, tension: float = 40.0, leash: float = 7.0) -> Array:
        """Field (V,C) in millimetres through the handles.

        outside (V,) in 0-1 pulls the field to zero: where it is 1 the field dies out within about `leash` millimetres. `tension` is
        the length in millimetres over which a plate turns into a membrane; it keeps the field from swinging beyond its handles.
        """
        count = len(self.vertices)
        pull = self.areas * outside / leash**4
        weight = np.bincount(handles.vertices, handles.weights, minlength=count)
        right = np.zeros((count, handles.moves.shape[1]))
        np.add.at(right, handles.vertices, handles.weights[:, None] * handles.moves)
        system = sparse.csc_matrix(self.bending + self.laplacian / tension**2 + sparse.diags(pull + weight + 1e-9))
        return np.asarray(splu(system).solve(right), dtype=np.float64)

    def smooth(self, values: Array, *, radius: float) -> Array:
        """Values (V,) or (V,C) blurred over about `radius` millimetres, away from nothing in particular."""
        system = (sparse.diags(self.areas) + (radius**2 / 2.0) * self.laplacian).tocsc()
        columns = values[:, None] if values.ndim == 1 else values
        blurred = np.asarray(splu(system).solve(self.areas[:, None] * columns), dtype=np.float64)
        return blurred[:, 0] if values.ndim == 1 else blurred
