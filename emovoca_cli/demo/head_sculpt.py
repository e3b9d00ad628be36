"""The last pass over the built-in head's surface: folds, grooves and ridges laid along curves, and smoothing. Millimetres."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from emovoca_cli.demo.head_surface import Array

Index = NDArray[np.int64]
Curve = tuple[tuple[float, float, float], ...]

# height along the normal (mm, negative cuts), half width (mm), the curve on the left half
_STROKES: tuple[tuple[str, float, float, Curve], ...] = (
    ("philtrum", -0.75, 2.3, ((0, -48.5, 29.3), (0, -52, 29.5), (0, -57.5, 31.7))),
    ("philtrum ridge", 0.45, 1.7, ((3.6, -48.5, 29), (4.6, -53, 29.6), (5.6, -57.6, 31.5))),
    ("wing groove", -1.3, 2.0, ((14.6, -28, 24), (17.2, -30.5, 20.5), (19.4, -35, 17.2), (19.6, -40, 16.8), (18.0, -44, 18.6))),
    ("wing", 0.7, 3.4, ((15.4, -36, 28), (17.4, -38, 23.5), (16.2, -41, 21.5))),
    ("tip groove", -0.45, 2.6, ((10.6, -29.5, 36.5), (12.0, -34, 35.2), (10.2, -37.4, 36.2))),
    ("smile fold", -0.9, 3.4, ((20.5, -38, 16.5), (25.5, -47, 16.5), (30.0, -57, 15.8), (32.0, -65, 14))),
    ("cheek by the fold", 0.6, 6.0, ((27, -36, 13.5), (33, -46, 13.6), (38, -56, 11))),
    ("mouth corner", -0.9, 2.4, ((27.6, -69.8, 14.8), (29.6, -71.2, 13.9))),
    ("under the lip", -0.7, 4.5, ((0, -85.5, 23.4), (10, -85, 22.6), (17, -83, 19.5))),
    ("chin", 0.9, 8.0, ((0, -98, 24.5), (7, -98, 23.8))),
    ("jaw line", 1.1, 6.5, ((24, -106, 9), (43, -97, -12), (57, -82, -25), (66, -62, -36), (69.5, -46, -46))),
    ("under the jaw", -1.2, 9.0, ((20, -117, -18), (38, -110, -38), (54, -92, -52), (62, -72, -62))),
    ("cheekbone", 1.0, 8.5, ((44, -21, 5), (57, -15, -5), (66, -9, -24), (71, -6, -44))),
    ("below the cheekbone", -1.0, 11.0, ((50, -47, 0), (60, -42, -14), (66, -38, -32))),
    ("temple", -1.3, 15.0, ((63, 27, -30), (67, 38, -42))),
    ("brow ridge", 0.6, 5.0, ((9, 22, 21), (22, 26, 19), (36, 25.5, 14), (47, 21, 5.5))),
    ("frown dent", -0.35, 3.2, ((0, 11, 20), (0, 17, 21))),
    ("tear trough", -0.55, 3.5, ((18, -8, 9.5), (25, -14, 9.8), (33, -17, 8.4))),
    ("neck strap", 3.4, 9.5, ((63, -62, -88), (53, -95, -74), (40, -130, -58), (26, -160, -48), (13, -184, -45))),
    ("strap hollow", -2.0, 11.0, ((54, -150, -60), (48, -172, -52))),
    ("throat", 1.2, 9.0, ((0, -132, -36), (0, -145, -39))),
    ("notch", -2.6, 8.0, ((0, -186, -46), (0, -192, -44))),
    ("collar bone", 2.6, 6.5, ((12, -186, -43), (34, -184, -42), (60, -178, -52), (82, -176, -66))),
)


def _along(points: Array, curve: Array) -> Array:
    """Distance (N,) of points to a polyline, mm."""
    best = np.full(len(points), np.inf)
    for a, b in pairwise(curve):
        d = b - a
        share = np.clip((points - a) @ d / max(d @ d, 1e-9), 0, 1)
        best = np.minimum(best, np.linalg.norm(points - a - share[:, None] * d, axis=1))
    return best


def normals(points: Array, faces: Index) -> Array:
    """Area-weighted vertex normals (V,3)."""
    cross = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, faces[:, k], cross)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def smooth(points: Array, faces: Index, share: Array, rounds: int) -> Array:
    """Move each point by `share` (V,) of the way to its neighbours' mean and most of it back (no shrinking), `rounds` times."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    link = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    link.data[:] = 1.0
    mean = diags(1.0 / np.maximum(np.asarray(link.sum(1)).ravel(), 1)) @ link
    for _ in range(rounds):
        points = points + share[:, None] * (mean @ points - points)
        points = points - 0.96 * share[:, None] * (mean @ points - points)
    return points


def sculpt(points: Array, faces: Index, mirror: Index, movable: Array, ease: Array) -> Array:
    """Smooth by `ease` (V,), lay all strokes on by `movable` (V,), ease again lightly; keeps the two halves exact mirrors."""
    points = smooth(points, faces, 0.5 * ease, 6)
    folded = points * [1, 1, 1]
    folded[:, 0] = np.abs(folded[:, 0])
    direction = normals(points, faces)
    height = np.zeros(len(points))
    for _, amount, width, curve in _STROKES:
        height += amount * np.exp(-((_along(folded, np.array(curve)) / width) ** 2))
    points = points + (movable * height)[:, None] * direction
    points = smooth(points, faces, 0.35 * ease, 2)
    points = 0.5 * (points + points[mirror] * [-1, 1, 1])
    points[mirror == np.arange(len(points)), 0] = 0.0
    return points
