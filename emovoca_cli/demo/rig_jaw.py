"""The shapes that move the mandible, and mouthClose, which takes the lips back while the jaw stays open."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emovoca_cli.demo.rig_anatomy import AREA_EAR, AREA_MOUTH, AREA_NECK, AREA_SCALP, NOWHERE, Anatomy, Move, Place
from emovoca_cli.demo.rig_fields import Array, Handles, Index, smoothstep

JAW_OPEN_DEGREES = 25.3
"""Hinge rotation at jawOpen 1 (ICT-FaceKit, measured)."""

JAW_FORWARD: Move = (0.0, -1.7, 8.9)
JAW_LEFT: Move = (7.1, 0.0, 0.0)
"""How the lower teeth move at coefficient 1, millimetres (ICT-FaceKit, measured)."""

ZERO: Move = (0.0, 0.0, 0.0)
OPEN_LIPS: dict[float, Move] = {
    54: (-2.8, -13.1, -11.2), 53: (-0.3, -4.9, -3.3), 52: (0.0, -3.1, -1.2), 51: (0.0, -2.4, -0.3), 55: (-2.2, -25.0, -17.4),
    56: (-0.9, -32.6, -20.4), 57: (0.0, -35.1, -21.4),
    64: (-2.8, -13.6, -10.8), 63: (-0.3, -3.4, -1.2), 62: (0.0, -2.4, -0.3), 65: (-0.9, -30.6, -18.0), 66: (0.0, -35.2, -19.3),
}  # fmt: skip
FORWARD_LIPS: dict[float, Move] = {
    54: (0.5, -0.6, 5.2), 53: (-0.1, -0.2, 1.5), 51: (0.0, -0.1, 0.3), 55: (0.2, -0.9, 7.6), 56: (0.0, -1.1, 9.2),
    57: (0.0, -1.2, 9.6),
    64: (0.5, -0.6, 5.0), 63: (0.0, -0.1, 0.6), 62: (0.0, -0.1, 0.3), 65: (0.0, -1.2, 8.6), 66: (0.0, -1.4, 9.2),
}  # fmt: skip
LEFT_LIPS: dict[float, Move] = {
    54: (5.0, 0.4, 0.0), 53: (2.4, 0.1, 0.2), 51: (1.7, 0.0, 0.0), 49: (2.4, -0.1, 0.2), 48: (5.0, -0.4, 0.0),
    55: (6.8, 0.4, 0.4), 57: (7.9, 0.3, 0.9), 59: (6.8, -0.2, 0.4),
    64: (5.0, 0.4, 0.0), 63: (2.0, 0.1, 0.0), 62: (1.6, 0.0, 0.0), 61: (2.0, -0.1, 0.0), 60: (5.0, -0.4, 0.0),
    65: (7.4, 0.3, 0.5), 66: (7.9, 0.3, 0.8), 67: (7.4, 0.1, 0.5),
}  # fmt: skip

JAW_WEIGHTS: dict[Place, float] = {
    8: 0.86, 9: 0.84, 10: 0.76, 11: 0.55, 12: 0.30, 13: 0.10, (8, (0, 11, 5)): 0.88, (57, (0, -10, 0)): 0.90, (9, (4, 14, 0)): 0.87,
    (8, (0, -8, -18)): 0.66, (8, (0, -16, -34)): 0.36, (10, (0, -10, -14)): 0.50, (11, (0, -12, -8)): 0.26,
    (54, (6, -14, -6)): 0.66, (54, (14, -2, -12)): 0.36, (54, (26, -4, -24)): 0.26, (54, (22, -18, -24)): 0.46,
    (54, (8, 12, -3)): 0.20, (54, (20, 16, -14)): 0.14,
    (54, (16, 26, -6)): 0.04, 33: 0.0, 35: 0.01, (35, (14, 4, -8)): 0.02, (54, (40, 14, -40)): 0.06,
}  # fmt: skip
"""Share of the jaw's motion that the skin takes, by place (left; mirrored)."""

