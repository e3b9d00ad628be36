"""Sealing: lips that speech closes stay closed under an emotion that opens them (ours, not in the paper).

Mixing codes adds motions (the decoder is nearly linear), so a smile that parts the lips parts them in p, b and m too. The remedy
needs no training: the lips are decoded a second time with a mu_e that is the smaller the more closed the speaking lips are, the
rest of the face keeps its own. In pauses the emotion has the lips to itself again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from emovoca_cli.constants import DEFAULT_FPS
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.geodesic import geodesic_distance
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.types import Float, MeshTemplate

REFERENCE_EYE_DISTANCE = 0.089
"""Outer-eye distance (m) of the face that the lengths below are for; other faces scale them."""

CLOSED = 0.3e-3
"""Up to this much (m) above the gap at rest the lips count as sealed: what is invisible in a picture, and what reports use."""

OPEN = 4.0e-3
"""From this much (m) above the gap at rest lips are open: below it lie the frames that lead into a closure, above it vowels."""

HELD = 0.5
"""Share of the lips' emotion that speech takes even while they are open. With 0 the emotion opens vowels further and the lips
travel twice as far between vowel and closure; against the demo corpus' own truth 0.5 gave 1.9 mm of lip error, 0 gave 2.7 mm and
plain mixing 3.6 mm."""

FALLOFF = 15e-3
"""Distance along the skin (m) over which sealing fades beyond the lips: the soft part between lips, nostrils and chin, so no crease
appears."""

CORNER_SHARE, CORNER_REACH = 0.4, 12e-3
"""At the corners of the mouth sealing acts with this share and grows to full over this distance (m). Lips part in the middle, at
the corners they are joined: a smile may keep them drawn while the lips close, as people do, and does not jump with every p, b and
m."""

MOUTH_CORNERS = (48, 54)
"""Landmarks of the outer corners of the mouth."""

PAUSE = 0.3
"""Lips that stay closed for longer than this (s) before and after rest rather than speak: a smile may return to them."""


def face_scale(template: MeshTemplate) -> float:
    """Size of a face relative to the one that lengths are given for: its outer-eye distance over 89 mm."""
    points = landmark_points(template.vertices, template.faces, template.landmark_faces, template.landmark_weights)
    return eye_distance(points) / REFERENCE_EYE_DISTANCE


def closedness(opening: NDArray[np.floating[Any]], rest: float, *, scale: float = 1.0, fps: float = DEFAULT_FPS) -> Float:
    """How much speech holds the lips (T,) from their opening (T,) and the opening at rest (metres): 1 closed, `HELD` open, 0 in a
    pause.

    scale: `face_scale` of a face that is much smaller or larger than an adult's. A single frame has no before and after: it counts
    as speech. In a sequence, speech is what lies within `PAUSE` of open lips.
    """
    above = (np.asarray(opening, dtype=np.float64) - rest) / scale
    closed = 1 - _smooth((above - CLOSED) / (OPEN - CLOSED))
    held = HELD + (1 - HELD) * closed
    if len(held) > 1:
        reach = max(1, round(PAUSE * fps))
        # Half open is speech enough; the average turns the steps of the maximum into ramps.
        near = np.minimum(2 * maximum_filter1d(1 - closed, 2 * reach + 1, mode="nearest"), 1)
        held *= uniform_filter1d(near, reach, mode="nearest")
    return held.astype(np.float32)


def seal_mask(template: MeshTemplate) -> Float:
    """How much each vertex (V,) takes part in sealing: 1 on the lips but for the corners, fading to 0 over `FALLOFF`.

    Raises DataError for a template without lips.
    """
    lips = template.regions.get("lips")
    if lips is None or not lips.any():
        raise DataError(f"template {template.name!r} has no region 'lips', which sealing needs; make it again with this version")
    scale = face_scale(template)
    away = geodesic_distance(template.vertices, template.faces, np.flatnonzero(lips)) / scale
    corners = template.faces[template.landmark_faces[list(MOUTH_CORNERS)]].reshape(-1)
    sideways = geodesic_distance(template.vertices, template.faces, corners) / scale
    strength = CORNER_SHARE + (1 - CORNER_SHARE) * _smooth(sideways / CORNER_REACH)
    return (strength * (1 - _smooth(away / FALLOFF))).astype(np.float32)


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 below 0, 1 above 1, and no kink between (smoothstep)."""
    t = np.clip(x, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
