"""How far the lips are apart, measured on their surfaces: what landmarks cannot say of a face never seen before.

Two faces that look equally closed differ at their inner-lip landmarks by a millimetre or two, for nobody puts them at the very
point where lips touch. So both lips are sampled and compared where one is above the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.landmarks import eye_distance
from emovoca_cli.mesh.topology import AnyFloat, AnyInt

Array = NDArray[np.float64]

UPPER, LOWER = (49, 50, 51, 52, 53, 61, 62, 63), (55, 56, 57, 58, 59, 65, 66, 67)
REACH = 0.10
"""Skin within this much of the lips' landmarks is lip here; all lengths are shares of the outer-eye distance."""
CELL = 0.007
"""Width and depth of the columns in which the lowest of the upper lip is compared with the highest of the lower one."""
NEAR = 0.03
"""Columns this near to a pair of landmarks say how far the lips are apart there."""
MARGIN = 0.25
"""The outer shares of the mouth's width, where the lips grow together, say nothing about a gap."""


@dataclass(frozen=True, eq=False)
class Lips:
    """Points of both lips of a face.

    upper (N,3) and lower (M,3): vertices of the sampled points, with shares (N,3) and (M,3) of them; axes (3,3): rows along the
    mouth to the subject's left, up, and out of the face; unit: the outer-eye distance in metres; centre (3,)
    of the mouth; pairs (3,): places of the inner-lip pairs along it from there; half: half its width.
    """

    upper: NDArray[np.int64]
    upper_shares: Array
    lower: NDArray[np.int64]
    lower_shares: Array
    axes: Array
    unit: float
    centre: Array
    pairs: Array
    half: float

    @classmethod
    def of(cls, vertices: AnyFloat, faces: AnyInt, landmarks: AnyFloat) -> Lips:
        """The lips of a face at rest: vertices (V,3), faces (F,3), landmarks (68,3)."""
        place, points = np.asarray(vertices, dtype=np.float64), np.asarray(landmarks, dtype=np.float64)
        unit = eye_distance(points)
        from_upper, from_lower = (distance_to_points(place, faces, points[list(row)]) for row in (UPPER, LOWER))
        axes = face_axes(points)
        sides = []
        for mine, other in ((from_upper, from_lower), (from_lower, from_upper)):
            corners = np.asarray(faces, dtype=np.int64)
            inside = ((mine < REACH * unit) & (mine < other))[corners].all(axis=1)
            sides.append(_sampled(place, corners[inside], CELL * unit / 2))
        centre = points[[48, 54]].mean(axis=0)
        along = (points - centre) @ axes[0]
        pairs = np.array([along[list(pair)].mean() for pair in INNER_LIP_PAIRS])
        return cls(*sides[0], *sides[1], axes, unit, centre, pairs, float(abs(along[54] - along[48]) / 2))

    def clearance(self, frames: AnyFloat) -> Array:
        """Height (T,3) of the upper lip over the lower one at the three inner-lip pairs of frames (T,V,3), metres.

        Negative where they overlap; NaN where one is nowhere above the other.
        """
        return np.stack([self._at_pairs(*self._columns(frame)) for frame in np.asarray(frames)])

    def widest(self, frames: AnyFloat) -> Array:
        """The largest clearance (T,) along the middle of the mouth of frames (T,V,3), metres: a slit shows here."""
        found = []
        for frame in np.asarray(frames):
            place, height = self._columns(frame)
            inside = np.abs(place) < (1 - 2 * MARGIN) * self.half
            found.append(height[inside].max() if inside.any() else np.nan)
        return np.asarray(found)

    def _at_pairs(self, place: Array, height: Array) -> Array:
        near = [np.abs(place - pair) < NEAR * self.unit for pair in self.pairs]
        return np.array([np.median(height[row]) if row.any() else np.nan for row in near])

    def _columns(self, frame: Array) -> tuple[Array, Array]:
        """Place along the mouth (N,) and clearance (N,) there: the least over the depth of the lips."""
        cell = CELL * self.unit
        sides = []
        for index, shares in ((self.upper, self.upper_shares), (self.lower, self.lower_shares)):
            points = np.einsum("nk,nkd->nd", shares, np.asarray(frame, dtype=np.float64)[index] - self.centre) @ self.axes.T
            sides.append((np.round(points[:, [0, 2]] / cell).astype(np.int64), points[:, 1]))
        (upper, high), (lower, low) = sides
        cells, owner = np.unique(np.concatenate([upper, lower]), axis=0, return_inverse=True)
        owner = owner.reshape(-1)
        bottom, top = np.full(len(cells), np.inf), np.full(len(cells), -np.inf)
        np.minimum.at(bottom, owner[: len(upper)], high)
        np.maximum.at(top, owner[len(upper) :], low)
        both = np.isfinite(bottom) & np.isfinite(top)
        rows, which = np.unique(cells[both, 0], return_inverse=True)
        least = np.full(len(rows), np.inf)
        np.minimum.at(least, which, (bottom - top)[both])
        return rows * cell, least


def face_axes(landmarks: AnyFloat) -> Array:
    """Rows (3,3) of a face's own axes from its landmarks (68,3): to the subject's left, up, and out of the face."""
    points = np.asarray(landmarks, dtype=np.float64)
    side = points[[45, 46, 47, 42, 54]].mean(axis=0) - points[[36, 41, 40, 39, 48]].mean(axis=0)
    side = side / np.linalg.norm(side)
    up = points[[27, 36, 45]].mean(axis=0) - points[[48, 54, 57]].mean(axis=0)
    up = up - (up @ side) * side
    up = up / np.linalg.norm(up)
    return np.stack([side, up, np.cross(side, up)])


def _sampled(place: Array, corners: NDArray[np.int64], spacing: float) -> tuple[NDArray[np.int64], Array]:
    """Vertices (N,3) and shares (N,3) of points spread over triangles (n,3), not further apart than the spacing."""
    index, shares = [], []
    sides = np.linalg.norm(place[corners] - place[np.roll(corners, -1, axis=1)], axis=2)
    steps = np.clip(np.ceil(sides.max(axis=1) / spacing), 1, 24).astype(int) if len(corners) else np.zeros(0, int)
    for count in np.unique(steps):
        grid = np.array([(i, j, count - i - j) for i in range(count + 1) for j in range(count + 1 - i)]) / count
        chosen = corners[steps == count]
        index.append(np.repeat(chosen, len(grid), axis=0))
        shares.append(np.tile(grid, (len(chosen), 1)))
    if not index:
        return np.zeros((0, 3), np.int64), np.zeros((0, 3))
    return np.concatenate(index), np.concatenate(shares)
