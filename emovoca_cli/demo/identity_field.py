"""A smooth deformation of space that turns the built-in head into another person's.

It is made of traits a sculptor would name, each with about the spread of real adults (standard deviations of landmarks measured on
ICT-FaceKit's identity model, MIT licence), and of a little seeded noise. It moves space, not vertices: what touches on the
head touches on the person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emovoca_cli.demo.head import HeadModel
from emovoca_cli.demo.rig_anatomy import AREA_EAR, Anatomy
from emovoca_cli.demo.rig_fields import Array, smoothstep
from emovoca_cli.types import Float

TRAITS: dict[str, tuple[float, float]] = {
    # trait: (spread, what build +1 adds to the mean), both in its own unit (millimetres unless said)
    "head_width": (0.018, 0.008),  # share
    "head_height": (0.022, 0.006),  # share
    "head_depth": (0.020, 0.006),  # share
    "forehead_slope": (2.6, -0.9),
    "forehead_height": (2.4, 0.0),
    "temple_width": (1.8, 0.0),
    "brow_ridge": (1.0, 1.2),
    "brow_height": (1.5, -1.0),
    "eye_spacing": (0.9, 0.0),
    "eye_depth": (0.9, -0.4),
    "eye_tilt": (2.2, -0.8),  # degrees, outer corner up
    "cheekbone": (1.8, 0.2),
    "cheek_fullness": (1.9, -0.4),
    "nose_length": (1.9, 0.7),
    "nose_tip_out": (1.9, 0.5),
    "nose_tip_up": (1.4, -0.6),
    "nose_width": (0.075, 0.035),  # share
    "nose_bridge": (1.4, 0.6),
    "nose_hump": (0.8, 0.3),
    "face_length": (2.8, 1.2),
    "mouth_height": (1.2, 0.0),
    "mouth_width": (0.055, 0.015),  # share
    "lips_upper": (0.15, -0.08),  # share
    "lips_lower": (0.13, -0.06),  # share
    "lips_forward": (1.0, -0.2),
    "jaw_width": (0.03, 0.022),  # share
    "jaw_angle": (2.0, 0.9),
    "chin_forward": (2.2, 0.9),
    "chin_height": (1.8, 0.8),
    "chin_width": (0.07, 0.06),  # share
    "ear_size": (0.05, 0.02),  # share
    "ear_out": (1.8, 0.0),
    "neck_width": (0.03, 0.055),  # share
}

NOISE_LENGTH, NOISE_SPREAD, ASYMMETRY = 34.0, 0.75, 0.30
"""Millimetres: how far the seeded noise hangs together, its spread, and the spread of its one-sided part."""

NOISE_PLACES = (
    (0.0, 70.0, 5.0), (35.0, 60.0, 0.0), (60.0, 40.0, -40.0), (0.0, 105.0, -50.0), (50.0, 85.0, -70.0), (55.0, -30.0, -10.0),
    (45.0, -60.0, 0.0), (30.0, -35.0, 14.0), (70.0, -20.0, -60.0), (40.0, -140.0, -60.0),
)  # fmt: skip
"""Places of the left half, beside some landmarks, that the noise hangs on (reference millimetres)."""

EYE_CORE, EYE_RIM = 15.0, 27.0
"""Millimetres from an eyeball's centre: within the first the field is rigid (ball and lids fit), from the second on it is free."""


