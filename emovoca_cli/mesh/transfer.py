"""Landmarks of a face that comes without any: those of a known face, carried over by laying its surface on the other one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import NOSE_TIP, landmark_points
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, components, vertex_normals
from emovoca_cli.types import Float, Int, MeshTemplate

REACH = 0.03
"""Metres round the known landmarks that count as its face."""
POINTS = 1500
"""Surface points that are laid on the other face, at most."""
NORMAL_WEIGHT = 0.02
"""Metres that a full difference of normals counts in a match."""
STARTS = (0.8, 0.95, 1.1, 1.25)
"""Sizes tried first, as shares of the ratio of the widths of both heads."""
RIGID_STEPS = 30
KEPT = 0.85
"""Share of best matches that a rigid step follows: the rest has no counterpart."""
WIDTHS = (0.06, 0.05, 0.04, 0.03, 0.025, 0.02, 0.016, 0.013, 0.01, 0.008, 0.008)
"""Smoothness in metres of the soft steps, from whole face to a feature."""

Array = NDArray[np.float64]


class _Surface(NamedTuple):
    """Points (N,3) and unit normals (N,3)."""

    points: Array
    normals: Array

    def tree(self, scale: float) -> cKDTree:
        return cKDTree(np.hstack([self.points, self.normals * NORMAL_WEIGHT * scale]))


def transfer_landmarks(known: MeshTemplate, vertices: AnyFloat, faces: AnyInt) -> tuple[Int, Float]:
    """The 68 landmarks of `known` on another face at rest, as faces (68,) of `faces` and barycentric weights (68,3).

    vertices (V,3) metres, faces (F,3); both faces look along +z with y up. Approximate: some 3 mm at mouth and eyes, 10 mm at the
    jaw line. Raises DataError for a surface that cannot hold a face.
    """
    place = np.asarray(vertices, dtype=np.float64)
    labels = components(faces, len(place))
    largest = int(np.bincount(labels).argmax())
    chosen = np.flatnonzero(labels[np.asarray(faces)[:, 0]] == largest)
    skin = np.asarray(faces)[chosen]
    used = np.unique(skin)
    if len(used) < 50 or not np.isfinite(place).all() or np.ptp(place[used], axis=0).min() <= 0:
        raise DataError(f"landmarks cannot be found on a surface of {len(used)} vertices without depth; give a landmark file")
    other = _Surface(place[used], vertex_normals(place, skin)[used].astype(np.float64))
    landmarks = landmark_points(known.vertices, known.faces, known.landmark_faces, known.landmark_weights).astype(np.float64)
    near, _ = cKDTree(landmarks).query(known.vertices)
    picked = np.flatnonzero(near < REACH)
    picked = picked[:: 1 + len(picked) // POINTS]
    face = _Surface(known.vertices[picked].astype(np.float64), vertex_normals(known.vertices, known.faces)[picked].astype(float))
    width = np.ptp(other.points[:, 0]) / np.ptp(known.vertices[:, 0])
    _, scale, turn, shift = min((_rigid(face, landmarks, other, width * share) for share in STARTS), key=lambda found: found[0])
    moved = _Surface(scale * face.points @ turn.T + shift, face.normals @ turn.T)
    points = _soft(moved, scale * landmarks @ turn.T + shift, other, scale)
    found, weights = nearest_surface(points, place, skin)
    return chosen[found].astype(np.int32), weights


def _rigid(face: _Surface, landmarks: Array, other: _Surface, scale: float) -> tuple[float, float, Array, Array]:
    """Cost, scale, rotation (3,3) and shift (3,) that lay a face on another surface, nose tip on nose tip at first."""
    tree = other.tree(scale)
    turn, start = np.eye(3), scale
    shift = other.points[np.argmax(other.points[:, 2])] - scale * landmarks[NOSE_TIP]
    cost = np.inf
    for _ in range(RIGID_STEPS):
        moved = np.hstack([scale * face.points @ turn.T + shift, (face.normals @ turn.T) * NORMAL_WEIGHT * start])
        distance, match = _nearest(tree, moved)
        kept = distance <= np.quantile(distance, KEPT)
        cost = float(distance[kept].mean()) / scale
        ours, theirs = face.points[kept], other.points[match[kept]]
        middle, target = ours.mean(axis=0), theirs.mean(axis=0)
        left, values, right = np.linalg.svd((theirs - target).T @ (ours - middle))
        signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
        turn = (left * signs) @ right
        scale = float((values * signs).sum() / np.square(ours - middle).sum())
        shift = target - scale * turn @ middle
    return cost, scale, turn, shift


def _nearest(tree: cKDTree, rows: Array) -> tuple[Array, NDArray[np.int64]]:
    """Distance (N,) and number (N,) of what is nearest to each row."""
    distance, match = tree.query(rows)
    return np.asarray(distance), np.asarray(match, dtype=np.int64)


def _soft(face: _Surface, landmarks: Array, other: _Surface, scale: float) -> Array:
    """Landmarks (68,3) after the face was bent onto the other surface, smoothly at first, then in detail."""
    tree = other.tree(scale)
    points = np.vstack([face.points, landmarks])
    count = len(face.points)
    for width in WIDTHS:
        distance, match = _nearest(tree, np.hstack([points[:count], face.normals * NORMAL_WEIGHT * scale]))
        kept = distance <= np.quantile(distance, 0.9)
        sources = points[:count][kept]
        apart = np.square(points).sum(1)[:, None] + np.square(sources).sum(1) - 2 * points @ sources.T
        weights = np.exp(-np.maximum(apart, 0) / (2 * (width * scale) ** 2)) + 1e-300
        points = points + (weights @ (other.points[match[kept]] - sources)) / weights.sum(axis=1, keepdims=True)
    return points[count:]