MIRRORED: dict[float, float] = {54: 48, 53: 49, 52: 50, 55: 59, 56: 58, 64: 60, 63: 61, 65: 67, 9: 7, 10: 6, 11: 5, 12: 4, 13: 3,
14: 2, 35: 31, 34: 32,
            22: 21, 23: 20, 24: 19, 25: 18, 26: 17, 42: 39, 43: 38, 44: 37, 45: 36, 46: 41, 47: 40}  # fmt: skip
MIRRORED |= {right: left for left, right in MIRRORED.items()}


def mirror_lips(moves: Mapping[float, Move]) -> dict[float, Move]:
    """Moves at lip landmarks of the left half, completed by those of the right half."""

    def twin(landmark: float) -> float:
        if landmark < 60:
            return MIRRORED.get(landmark, landmark)
        return 124.0 - landmark if landmark <= 64 else 132.0 - landmark

    return dict(moves) | {twin(k): (-x, y, z) for k, (x, y, z) in moves.items() if twin(k) != k}


def mirror_place(place: Place) -> Place:
    """The same place on the other side."""
    if isinstance(place, tuple):
        landmark, (x, y, z) = place
        return int(MIRRORED.get(landmark, landmark)), (-x, y, z)
    return int(MIRRORED.get(place, place))


def jaw_floor(anatomy: Anatomy) -> tuple[Index, Index]:
    """The deepest two rings of the mouth bag: the vertices that go with the jaw and those that stay with the skull."""
    deep = np.flatnonzero((anatomy.mouth_ring <= anatomy.deepest_ring + 1) & (anatomy.mouth_ring != NOWHERE))
    low = np.sin(anatomy.mouth_u[deep]) < -0.25
    high = np.sin(anatomy.mouth_u[deep]) > 0.1
    return deep[low], deep[high]


def far_from_jaw(anatomy: Anatomy) -> Array:
    """1 (V,) where the jaw moves nothing: skull, ears, neck and bust; 0 on the lower face."""
    y, z = anatomy.rest[:, 1], anatomy.rest[:, 2]
    above = smoothstep(y, -48.0, -26.0)
    below = smoothstep(-y, 128.0, 160.0)
    behind = smoothstep(-z, 42.0, 66.0)
    fixed = np.isin(anatomy.area, (AREA_EAR, AREA_SCALP)).astype(np.float64)
    neck = np.where(anatomy.area == AREA_NECK, smoothstep(-y, 116.0, 140.0), 0.0)
    outside = np.maximum.reduce([above, below, behind, fixed, neck])
    outside[anatomy.area == AREA_MOUTH] = 0.0
    return np.asarray(outside)


def jaw_weight(anatomy: Anatomy) -> Array:
    """Share (V,) of the jaw's motion that each vertex takes."""
    places = dict(JAW_WEIGHTS)
    places |= {mirror_place(place): weight for place, weight in JAW_WEIGHTS.items()}
    vertices = [anatomy.vertex_near(place) for place in places]
    low, high = jaw_floor(anatomy)
    corner: dict[float, Move] = {
        54: (0.40, 0, 0),
        48: (0.40, 0, 0),
        53: (0.13, 0, 0),
        49: (0.13, 0, 0),
        51: (0.06, 0, 0),
        55: (0.75, 0, 0),
        59: (0.75, 0, 0),
        57: (0.93, 0, 0),
    }
    loops = anatomy.loop_handles(0, corner), anatomy.loop_handles(anatomy.border_ring, corner)
    handles = Handles.join([
        Handles(np.array(vertices), np.array(list(places.values()))[:, None], np.full(len(vertices), 4.0)),
        Handles(low, np.ones((len(low), 1)), np.full(len(low), 4.0)),
        Handles(high, np.zeros((len(high), 1)), np.full(len(high), 4.0)),
        *(Handles(loop.vertices, loop.moves[:, :1], loop.weights) for loop in loops),
    ])  # fmt: skip
    weight = anatomy.solver.solve(handles, outside=far_from_jaw(anatomy), leash=9.0)[:, 0]
    return np.clip(weight, 0.0, 1.0)