def draw_traits(seed: int, build: float, fixed: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """A person's traits in their own units, and how far the lids hang or open at rest (coefficients of lid shapes).

    build: -1 slight to +1 heavy; fixed: traits set by hand, in spreads.
    """
    random = np.random.default_rng([seed, 33])
    traits = {}
    for name, (spread, heavier) in TRAITS.items():
        deviation = float(np.clip(random.normal(), -1.8, 1.8))
        traits[name] = spread * fixed.get(name, deviation) + heavier * build
    hang = float(random.uniform(-0.5, 0.5))
    lids = {"eyeBlink": 0.16 * max(hang, 0.0) + 0.02 * (build + 1.0), "eyeWide": 0.5 * max(-hang, 0.0)}
    return traits, {name: value for name, value in lids.items() if value > 0}


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """Where the features of the built-in head are: reference millimetres from the midpoint of the outer eye corners.

    landmarks (68,3), eyes (2,3) eyeball centres left and right, ear (3,) centre of the left ear; origin (3,) and scale lead to
    metres.
    """

    landmarks: Array
    eyes: Array
    ear: Array
    origin: Array
    scale: float

    @classmethod
    def of(cls, head: HeadModel) -> FaceFrame:
        """Measure a head."""
        anatomy = Anatomy(head)
        eyes = np.stack([anatomy.eye(1).centre, anatomy.eye(-1).centre])
        ear = anatomy.rest[(anatomy.area == AREA_EAR) & (anatomy.rest[:, 0] > 0)]
        centre = ear.mean(axis=0) if len(ear) else np.array([78.0, -8.0, -85.0])
        return cls(anatomy.landmarks, eyes, centre, anatomy.origin, anatomy.scale)


class FaceField:
    """The deformation of one person; call it with points (N,3) in metres."""

    def __init__(self, frame: FaceFrame, traits: Mapping[str, float], *, seed: int) -> None:
        self.frame = frame
        self.traits = traits
        random = np.random.default_rng([seed, 7])
        # Noise hangs on points of the left half and the midline; the right half mirrors them.
        places = frame.landmarks[[8, 10, 12, 14, 16, 22, 24, 26, 27, 30, 33, 35, 45, 51, 54, 57]]
        centres = np.concatenate([places, np.array(NOISE_PLACES)])
        moves = random.normal(0.0, NOISE_SPREAD, centres.shape)
        moves[np.abs(centres[:, 0]) < 1.0, 0] = 0.0
        flip = np.array([-1.0, 1.0, 1.0])
        self.noise_centres = np.concatenate([centres, centres * flip])
        self.noise_moves = np.concatenate([moves, moves * flip])
        self.noise_moves += random.normal(0.0, ASYMMETRY, self.noise_moves.shape)
        self.eye_frames = [self._rigid(centre) for centre in frame.eyes]

    def __call__(self, points: Float | Array) -> Array:
        """Points (N,3) in metres -> where they are on the person, in metres."""
        frame = self.frame
        x = (np.asarray(points, dtype=np.float64) - frame.origin) / frame.scale
        moved = x + self.displacement(x)
        for centre, (turn, shift) in zip(frame.eyes, self.eye_frames, strict=True):
            free = smoothstep(np.linalg.norm(x - centre, axis=1), EYE_CORE, EYE_RIM)[:, None]
            near = free[:, 0] < 1.0
            rigid = (x[near] - centre) @ turn.T + centre + shift
            moved[near] = free[near] * moved[near] + (1.0 - free[near]) * rigid
        return np.asarray(moved * frame.scale + frame.origin)

    def _rigid(self, centre: Array) -> tuple[Array, Array]:
        """Rotation (3,3) and shift (3,) nearest to the free field around an eye, with the person's eye tilt."""
        grid = np.stack(np.meshgrid(*[np.linspace(-12.0, 12.0, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        moved = grid + self.displacement(centre + grid)
        shift = moved.mean(axis=0)
        u, _, vt = np.linalg.svd((moved - shift).T @ grid)
        turn = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt
        tilt = np.deg2rad(self.traits["eye_tilt"]) * np.sign(centre[0])
        roll = np.array([[np.cos(tilt), -np.sin(tilt), 0.0], [np.sin(tilt), np.cos(tilt), 0.0], [0.0, 0.0, 1.0]])
        return roll @ turn, shift

    def displacement(self, x: Array) -> Array:
        """The free field at points (N,3): displacement (N,3), all in reference millimetres."""
        t, marks = self.traits, self.frame.landmarks
        d = np.zeros_like(x)
        side = np.tanh(x[:, 0] / 6.0)
        y, z = x[:, 1], x[:, 2]
        chin, tip, mouth = marks[8], marks[30], marks[[60, 64]].mean(axis=0)

        def bell(centre: Array, width: tuple[float, float, float], *, paired: bool = False) -> Array:
            offset = x.copy()
            if paired:
                offset[:, 0] = np.abs(offset[:, 0])
            return np.asarray(np.exp(-0.5 * (((offset - centre) / np.array(width)) ** 2).sum(axis=1)))

        # The whole head.
        up = np.where(y > 0, y, 0.0)
        d[:, 0] += t["head_width"] * x[:, 0]
        d[:, 1] += t["head_height"] * up
        d[:, 2] += t["head_depth"] * (z + 75.0) * smoothstep(y, -170.0, -60.0)
        # Forehead, temples, brows.
        high = smoothstep(y, 22.0, 75.0) * smoothstep(z, -70.0, 0.0)
        d[:, 2] += t["forehead_slope"] * high
        d[:, 1] += t["forehead_height"] * smoothstep(y, 25.0, 80.0)
        d[:, 0] += t["temple_width"] * side * bell(np.array([58.0, 35.0, -25.0]), (25.0, 26.0, 30.0), paired=True)
        ridge = bell(np.array([26.0, marks[24][1] - 2.0, 16.0]), (26.0, 9.0, 22.0), paired=True)
        d[:, 2] += t["brow_ridge"] * ridge
        d[:, 1] += t["brow_height"] * bell(np.array([34.0, marks[24][1] + 3.0, 10.0]), (26.0, 12.0, 24.0), paired=True)
        # Eyes (made rigid afterwards).
        socket = bell(np.abs(self.frame.eyes[0]), (22.0, 18.0, 24.0), paired=True)
        d[:, 0] += t["eye_spacing"] * side * socket
        d[:, 2] += t["eye_depth"] * socket
        # Cheeks.
        d[:, 0] += t["cheekbone"] * side * bell(np.array([56.0, -20.0, -8.0]), (20.0, 15.0, 24.0), paired=True)
        d[:, 2] += 0.6 * t["cheekbone"] * bell(np.array([46.0, -18.0, 4.0]), (18.0, 13.0, 20.0), paired=True)
        full = bell(np.array([44.0, -56.0, 0.0]), (17.0, 20.0, 24.0), paired=True)
        d[:, 0] += 0.8 * t["cheek_fullness"] * side * full
        d[:, 2] += 0.8 * t["cheek_fullness"] * full
        # Nose: a tip, a root, alae.
        nose = bell(np.array([0.0, tip[1] - 3.0, tip[2] - 6.0]), (15.0, 15.0, 17.0))
        root = bell(np.array([0.0, marks[27][1] - 4.0, marks[27][2]]), (9.0, 13.0, 16.0))
        d[:, 2] += t["nose_tip_out"] * nose + t["nose_bridge"] * root
        d[:, 2] += t["nose_hump"] * bell((marks[28] + marks[29]) / 2.0, (8.0, 8.0, 14.0))
        d[:, 1] += (t["nose_tip_up"] * smoothstep(z, 18.0, 44.0) - t["nose_length"]) * nose
        d[:, 0] += t["nose_width"] * x[:, 0] * bell(np.array([0.0, marks[33][1] + 4.0, marks[33][2] - 2.0]), (20.0, 14.0, 18.0))
        # Mouth: everything here is continuous across the line on which the lips meet.
        front = smoothstep(z, -15.0, 5.0)
        lips = bell(mouth + np.array([0.0, 0.0, 8.0]), (24.0, 13.0, 22.0))
        line = mouth[1] + (marks[62][1] - mouth[1]) * np.clip(1.0 - (x[:, 0] / marks[64][0]) ** 2, 0.0, 1.0)
        rise = y - line
        red = np.exp(-0.5 * (rise / 9.0) ** 2) * np.exp(-0.5 * (x[:, 0] / 20.0) ** 2) * smoothstep(z, 5.0, 20.0)
        d[:, 1] += np.where(rise > 0, t["lips_upper"], t["lips_lower"]) * rise * red
        d[:, 2] += t["lips_forward"] * np.exp(-0.5 * (rise / 10.0) ** 2) * np.exp(-0.5 * (x[:, 0] / 18.0) ** 2) * front
        d[:, 0] += t["mouth_width"] * x[:, 0] * lips * 1.15
        d[:, 1] += t["mouth_height"] * bell(mouth + np.array([0.0, 0.0, 8.0]), (34.0, 16.0, 30.0))
        # Jaw and chin.
        below = smoothstep(-y, 0.0, -chin[1]) * smoothstep(y, -190.0, chin[1] - 12.0)
        d[:, 1] -= t["face_length"] * below
        jaw = bell(np.array([52.0, -78.0, -25.0]), (30.0, 30.0, 32.0), paired=True)
        d[:, 0] += t["jaw_width"] * x[:, 0] * 1.25 * jaw
        gonion = bell(np.array([58.0, -72.0, -45.0]), (16.0, 18.0, 22.0), paired=True)
        d[:, 0] += t["jaw_angle"] * side * gonion
        d[:, 1] -= 0.5 * t["jaw_angle"] * gonion
        boss = bell(chin + np.array([0.0, 10.0, 4.0]), (24.0, 17.0, 24.0))
        d[:, 2] += t["chin_forward"] * boss
        d[:, 1] -= t["chin_height"] * bell(chin + np.array([0.0, 2.0, 0.0]), (28.0, 17.0, 28.0))
        d[:, 0] += t["chin_width"] * x[:, 0] * bell(chin + np.array([0.0, 6.0, 0.0]), (30.0, 18.0, 26.0))
        # Ears and neck.
        ear = bell(self.frame.ear, (16.0, 34.0, 24.0), paired=True) * smoothstep(np.abs(x[:, 0]), 64.0, 76.0)
        middle = np.where(x[:, :1] > 0, self.frame.ear, self.frame.ear * np.array([-1.0, 1.0, 1.0]))
        d += (t["ear_size"] * ear)[:, None] * (x - middle)
        d[:, 0] += t["ear_out"] * side * ear
        neck = smoothstep(-y, 70.0, 125.0) * (1.0 - smoothstep(-y, 165.0, 215.0)) * smoothstep(-z, -5.0, 25.0)
        d[:, 0] += t["neck_width"] * x[:, 0] * neck
        d[:, 2] += 0.5 * t["neck_width"] * (z + 70.0) * neck
        distance = ((x[:, None] - self.noise_centres[None]) ** 2).sum(axis=2)
        return np.asarray(d + np.exp(-0.5 * distance / NOISE_LENGTH**2) @ self.noise_moves)
