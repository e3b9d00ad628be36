"""Weights of the reconstruction loss (paper eq. 3): the nearer to a landmark, the more a vertex counts."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.types import Float, MeshTemplate

FULL_WEIGHT_WITHIN = 4.0 / 89.0
"""Share of the outer-eye-corner distance (4 mm of 89 mm) within which the weight stays 1: the inverse has a pole at a landmark."""


def vertex_weights(template: MeshTemplate) -> Float:
    """Weights w_i (V,) in (0,1] of eq. 3: inverse of the straight distance to the nearest landmark, clipped near it, largest 1."""
    landmarks = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights).astype(
        np.float64
    )
    distance, _ = cKDTree(landmarks).query(template.vertices.astype(np.float64))
    nearest = FULL_WEIGHT_WITHIN * eye_distance(landmarks)
    weights = 1.0 / np.maximum(distance, nearest)
    return np.asarray(weights / weights.max(), dtype=np.float32)