def correct_lips(anatomy: Anatomy, base: Array, lips: dict[float, Move], points: dict[Place, Move], *, whole: bool = True) -> Array:
    """`base` (V,3) plus the smooth field that brings lips and points to their prescribed moves, the mouth bag's end held."""
    if whole:
        lips = mirror_lips(lips)
        points = points | {mirror_place(place): (-x, y, z) for place, (x, y, z) in points.items() if mirror_place(place) != place}
    outer = {k: move for k, move in lips.items() if k < 60}
    inner = {k: move for k, move in lips.items() if k >= 60}
    sets = [anatomy.loop_handles(anatomy.border_ring, outer), anatomy.loop_handles(0, inner)]
    if points:
        sets.append(anatomy.point_handles(points))
    low, high = jaw_floor(anatomy)
    targets = Handles.join(sets)
    residual = Handles(targets.vertices, targets.moves - base[targets.vertices], targets.weights)
    held = anatomy.still(np.concatenate([low, high]), weight=4.0)
    return base + anatomy.solver.solve(Handles.join([residual, held]), outside=far_from_jaw(anatomy), leash=9.0)


def jaw_shapes(anatomy: Anatomy) -> dict[str, Array]:
    """jawOpen, jawForward, jawLeft and mouthClose as fields (V,3) in reference millimetres."""
    weight = jaw_weight(anatomy)
    angle = np.deg2rad(JAW_OPEN_DEGREES)
    lever = anatomy.rest - anatomy.hinge
    x, y, z = lever.T
    turned = np.stack([x, y * np.cos(angle) - z * np.sin(angle), z * np.cos(angle) + y * np.sin(angle)], axis=1)
    opened = correct_lips(anatomy, weight[:, None] * (turned - lever), OPEN_LIPS, {8: (0.0, -28.2, -29.1)})
    forward = correct_lips(
        anatomy, weight[:, None] * np.array(JAW_FORWARD), FORWARD_LIPS, {8: (0.0, -1.7, 10.9), (8, (0, 7, 5)): (0.0, -1.5, 11.0)}
    )
    left = correct_lips(
        anatomy,
        weight[:, None] * np.array(JAW_LEFT),
        LEFT_LIPS,
        {8: (8.6, 0.1, 0.1), (9, (-6, 9, 6)): (8.9, 0.1, 0.2)},
        whole=False,
    )
    return {"jawOpen": opened, "jawForward": forward, "jawLeft": left, "mouthClose": close_lips(anatomy, opened)}


def close_lips(anatomy: Anatomy, opened: Array) -> Array:
    """The corrective of jawOpen: at the same coefficient the lower lip is back at the upper one, which comes down to meet it."""
    upper: dict[float, Move] = {
        54: (1.4, 9.6, 7.8),
        53: (0.1, 0.7, 2.4),
        51: (0.0, -0.5, 0.7),
        64: (1.4, 10.2, 7.6),
        63: (0.1, -0.5, 1.6),
        62: (0.0, -0.8, 1.9),
    }
    lower: dict[float, Move] = {}
    # Where the lips have to meet: as far below rest as the upper lip comes, and a little further up than it, for contact.
    for outer_landmark, partner, overlap in ((55, 53, 0.6), (56, 52, 0.9), (57, 51, 1.0), (65, 63, 2.0), (66, 62, 2.4)):
        open_upper = np.array(OPEN_LIPS[partner])
        shift = np.array(upper.get(partner, (0.0, -0.3, 1.2)))
        target = open_upper + shift + np.array([0.0, overlap, 0.0])
        move = target - np.array(OPEN_LIPS[outer_landmark])
        lower[outer_landmark] = (float(move[0]), float(move[1]), float(move[2]))
    points: dict[Place, Move] = {
        8: (0.0, 3.9, 2.5),
        (57, (0, -10, 0)): (0.0, 18.0, 9.5),
        (54, (6, -14, -6)): (0.4, 8.0, 5.0),
        (54, (12, 0, -9)): (0.6, 4.4, 2.6),
        (9, (4, 14, 0)): (0.0, 9.0, 5.0),
    }
    return correct_lips(anatomy, np.zeros_like(opened), upper | lower, points)
