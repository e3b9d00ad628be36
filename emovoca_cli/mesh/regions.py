"""Named regions of any face, from its 68 landmarks and distances along the surface.

All sizes are shares of the distance between the outer eye corners (about 89 mm), so a face in any unit and proportion has them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.landmarks import NOSE_TIP, eye_distance
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, components
from emovoca_cli.types import Bool

BROWS = (tuple(range(17, 22)), tuple(range(22, 27)))
EYES = (tuple(range(36, 42)), tuple(range(42, 48)))
OUTER_LIPS = tuple(range(48, 60))
INNER_LIPS = tuple(range(60, 68))

LIP_MARGIN = 0.03
MOUTH_REACH = 0.22
EYE_REACH = 0.10
FOREHEAD_REACH = 0.55
UPPER_REACH = 0.35
SAMPLES = 6
"""Points on each stretch of a contour between two landmarks."""


def regions(vertices: AnyFloat, faces: AnyInt, landmarks: AnyFloat) -> dict[str, Bool]:
    """Masks (V,) by name for a face at rest: vertices (V,3), faces (F,3), landmarks (68,3), all in one unit.

    "lips" = the red between the outer and inner contour and a rim behind it; "mouth" = all within a fifth of the eye distance of
    the lips; "eyes" = lids and orbits, without eyeballs; "forehead" = above the brows; "upper_face" = what moves with eyes and
    brows, never the mouth.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (LANDMARKS, 3) or not np.isfinite(points).all():
        raise DataError(f"regions need {LANDMARKS} finite landmarks ({LANDMARKS}, 3), got {points.shape}")
    scale = eye_distance(points)
    if scale <= 0:
        raise DataError("regions need landmarks with the outer eye corners (36 and 45) apart; these coincide")
    place = np.asarray(vertices, dtype=np.float64)
    # Eyeballs of their own lie nearer to the lids' contours than the lids do: only the surface that bears the nose counts.
    labels = components(faces, len(place))
    (skin_face,), _ = nearest_surface(points[[NOSE_TIP]], place, faces)
    skin = np.asarray(faces)[labels[np.asarray(faces)[:, 0]] == labels[faces[skin_face][0]]]

    def away(*contours: NDArray[np.float64]) -> NDArray[np.float64]:
        return distance_to_points(place, skin, np.concatenate(contours)) / scale

    outer, inner = _contour(points, OUTER_LIPS, closed=True), _contour(points, INNER_LIPS, closed=True)
    to_outer, to_inner = away(outer), away(inner)
    brows = [_contour(points, brow, closed=False) for brow in BROWS]
    to_eyes, to_brows = away(*(_contour(points, eye, closed=True) for eye in EYES)), away(*brows)

    lips = _between(place, outer, inner, (to_outer, to_inner), scale)
    mouth = lips | (np.minimum(to_outer, to_inner) <= MOUTH_REACH)
    eyes = (to_eyes <= EYE_REACH) & ~mouth
    forehead = (to_brows <= FOREHEAD_REACH) & _above(place, np.concatenate(brows), points) & ~eyes
    upper = (eyes | forehead | (np.minimum(to_eyes, to_brows) <= UPPER_REACH)) & ~mouth
    return {"lips": lips, "mouth": mouth, "eyes": eyes, "forehead": forehead, "upper_face": upper}


def _contour(points: NDArray[np.float64], numbers: tuple[int, ...], *, closed: bool) -> NDArray[np.float64]:
    """Points (N,3) along the straight stretches between landmarks."""
    corners = points[[*numbers, numbers[0]] if closed else list(numbers)]
    share = np.linspace(0.0, 1.0, SAMPLES, endpoint=False)[:, None, None]
    return np.concatenate([((1 - share) * corners[:-1] + share * corners[1:]).reshape(-1, 3), corners[-1:]])


def _between(
    place: NDArray[np.float64],
    outer: NDArray[np.float64],
    inner: NDArray[np.float64],
    away: tuple[NDArray[np.float64], NDArray[np.float64]],
    scale: float,
) -> Bool:
    """Between two contours the distances to both add up to the width there; beyond either they add up to more."""
    to_outer, to_inner = away
    across, _ = cKDTree(inner).query(outer)
    _, nearest = cKDTree(outer).query(place)
    width = np.asarray(across)[nearest] / scale
    return np.asarray((to_outer + to_inner <= width + LIP_MARGIN) | (np.minimum(to_inner, to_outer) <= LIP_MARGIN / 2))


def _above(place: NDArray[np.float64], brows: NDArray[np.float64], points: NDArray[np.float64]) -> Bool:
    """What lies above the line of the brows, in the face's own axes."""
    side = points[45] - points[36]
    side = side / np.linalg.norm(side)
    up = brows.mean(axis=0) - points[48:68].mean(axis=0)
    up = up - (up @ side) * side
    up = up / np.linalg.norm(up)
    order = np.argsort(brows @ side)
    line = np.interp(place @ side, (brows @ side)[order], (brows @ up)[order])
    return np.asarray(place @ up > line)
