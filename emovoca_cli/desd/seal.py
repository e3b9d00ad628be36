"""Sealing: lips that speech closes stay closed under an emotion that opens them (ours, not in the paper).

Mixing codes adds motions (the decoder is nearly linear), so a smile that parts the lips parts them in p, b and m too. The remedy
needs no training: the lips are decoded a second time with a mu_e that is the smaller the more closed the speaking lips are, the
rest of the face keeps its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError
from emovoca_cli.mesh.geodesic import geodesic_distance
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.types import Float, MeshTemplate

REFERENCE_EYE_DISTANCE = 0.089
"""Outer-eye distance (m) of the face that the lengths below are for; other faces scale them."""

CLOSED = 0.3e-3
"""Up to this much (m) above the gap at rest the lips count as sealed: what is invisible in a picture, and the limit that reports
use."""

OPEN = 4.0e-3
"""From this much (m) above the gap at rest nothing is sealed: below it lie the frames that lead into a closure, above it vowels,
which an emotion may open further."""

FALLOFF = 15e-3
"""Distance along the skin (m) over which sealing fades beyond the lips: the soft part between lips, nostrils and chin, so no crease
appears."""


def face_scale(template: MeshTemplate) -> float:
    """Size of a face relative to the one that lengths are given for: its outer-eye distance over 89 mm."""
    points = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)
    return eye_distance(points) / REFERENCE_EYE_DISTANCE


def closedness(gap: NDArray[np.floating[Any]], rest: float, *, scale: float = 1.0) -> Float:
    """How closed speaking lips are (T,), 1 sealed to 0 open, from their gap (T,) and the gap at rest (metres).

    scale: `face_scale` of a face that is much smaller or larger than an adult's.
    """
    above = (np.asarray(gap, dtype=np.float64) - rest) / scale
    return (1 - _smooth((above - CLOSED) / (OPEN - CLOSED))).astype(np.float32)


def seal_mask(template: MeshTemplate) -> Float:
    """How much each vertex (V,) takes part in sealing: 1 on the lips, fading to 0 over `FALLOFF`. Raises DataError without lips."""
    lips = template.regions.get("lips")
    if lips is None or not lips.any():
        raise DataError(f"template {template.name!r} has no region 'lips', which sealing needs; make it again with this version")
    distance = geodesic_distance(template.vertices, template.faces, np.flatnonzero(lips))
    return (1 - _smooth(distance / (FALLOFF * face_scale(template)))).astype(np.float32)


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, and no kink between (smoothstep)."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
