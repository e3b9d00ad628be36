"""Where a face looks, read from its lids, and eyeballs that turn there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.mesh.landmarks import EYE_CORNERS, GAZE_DEGREES, GAZE_DRAG
from emovoca_cli.mesh.topology import AnyFloat

Array = NDArray[np.float64]

LID_LANDMARKS = (37, 38, 40, 41, 43, 44, 46, 47)
"""Upper and lower lids of both eyes, without the corners, which do not follow the gaze."""

DRAG_PER_DEGREE = GAZE_DRAG / GAZE_DEGREES
"""Sideways drag of the lids a degree of gaze, as a share of the outer-eye distance."""

GAZE_LIMIT = 35.0
"""Degrees that an eye turns at most."""

_DRAG_NOISE = 0.00015 / 0.089


def gaze_yaw(landmarks: AnyFloat, rest: AnyFloat) -> Array:
    """Degrees (T,) that both eyes look to the subject's left, from lid landmarks (T,68,3) against their rest (68,3).

    A lid slides a little with the cornea under it. Blinks and squints pull the two eyes' lids in opposite directions, so the mean
    over both eyes is free of them. Up and down is not estimated: blinking and squinting move lids up and down far more
    than gaze does.
    """
    lids = list(LID_LANDMARKS)
    reference = np.linalg.norm(rest[EYE_CORNERS[0]] - rest[EYE_CORNERS[1]])
    drag = (np.asarray(landmarks, np.float64)[:, lids, 0] - rest[lids, 0]).mean(axis=1) / max(float(reference), 1e-9)
    # Below the noise of a predicted face the eyes rest; well above it nothing is taken away.
    drag = drag * drag**2 / (drag**2 + _DRAG_NOISE**2)
    return np.asarray(np.clip(drag / DRAG_PER_DEGREE, -GAZE_LIMIT, GAZE_LIMIT), np.float64)


def yaw_turns(degrees: AnyFloat) -> Array:
    """Rotations (T,3,3) about the vertical by degrees (T,), positive towards +x."""
    angle = np.radians(np.asarray(degrees, np.float64))
    out: Array = np.zeros((len(angle), 3, 3))
    out[:, 0, 0] = out[:, 2, 2] = np.cos(angle)
    out[:, 0, 2], out[:, 2, 0] = np.sin(angle), -np.sin(angle)
    out[:, 1, 1] = 1.0
    return out


def ball_centre(points: AnyFloat) -> Array:
    """Centre (3,) of the sphere that fits points (N,3) best, or their mean where none does."""
    place = np.asarray(points, np.float64)
    mean = place.mean(axis=0)
    local = place - mean
    system: Any = np.concatenate([2 * local, np.ones((len(local), 1))], axis=1)
    answer, _, rank, _ = np.linalg.lstsq(system, (local * local).sum(axis=1), rcond=None)
    reach = math.sqrt(float((local * local).sum(axis=1).max()))
    inside = rank == 4 and float(np.linalg.norm(answer[:3])) < reach
    return np.asarray(mean + answer[:3] if inside else mean)


def eye_turns(points: AnyFloat, degrees: AnyFloat) -> Array:
    """Displacements (T,N,3) of an eyeball's points (N,3) that turns about its centre by degrees (T,) to the subject's left."""
    arm = np.asarray(points, np.float64) - ball_centre(points)
    return np.asarray(np.einsum("tij,nj->tni", yaw_turns(degrees) - np.eye(3), arm))
