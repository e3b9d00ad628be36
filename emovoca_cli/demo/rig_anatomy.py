"""The built-in head as a rigger sees it: landmarks, lip loops, lids and hinge, all found from labels and positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

from emovoca_cli.demo.head import HeadModel
from emovoca_cli.demo.rig_fields import Array, FieldSolver, Handles, Index
from emovoca_cli.errors import DataError

REFERENCE_MM = 89.2
"""Distance of the outer eye corners of the head the figures were measured on (ICT-FaceKit's generic neutral)."""

NOWHERE = -999
AREA_MOUTH, AREA_LID, AREA_EAR, AREA_SCALP, AREA_NECK, AREA_NOSTRIL = 3, 4, 5, 6, 7, 8
Place = int | tuple[int, tuple[float, float, float]]
"""A landmark, or a landmark and an offset from it in millimetres (out to the subject's left, up, forward)."""

Move = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye: eyeball centre (3,) and radius, unit axes along (outwards for the left eye: +x), up and forward, in millimetres."""

    side: int
    centre: Array
    radius: float
    along: Array
    up: Array
    forward: Array

    def polar(self, points: Array) -> tuple[Array, Array, Array]:
        """Points (...,3) -> position along the corner axis, distance from that axis, elevation angle (radians, 0 = forward)."""
        offset = points - self.centre
        height, depth = offset @ self.up, offset @ self.forward
        return offset @ self.along, np.hypot(height, depth), np.arctan2(height, depth)

    def cartesian(self, along: Array, distance: Array, angle: Array) -> Array:
        """The inverse of `polar`."""
        return np.asarray(
            self.centre
            + along[..., None] * self.along
            + (distance * np.sin(angle))[..., None] * self.up
            + (distance * np.cos(angle))[..., None] * self.forward
        )


class Anatomy:
    """Rest positions in millimetres of a head scaled to the reference size, and the named places on it.

    `scale` is the number of metres of the head itself in one such millimetre.
    """

    def __init__(self, head: HeadModel) -> None:
        template = head.template
        vertices = np.asarray(template.vertices, dtype=np.float64)
        self.faces: Index = np.asarray(template.faces, dtype=np.int64)
        self.mirror: Index = np.asarray(head.mirror, dtype=np.int64)
        self.landmark_corners: Index = self.faces[template.landmark_faces]
        self.landmark_weights = np.asarray(template.landmark_weights, dtype=np.float64)
        points = np.einsum("lk,lkc->lc", self.landmark_weights, vertices[self.landmark_corners])
        outer = (points[36] + points[45]) / 2.0
        self.scale = float(np.linalg.norm(points[45] - points[36])) / REFERENCE_MM
        self.origin = outer
        self.rest: Array = (vertices - outer) / self.scale
        self.landmarks: Array = (points - outer) / self.scale
        labels = head.labels
        self.lip = np.asarray(labels["lip"], dtype=np.int64)
        self.mouth_ring = np.asarray(labels["mouth_ring"], dtype=np.int64)
        self.mouth_u = np.asarray(labels["mouth_u"], dtype=np.float64)
        self.eye_ring = np.asarray(labels["eye_ring"], dtype=np.int64)
        self.eye_side = np.asarray(labels["eye_side"], dtype=np.int64)
        self.eye_u = np.asarray(labels["eye_u"], dtype=np.float64)
        self.area = np.asarray(labels["area"], dtype=np.int64)
        self.parts = {part.name: (np.asarray(part.vertices, dtype=np.float64) - outer) / self.scale for part in template.parts}
        self.solver = FieldSolver(self.rest, self.faces)

    @cached_property
    def inside_mouth(self) -> Index:
        """Vertices behind the contact edge of the lips."""
        return np.flatnonzero((self.mouth_ring < 0) & (self.mouth_ring != NOWHERE))

    @cached_property
    def deepest_ring(self) -> int:
        """Label of the last ring of the mouth bag (negative)."""
        return int(self.mouth_ring[self.inside_mouth].min())

    @cached_property
    def border_ring(self) -> int:
        """Label of the ring on which the outer lip landmarks (the border of the red) lie."""
        rings = [int(r) for r in np.unique(self.mouth_ring) if r > 0]
        outer = self.landmarks[48:60]
        gaps = [np.linalg.norm(self.rest[self.mouth_ring == r][:, None] - outer[None], axis=2).min(axis=0).mean() for r in rings]
        return rings[int(np.argmin(gaps))]

    @cached_property
    def hinge(self) -> Array:
        """A point (3,) of the jaw's hinge axis, 30 mm above and 88 mm behind the edge of the upper incisors (from ICT-FaceKit)."""
        teeth = self.parts.get("teeth_upper")
        if teeth is None:
            edge = self.landmarks[62] + np.array([0.0, -2.0, -6.5])
        else:
            # The crowns of the two middle incisors: the lowest point near the midline, in the front of the arch.
            front = teeth[(np.abs(teeth[:, 0]) < 5.0) & (teeth[:, 2] > teeth[:, 2].max() - 8.0)]
            edge = front[np.argmin(front[:, 1])]
        return np.array([0.0, edge[1] + 30.0, edge[2] - 88.0])

    def eye(self, side: int) -> Eye:
        """The subject's left (+1) or right (-1) eye."""
        name = "eye_left" if side > 0 else "eye_right"
        if name not in self.parts:
            raise DataError(f"the head has no part {name}; rebuild it with `python -m emovoca_cli.demo.build head`")
        ball = self.parts[name]
        # A cornea bulges forward: the sphere is the one through the back half.
        back = ball[ball[:, 2] < ball[:, 2].mean()]
        system = np.hstack([2.0 * back, np.ones((len(back), 1))])
        solution, *_ = np.linalg.lstsq(system, (back**2).sum(axis=1), rcond=None)
        centre = solution[:3]
        radius = float(np.sqrt(solution[3] + centre @ centre))
        inner, outer = (self.landmarks[42], self.landmarks[45]) if side > 0 else (self.landmarks[39], self.landmarks[36])
        along = (outer - inner) * side
        along = along / np.linalg.norm(along)
        up = np.array([0.0, 1.0, 0.0]) - along * along[1]
        up /= np.linalg.norm(up)
        return Eye(side, centre, radius, along, up, np.cross(along, up))

    def vertex_near(self, place: Place) -> int:
        """The outer skin vertex nearest to a place; lips' landmarks stay on their own lip."""
        landmark, offset = place if isinstance(place, tuple) else (place, (0.0, 0.0, 0.0))
        target = self.landmarks[landmark] + np.asarray(offset)
        allowed = ~np.isin(self.area, (AREA_MOUTH, AREA_LID, AREA_NOSTRIL))
        if landmark in range(49, 54) or landmark in (61, 62, 63):
            allowed &= self.lip >= 0
        elif landmark in range(55, 60) or landmark in (65, 66, 67):
            allowed &= self.lip <= 0
        distance = np.where(allowed, np.linalg.norm(self.rest - target, axis=1), np.inf)
        return int(np.argmin(distance))

    def loop_handles(self, ring: int, moves: Mapping[float, Move], *, weight: float = 1.0) -> Handles:
        """Handles on every vertex of a mouth ring, from moves at lip landmarks, interpolated by the angle round the mouth.

        On the contact edge both lips follow the corner for the last few millimetres: there they part last.
        """
        vertices = np.flatnonzero(self.mouth_ring == ring)
        angles = np.mod(self.mouth_u[vertices], 2.0 * np.pi)
        keys = [(self.landmark_angle(landmark, ring), move) for landmark, move in moves.items()]
        if ring == 0:
            for landmark, around in ((60, (60.25, 67.75)), (64, (63.75, 64.25))):
                if landmark in moves:
                    keys += [(self.landmark_angle(near, ring), moves[landmark]) for near in around if near not in moves]
        keys.sort()
        knots = np.array([key for key, _ in keys])
        values = np.array([value for _, value in keys])
        wrapped = np.concatenate([knots - 2.0 * np.pi, knots, knots + 2.0 * np.pi])
        curve = PchipInterpolator(wrapped, np.concatenate([values] * 3), axis=0)
        return Handles(vertices, np.asarray(curve(angles)), np.full(len(vertices), weight))

    def landmark_angle(self, landmark: float, ring: int) -> float:
        """The angle round the mouth (radians) at which a lip landmark faces a ring; 63.5 is half-way between 63 and 64."""
        if landmark != int(landmark):
            first, share = int(landmark), landmark - int(landmark)
            start, stop = self.landmark_angle(first, ring), self.landmark_angle(60 if first == 67 else first + 1, ring)
            # The angle falls as the landmarks go round from the right corner; unwrap past the left one.
            step = (stop - start + np.pi) % (2.0 * np.pi) - np.pi
            return float((start + share * step) % (2.0 * np.pi))
        corners: dict[float, float] = {
            54: 0.0,
            64: 0.0,
            51: np.pi / 2,
            62: np.pi / 2,
            48: np.pi,
            60: np.pi,
            57: 1.5 * np.pi,
            66: 1.5 * np.pi,
        }
        if landmark in corners:
            return corners[landmark]
        upper = int(landmark) in range(49, 54) or landmark in (61, 63)
        candidates = np.flatnonzero((self.mouth_ring == ring) & (self.lip == (1 if upper else -1)))
        if len(candidates) == 0:
            raise DataError(f"mouth ring {ring} has no {'upper' if upper else 'lower'} lip vertices; rebuild the head")
        nearest = candidates[np.argmin(np.linalg.norm(self.rest[candidates] - self.landmarks[int(landmark)], axis=1))]
        return float(np.mod(self.mouth_u[nearest], 2.0 * np.pi))

    def point_handles(self, moves: Mapping[Place, Move], *, weight: float = 10.0) -> Handles:
        """Handles at places: a landmark's sits on the corners of its face, so that the landmark itself moves as told."""
        vertices: list[int] = []
        weights: list[float] = []
        targets: list[Move] = []
        for place, move in moves.items():
            if isinstance(place, tuple):
                corners, shares = [self.vertex_near(place)], [1.0]
            else:
                corners = [int(v) for v in self.landmark_corners[place]]
                shares = [float(w) for w in self.landmark_weights[place]]
            vertices += corners
            weights += [weight * share for share in shares]
            targets += [move] * len(corners)
        return Handles(np.array(vertices, dtype=np.int64), np.array(targets, dtype=np.float64).reshape(-1, 3), np.array(weights))

    def still(self, vertices: Index, *, weight: float = 1.0) -> Handles:
        """Handles that hold vertices where they are."""
        return Handles(vertices, np.zeros((len(vertices), 3)), np.full(len(vertices), weight))

    def mirrored(self, field: Array) -> Array:
        """The field (V,3) of the other side."""
        return np.asarray(field[self.mirror] * np.array([-1.0, 1.0, 1.0]))
