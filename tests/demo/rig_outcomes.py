"""What visemes and emotions must come to in millimetres (measured on a scan-based rig), and what they come to on ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.demo.head import HeadModel, load_head
from emovoca_cli.demo.rig import Rig, load_rig
from emovoca_cli.demo.rig_anatomy import NOWHERE, Anatomy

REST_CORNERS = 50.7
REST_APERTURE = 8.3

# viseme: lip opening h and w, corner to corner, upper lip forward
VISEMES: dict[str, tuple[float, float, float, float]] = {
    "sil": (0, 0, 50.6, -0.2), "PP": (0, 0, 50.9, -1.2), "FF": (4.2, 43, 50.7, -0.3), "TH": (8.0, 43, 49.9, -0.2),
    "DD": (5.6, 45, 51.8, -0.4), "SS": (4.8, 50, 56.9, -1.3), "CH": (8.4, 29, 43.8, 6.3), "KK": (7.6, 43, 49.8, -0.2),
    "LL": (8.4, 43, 49.7, -0.2), "RR": (6.6, 32, 44.2, 5.3), "AA": (14.2, 42, 48.6, -0.2), "EH": (10.8, 49, 55.6, -1.4),
    "IY": (6.2, 55, 61.3, -2.2), "OW": (11.8, 32, 42.2, 6.7), "UW": (4.2, 19, 40.4, 8.6), "AW": (14.4, 38, 45.7, 2.9),
    "HH": (5.8, 43, 49.9, -0.1), "YY": (4.6, 51, 57.8, -1.5),
}  # fmt: skip

# emotion: brow inner, middle, outer dy left and right; lid aperture and corner dy left, right; lip opening; corner to corner
EMOTIONS: dict[str, tuple[float, ...]] = {
    "neutral": (0, 0, 0, 0, 0, 0, 8.3, 8.3, 0, 0, 0.6, 50.7),
    "afraid": (5.4, 3.6, 2.7, 5.4, 3.6, 2.7, 10.8, 10.8, -5.2, -5.2, 7.6, 61.6),
    "angry": (-3.5, -3.8, -0.5, -3.5, -3.8, -0.5, 6.4, 6.4, 2.8, 2.8, 0.0, 52.8),
    "disgust": (-6.0, -6.5, -2.1, -6.0, -6.5, -2.1, 2.8, 2.8, 6.2, 6.2, 4.8, 53.1),
    "happy": (-0.2, 0.1, -0.1, -0.2, 0.1, -0.1, 4.7, 4.7, 10.6, 10.6, 8.0, 65.6),
    "sad": (4.8, 1.3, 0.5, 4.8, 1.3, 0.5, 5.0, 5.0, -3.8, -3.8, 0.0, 56.8),
    "moody": (-2.4, -3.5, -0.9, -2.4, -3.5, -0.9, 5.1, 5.2, 0.2, 1.0, 0.0, 49.1),
    "drunk": (2.5, 2.4, 1.4, 3.3, 6.0, 4.2, 2.7, 4.6, 5.3, -1.1, 10.4, 56.6),
    "ill": (2.6, -0.1, 0.2, 2.6, -0.1, 0.2, 4.3, 4.3, -3.5, -3.5, 5.2, 52.8),
    "suspicious": (-2.4, -4.5, -1.4, -0.4, 2.2, 2.5, 3.7, 4.0, 2.3, -0.2, 0.0, 49.4),
    "pleased": (1.0, 1.4, 0.8, 1.0, 1.4, 0.8, 6.4, 6.4, 8.1, 8.1, 0.0, 60.8),
    "upset": (3.6, -0.6, -0.3, 3.6, -0.6, -0.3, 4.3, 4.3, -6.0, -6.0, 5.2, 63.6),
    "surprised": (8.1, 10.3, 6.9, 8.1, 10.3, 6.9, 11.2, 11.2, -5.9, -5.9, 17.4, 47.1),
    "contempt": (0.4, 2.7, 2.2, -0.4, -1.2, -0.3, 5.5, 5.5, 7.5, 0.5, 0.0, 55.1),
}  # fmt: skip
EMOTION_COLUMNS = (
    "brow inner L", "brow mid L", "brow outer L", "brow inner R", "brow mid R", "brow outer R",
    "aperture L", "aperture R", "corner dy L", "corner dy R", "opening", "corners",
)  # fmt: skip
VISEME_COLUMNS = ("opening h", "opening w", "corners", "upper lip forward")
VIEWS = ((0, 0), (35, 0), (-35, 0), (0, 25), (0, -25))
"""Yaw and pitch in degrees from which a sealed mouth must show nothing."""

Array = NDArray[np.float64]


def tolerance(target: float) -> float:
    """Millimetres by which an outcome may miss: 1 mm or 15 %."""
    return max(1.0, 0.15 * abs(target))


@dataclass
class Outcomes:
    """Measures poses of a rig in millimetres scaled to an outer eye-corner distance of 89.2 mm; rest differences are taken out."""

    head: HeadModel
    rig: Rig

    def __post_init__(self) -> None:
        self.anatomy = Anatomy(self.head)
        self.deltas = self.rig.deltas.astype(np.float64) / self.anatomy.scale
        self.marks = self.rig.landmark_deltas.astype(np.float64) / self.anatomy.scale

    @classmethod
    def built_in(cls) -> Outcomes:
        return cls(load_head(), load_rig())

    def landmarks(self, coefficients: Array) -> Array:
        return self.anatomy.landmarks + np.tensordot(coefficients, self.marks, 1)

    def skin(self, coefficients: Array) -> Array:
        return self.anatomy.rest + np.tensordot(coefficients, self.deltas, 1)

    def emotion(self, coefficients: Array) -> tuple[float, ...]:
        posed, rest = self.landmarks(coefficients), self.anatomy.landmarks
        dy = (posed - rest)[:, 1]

        def aperture(points: Array, pairs: tuple[tuple[int, int], ...]) -> float:
            return float(np.mean([np.linalg.norm(points[a] - points[b]) for a, b in pairs]))

        left, right = ((43, 47), (44, 46)), ((38, 40), (37, 41))
        lids = [REST_APERTURE + aperture(posed, pairs) - aperture(rest, pairs) for pairs in (left, right)]
        return (*dy[[22, 24, 26, 21, 19, 17]], *lids, dy[54], dy[48], self.opening(coefficients), self.corners(coefficients))

    def viseme(self, coefficients: Array) -> tuple[float, float, float, float]:
        posed, rest = self.landmarks(coefficients), self.anatomy.landmarks
        width = self.seen(coefficients, (0, 0))[1]
        return self.opening(coefficients), width, self.corners(coefficients), float(posed[51, 2] - rest[51, 2])

    def corners(self, coefficients: Array) -> float:
        posed, rest = self.landmarks(coefficients), self.anatomy.landmarks
        return float(REST_CORNERS + np.linalg.norm(posed[54] - posed[48]) - np.linalg.norm(rest[54] - rest[48]))

    def opening(self, coefficients: Array) -> float:
        """Height that shows between the lips at the midline: from the lower lip's highest to the upper lip's lowest point."""
        a = self.anatomy
        lips = np.flatnonzero((a.mouth_ring >= -3) & (a.mouth_ring <= a.border_ring))
        height = self.skin(coefficients)[lips, 1]
        upper, lower = (np.abs(a.mouth_u[lips] - angle) < 0.05 for angle in (np.pi / 2, 1.5 * np.pi))
        return float(max(0.0, height[upper].min() - height[lower].max()))

    def contact_gaps(self, coefficients: Array) -> Array:
        """Height by which the lips' contact edges are apart, all along the mouth (N,): negative where they overlap."""
        a = self.anatomy
        edge = np.flatnonzero(a.mouth_ring == 0)
        posed, angle = self.skin(coefficients)[edge], np.mod(a.mouth_u[edge], 2 * np.pi)
        upper, lower = (angle > 0.2) & (angle < np.pi - 0.2), (angle > np.pi + 0.2) & (angle < 2 * np.pi - 0.2)
        order = np.argsort(posed[lower][:, 0])
        return posed[upper][:, 1] - np.interp(posed[upper][:, 0], posed[lower][order, 0], posed[lower][order, 1])

    def seen(self, coefficients: Array, view: tuple[int, int], *, step: float = 0.5) -> tuple[float, float]:
        """Area (mm2) and width (mm) of the mouth's inside that shows from a yaw and pitch in degrees, parts left out."""
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        a = self.anatomy
        skin, faces = self.skin(coefficients), a.faces
        inside = ((a.mouth_ring < -1) & (a.mouth_ring != NOWHERE))[faces].all(axis=1)
        yaw, pitch = np.deg2rad(view)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]) @ np.array(
            [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        )
        x, y = np.meshgrid(np.arange(-36, 36.01, step), np.arange(-34, 24.01, step))
        middle = a.landmarks[[62, 66]].mean(axis=0) + np.array([0.0, -3.0, -8.0])
        origins = np.stack([x.ravel(), y.ravel(), np.full(x.size, 150.0)], axis=1) @ turn.T + middle
        direction = turn @ np.array([0.0, 0.0, -1.0])
        scene = RayMeshIntersector(trimesh.Trimesh(skin, faces, process=False))
        hit = scene.intersects_first(origins, np.tile(direction, (len(origins), 1)))
        normals = np.cross(skin[faces[:, 1]] - skin[faces[:, 0]], skin[faces[:, 2]] - skin[faces[:, 0]])
        shows = ((hit >= 0) & (inside[hit] | (normals[hit] @ direction > 0))).reshape(x.shape)
        columns = x[0][shows.any(axis=0)]
        return float(shows.sum() * step**2), float(np.ptp(columns) + step) if len(columns) else 0.0
