"""Points of a face beside its 68 landmarks that tell another one how to move: cheeks, chin, forehead and the skin under the jaw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.landmarks import eye_distance, nearest_surface
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, vertex_normals

Array = NDArray[np.float64]

NEAREST, FARTHEST, APART = 0.15, 0.6, 0.2
"""Guides lie between the first two from the nearest landmark, and the third from each other (in outer-eye distances)."""
OFF = 0.1
"""A guide whose place on the other face is further than this from its surface has no counterpart there."""
FACING = 0.5
"""Neither has one whose surface faces another way (cosine)."""


@dataclass(frozen=True, eq=False)
class Guides:
    """Vertices (G,) of the source, and the same places on the target: vertices (G,3) and shares (G,3) of them; the landmark (G,)
    nearest to each.
    """

    vertices: NDArray[np.int64]
    corners: NDArray[np.int64]
    shares: Array
    landmark: NDArray[np.int64]


def find_guides(
    source: AnyFloat, source_faces: AnyInt, mine: AnyFloat, target: AnyFloat, target_faces: AnyInt, theirs: AnyFloat
) -> Guides:
    """Guides between two faces at rest: vertices (N,3), faces and landmarks (68,3) of the source, and of the target's skin.

    The landmarks of both carry each place over as a smooth warp (thin plate), then the nearest surface is taken.
    """
    place, other = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    unit, far = eye_distance(mine), eye_distance(theirs)
    away = distance_to_points(place, source_faces, mine) / unit
    left = np.flatnonzero((away > NEAREST) & (away < FARTHEST))
    left = left[np.argsort(away[left], kind="stable")]
    picked: list[int] = []
    while len(left):
        picked.append(int(left[0]))
        left = left[np.linalg.norm(place[left] - place[left[0]], axis=1) > APART * unit]
    chosen = np.array(picked, dtype=np.int64)
    if not len(chosen):
        return Guides(chosen, np.zeros((0, 3), np.int64), np.zeros((0, 3)), chosen)
    there = np.asarray(RBFInterpolator(mine, theirs, kernel="thin_plate_spline")(place[chosen]))
    where, shares = nearest_surface(there, other, target_faces)
    corners = np.asarray(target_faces, dtype=np.int64)[where]
    on = np.einsum("gk,gkd->gd", shares, other[corners])
    facing = np.einsum("gk,gkd->gd", shares, vertex_normals(other, target_faces)[corners])
    alike = np.einsum("gd,gd->g", facing, vertex_normals(place, source_faces)[chosen])
    good = (np.linalg.norm(on - there, axis=1) < OFF * far) & (alike > FACING)
    _, landmark = cKDTree(mine).query(place[chosen])
    return Guides(chosen[good], corners[good], np.asarray(shares[good], np.float64), np.asarray(landmark)[good])
