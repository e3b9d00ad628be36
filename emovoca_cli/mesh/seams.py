"""Surfaces that a file cuts along the seams of its texture, joined again for computing: the file's own vertices all stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.mesh.landmarks import eye_distance
from emovoca_cli.mesh.pieces import in_mouth, is_ball
from emovoca_cli.mesh.regions import EYES
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, boundary_mask, components

LIP_LINE = 0.02
"""Vertices this near (in outer-eye distances) to the line between the lips are never joined: there the lips may touch."""
SAMPLES = 24
_EQUAL = 1e-6


def join_seams(vertices: AnyFloat, faces: AnyInt, landmarks: AnyFloat) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Faces (F,3) over the first vertex of each place, and which vertex (V,) stands for each.

    vertices (V,3), faces (F,3), landmarks (68,3). Only vertices on boundaries that lie at one place are joined, none on the line
    between the lips, and none of teeth, which may touch their gums, or of eyeballs.
    """
    place, corners = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
    stands = np.arange(len(place))
    open_ = boundary_mask(corners, len(place)) & ~near_lip_line(place, landmarks) & ~_inside(place, corners, landmarks)
    rim = np.flatnonzero(open_)
    if len(rim):
        size = float(np.ptp(place, axis=0).max()) or 1.0
        cells = np.round(place[rim] / (size * _EQUAL)).astype(np.int64)
        _, first, inverse = np.unique(cells, axis=0, return_index=True, return_inverse=True)
        stands[rim] = rim[first][inverse.reshape(-1)]
    return stands[corners].astype(np.int32), stands


def _inside(vertices: AnyFloat, faces: AnyInt, landmarks: AnyFloat) -> NDArray[np.bool_]:
    """Which vertices (V,) are of surfaces within the mouth or of eyeballs."""
    points = np.asarray(landmarks, dtype=np.float64)
    size, labels = eye_distance(points), components(faces, len(vertices))
    lids = [points[list(numbers)].mean(axis=0) for numbers in EYES]
    order = np.argsort(labels, kind="stable")
    inside = np.zeros(len(vertices), dtype=np.bool_)
    for chosen in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        piece = vertices[chosen]
        inside[chosen] = len(chosen) > 2 and (in_mouth(piece, points, size) or any(is_ball(piece, eye, size) for eye in lids))
    return inside


def near_lip_line(vertices: AnyFloat, landmarks: AnyFloat) -> NDArray[np.bool_]:
    """Which vertices (V,) lie on the line between the lips, from corner to corner of landmarks (68,3)."""
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (LANDMARKS, 3):
        return np.zeros(len(vertices), dtype=np.bool_)
    stops = np.stack(
        [points[48], points[60], (points[61] + points[67]) / 2, (points[62] + points[66]) / 2, (points[63] + points[65]) / 2,
         points[64], points[54]]
    )  # fmt: skip
    share = np.linspace(0, 1, SAMPLES)[:, None, None]
    line = ((1 - share) * stops[:-1] + share * stops[1:]).reshape(-1, 3)
    reach = LIP_LINE * eye_distance(points)
    low, high = line.min(axis=0) - reach, line.max(axis=0) + reach
    near = np.asarray(((vertices >= low) & (vertices <= high)).all(axis=1))
    where = np.flatnonzero(near)
    apart = np.linalg.norm(np.asarray(vertices, np.float64)[where, None] - line[None], axis=2).min(axis=1)
    near[where] = apart < reach
    return near
