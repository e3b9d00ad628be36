"""The 68 landmarks (Multi-PIE / iBUG) as points of the surface, and what is measured between them.

Numbers: 0-16 jaw line from the subject's right ear, 17-21 and 22-26 brows, 27-30 bridge to tip of the nose, 31-35 nostrils, 36-41
right and 42-47 left eye, 48-59 outer and 60-67 inner lips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import INNER_LIP_PAIRS, LANDMARKS
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import AnyFloat, AnyInt
from emovoca_cli.types import Float, MeshTemplate

__all__ = ["EYE_CORNERS", "eye_distance", "landmark_operator", "landmark_points", "lip_gap", "lip_opening", "nearest_surface"]

EYE_CORNERS = (36, 45)
"""Outer corners of the right and the left eye; their distance is the scale of a face."""

NOSE_TIP = 30

GAZE_DRAG, GAZE_DEGREES = 0.002 / 0.089, 30.0
"""Sideways drag of the lids by the cornea under them, as a share of the outer-eye distance (2 mm at 89 mm), at that gaze."""

UPPER_LIP = (49, 50, 51, 52, 53, 61, 62, 63)
LOWER_LIP = (55, 56, 57, 58, 59, 65, 66, 67)


def landmark_points(vertices: AnyFloat, faces: AnyInt, landmark_faces: AnyInt, landmark_weights: AnyFloat) -> Float:
    """Landmarks (...,L,3) of vertices or displacements (...,V,3): faces (F,3), landmark faces (L,), barycentric weights (L,3)."""
    corners = np.asarray(vertices)[..., np.asarray(faces)[np.asarray(landmark_faces)], :]  # (...,L,3 corners,3)
    return np.asarray(np.einsum("...lkd,lk->...ld", corners, np.asarray(landmark_weights)), dtype=np.float32)


def landmark_operator(template: MeshTemplate) -> tuple[NDArray[np.int64], Float]:
    """The same as indices (68,3) into vertices and weights (68,3): landmarks = (vertices[:, indices] * weights[..., None]).sum(-2).

    204 taps in all, for code that works on tensors.
    """
    if template.landmark_faces.shape != (LANDMARKS,) or template.landmark_weights.shape != (LANDMARKS, 3):
        raise DataError(
            f"template {template.name} has landmarks {template.landmark_faces.shape} and {template.landmark_weights.shape}, "
            f"expected ({LANDMARKS},) and ({LANDMARKS}, 3)"
        )
    return template.faces[template.landmark_faces].astype(np.int64), template.landmark_weights.astype(np.float32)


def lip_gap(landmarks: AnyFloat) -> NDArray[np.float32]:
    """Opening (...) of the lips, metres: mean distance of the three inner-lip pairs of landmarks (...,68,3)."""
    points = np.asarray(landmarks)
    pairs = np.asarray(INNER_LIP_PAIRS)
    across = np.linalg.norm(points[..., pairs[:, 0], :] - points[..., pairs[:, 1], :], axis=-1)  # (...,3 pairs)
    return np.asarray(across.mean(axis=-1), dtype=np.float32)


def lip_opening(landmarks: AnyFloat) -> NDArray[np.float32]:
    """Signed opening (...) of the lips, metres: mean height of upper over lower inner-lip landmarks (...,68,3).

    Negative where lips overlap, unlike `lip_gap`; linear, so that of a displacement is the change of opening.
    """
    heights, pairs = np.asarray(landmarks)[..., 1], np.asarray(INNER_LIP_PAIRS)
    return np.asarray((heights[..., pairs[:, 0]] - heights[..., pairs[:, 1]]).mean(axis=-1), dtype=np.float32)


def eye_distance(landmarks: AnyFloat) -> float:
    """Distance of the outer eye corners of landmarks (68,3), metres: the scale that makes measures comparable between faces."""
    points = np.asarray(landmarks, dtype=np.float64)
    return float(np.linalg.norm(points[EYE_CORNERS[0]] - points[EYE_CORNERS[1]]))
