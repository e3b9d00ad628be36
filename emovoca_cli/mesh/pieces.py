"""What the separate surfaces of a head are: its skin, eyeballs, what the jaw carries, what lies on the skin. By geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.mesh.landmarks import NOSE_TIP, eye_distance
from emovoca_cli.mesh.regions import EYES
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, components
from emovoca_cli.types import Bool

Array = NDArray[np.float64]

TALL = 0.4
"""What lies in the mouth and is taller than this holds both jaws in one surface, as gums joined to a tongue do."""
BLEND = (-0.03, 0.02)
"""Heights against the lip line between which such a surface comes to stay: the jaw's below, the upper gums above."""
ON_SKIN, OFF_SKIN = 0.06, 0.35
"""Lashes, brows and beards up to the first distance from the skin move with it, hats and hair beyond the second do not."""
NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class Pieces:
    """skin (V,): the surface that bears the face; jaw (V,) in 0-1: what the jaw carries; eyes: right and left eyeball (V,) each;

    followers (N,): vertices that lie on the skin, nearest (N,3): skin vertices they go with, shares (N,3) of their motion.
    """

    skin: Bool
    jaw: Array
    eyes: tuple[Bool, Bool]
    followers: NDArray[np.int64]
    nearest: NDArray[np.int64]
    shares: Array


def find_pieces(vertices: AnyFloat, faces: AnyInt, landmarks: AnyFloat) -> Pieces:
    """The pieces of a head at rest: vertices (V,3), faces (F,3), landmarks (68,3) in any unit, y up, looking along +z."""
    place, points = np.asarray(vertices, dtype=np.float64), np.asarray(landmarks, dtype=np.float64)
    size = eye_distance(points)
    labels = components(faces, len(place))
    skin = labels == labels[skin_corner(place, faces, points)]
    jaw, loose = np.zeros(len(place)), np.zeros(len(place), dtype=np.bool_)
    eyes = (np.zeros(len(place), dtype=np.bool_), np.zeros(len(place), dtype=np.bool_))
    lip_line = float(points[60:68, 1].mean())
    used = np.zeros(len(place), dtype=np.bool_)
    used[np.asarray(faces).reshape(-1)] = True
    for label in np.unique(labels[used & ~skin]):
        chosen = np.flatnonzero(labels == label)
        piece = place[chosen]
        ball = next((side for side, lids in enumerate(EYES) if is_ball(piece, points[list(lids)].mean(axis=0), size)), None)
        if ball is not None:
            eyes[ball][chosen] = True
        elif in_mouth(piece, points, size):
            if np.ptp(piece[:, 1]) < TALL * size:
                jaw[chosen] = float(piece[:, 1].mean() < lip_line)
            else:
                level = np.clip((lip_line + BLEND[1] * size - piece[:, 1]) / ((BLEND[1] - BLEND[0]) * size), 0, 1)
                jaw[chosen] = level * level * (3 - 2 * level)
        else:
            loose[chosen] = True
    followers = np.flatnonzero(loose)
    bearing = np.flatnonzero(skin)
    distance, near = cKDTree(place[bearing]).query(place[followers], k=NEIGHBOURS)
    close = distance[:, 0] < OFF_SKIN * size
    followers, distance, near = followers[close], distance[close], bearing[near[close]]
    level = np.clip((distance[:, :1] / size - ON_SKIN) / (OFF_SKIN - ON_SKIN), 0, 1)
    shares = 1 / (distance + 1e-3 * size)
    shares *= (1 - level * level * (3 - 2 * level)) / shares.sum(axis=1, keepdims=True)
    return Pieces(skin, jaw, eyes, followers, near, shares)


def skin_corner(vertices: AnyFloat, faces: AnyInt, landmarks: AnyFloat) -> int:
    """A vertex of the surface that bears the nose: the skin, however many vertices a body or a mane has."""
    (face,), _ = nearest_surface(np.asarray(landmarks)[[NOSE_TIP]], vertices, faces)
    return int(np.asarray(faces)[face][0])


def is_ball(piece: AnyFloat, lids: AnyFloat, size: float) -> bool:
    """Whether a surface (P,3) is round, 0.15 to 0.6 eye distances wide, and behind lids whose middle is at (3,)."""
    extent = np.ptp(piece, axis=0) / size
    middle = (piece.max(axis=0) + piece.min(axis=0)) / 2 - lids
    aside = float(np.linalg.norm(middle[:2])) / size
    return bool(
        aside < 0.12 and -0.4 < middle[2] / size < 0.1 and 0.15 < extent.max() < 0.6 and extent[:2].min() > 0.7 * extent.max()
    )


def in_mouth(piece: AnyFloat, landmarks: AnyFloat, size: float) -> bool:
    """Whether a surface (P,3) is teeth, gums or tongue: wholly behind the front of the lips and not wider than the face."""
    low, high = piece.min(axis=0), piece.max(axis=0)
    lips = landmarks[60:68].mean(axis=0)
    front = landmarks[48:68, 2].max()
    middle = (low + high) / 2 - lips
    return bool(
        high[2] < front
        and abs(middle[0]) < 0.4 * size
        and abs(middle[1]) < 0.4 * size
        and middle[2] < 0
        and (high - low).max() < 1.2 * size
        and high[0] - low[0] < 0.95 * size
        and high[1] < landmarks[36:48, 1].min()
    )
