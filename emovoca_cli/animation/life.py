"""Blinks, small shifts of gaze and head motion laid over a clip: for videos, never for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.animation.lids import Lids, landmark_lids
from emovoca_cli.animation.rhythm import Life, draw_life
from emovoca_cli.animation.track import ease
from emovoca_cli.arrays import gather
from emovoca_cli.mesh.gaze import eye_turns
from emovoca_cli.mesh.landmarks import EYE_CORNERS, GAZE_DEGREES, eye_distance, landmark_points
from emovoca_cli.mesh.regions import EYES
from emovoca_cli.types import Clip, Float, MeshTemplate

Array = NDArray[np.float64]

CHIN, JAW_ANGLES = 8, (4, 12)
BLOCK = 600
"""Frames that are worked on at once."""
PIVOT_DEPTH = 0.6
"""Top of the spine behind the outer eye corners, as a share of their distance; its height is that of the jaw's angles."""
NECK_LEAST = 0.3
"""A mesh that reaches less than this below the chin (in outer-eye distances) has no neck: it turns as a whole."""


def add_life(clip: Clip, template: MeshTemplate, speech: Float, *, seed: int, lids: Lids | None = None) -> Clip:
    """The clip, alive: layers drawn from the seed and the (N,) 16 kHz speech.

    template: the clip's topology and landmarks; lids: the face's own lid shapes, default made from its landmarks.
    """
    life = draw_life(speech, np.arange(clip.frames) / clip.fps, seed=seed)
    return with_life(clip, template, life, lids=lids or landmark_lids(template, clip.template))


def with_life(clip: Clip, template: MeshTemplate, life: Life, *, lids: Lids) -> Clip:
    """The clip with layers (T frames) laid over it: lids first, then the head with all that is on it."""
    rest = landmark_points(clip.template, template.faces, template.landmark_faces, template.landmark_weights)
    landmarks = np.empty_like(clip.landmarks)
    # An eye that an emotion narrows has less way to go: a whole blink would take the lids past each other.
    shut = life.blink[:, None] * openness(clip.landmarks, rest)
    shares, pivot = head_motion(clip.template, rest)

    def blocks() -> Iterator[Float]:
        for start in range(0, clip.frames, BLOCK):
            part = slice(start, start + BLOCK)
            vertices = np.array(clip.vertices[part])
            for side in range(2):
                _add(vertices, lids.blink[side], shut[part, side])
                _add(vertices, lids.arc[side], 4 * shut[part, side] * (1 - shut[part, side]))
                _add(vertices, lids.look[side], np.maximum(life.gaze[part] * (-1, 1)[side], 0) / GAZE_DEGREES)
            for eye in lids.eyes:
                vertices[:, eye] += eye_turns(clip.template[eye], life.gaze[part]).astype(np.float32)
            turn_head(vertices, life.head[part], shares, pivot)
            landmarks[part] = landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights)
            yield vertices

    vertices = gather(blocks(), clip.vertices.shape)
    said = {"seed": life.seed, "layers": ["blinks", "gaze", "head"], "blinks": [round(at, 3) for at in life.blinks]}
    return replace(
        clip,
        vertices=vertices,
        landmarks=landmarks,
        provenance={**clip.provenance, "life": said},
    )


def openness(landmarks: Float, rest: Float) -> Array:
    """How far the right and the left eye are open, (T,2), against the face at rest: landmarks (T,68,3) and (68,3); 0-1.2."""
    shares = []
    for numbers in EYES:
        upper, lower = [numbers[1], numbers[2]], [numbers[5], numbers[4]]
        gaps = [(points[..., upper, 1] - points[..., lower, 1]).mean(axis=-1) for points in (landmarks, rest)]
        shares.append(np.clip(gaps[0] / gaps[1] if gaps[1] > 0 else np.ones(len(landmarks)), 0.0, 1.2))
    return np.stack(shares, axis=1).astype(np.float64)


def head_motion(rest: Float, landmarks: Float) -> tuple[Array, Array]:
    """How far each vertex (V,) of a face at rest goes with the head, 0-1, and the point (3,) about which the head turns.

    All above the chin is the head; below it the neck takes less and less of the turn, and its base none.
    """
    height, chin, bottom = rest[:, 1].astype(np.float64), float(landmarks[CHIN, 1]), float(rest[:, 1].min())
    scale = eye_distance(landmarks)
    across, _, depth = landmarks[list(EYE_CORNERS)].mean(axis=0, dtype=np.float64)
    pivot = np.array([across, landmarks[list(JAW_ANGLES), 1].mean(), depth - PIVOT_DEPTH * scale], dtype=np.float64)
    if chin - bottom < NECK_LEAST * scale:
        return np.ones(len(rest)), pivot
    top, base = chin - 0.05 * scale, bottom + 0.1 * (chin - bottom)
    return ease((height - base) / (top - base)), pivot


def turn_head(vertices: Float, degrees: Array, shares: Array, pivot: Array) -> None:
    """Turn frames (T,V,3) in place by rotation vectors (T,3) in degrees about a point (3,), each vertex by its share (V,)."""
    moving = np.flatnonzero(shares > 0)
    for frame, vector in zip(vertices, np.radians(degrees), strict=True):
        angle = float(np.linalg.norm(vector))
        if angle == 0:
            continue
        axis = vector / angle
        offset = frame[moving] - pivot
        turn = angle * shares[moving, None]
        along = (offset @ axis)[:, None] * axis
        frame[moving] = pivot + along + np.cos(turn) * (offset - along) + np.sin(turn) * np.cross(axis, offset)


def _add(vertices: Float, field: Float, strength: Array) -> None:
    """Add a field (V,3) to frames (T,V,3) in place, by a strength (T,)."""
    moving = np.flatnonzero(np.abs(field).max(axis=1) > 0)
    for frame in np.flatnonzero(strength):
        vertices[frame, moving] += np.float32(strength[frame]) * field[moving]
