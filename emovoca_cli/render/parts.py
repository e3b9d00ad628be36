"""Eyeballs, teeth and tongue: fitted to the face that wears them, then moved with its head, jaw and gaze."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.errors import DataError, TopologyError
from emovoca_cli.mesh.gaze import ball_centre, gaze_yaw, yaw_turns
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float, MeshTemplate

_OUTER_EYES = (36, 45)
_BROWS = slice(17, 27)

Matrix = NDArray[np.float64]


def similarity(source: Float, target: Float, *, scale: bool = True) -> Matrix:
    """Best transforms (...,4,4) that take points (N,3) onto points (...,N,3) in the least-squares sense (Umeyama 1991).

    With scale=False they are rigid (Kabsch). Degenerate sets (fewer than three points) give a translation.
    """
    source64, target64 = np.asarray(source, np.float64), np.asarray(target, np.float64)
    from_mean, to_mean = source64.mean(axis=0), target64.mean(axis=-2)
    a, b = source64 - from_mean, target64 - to_mean[..., None, :]
    u, spread, vt = np.linalg.svd(np.einsum("...ni,nj->...ij", b, a))
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    flip = np.ones((*target64.shape[:-2], 3))
    flip[..., 2] = np.where(sign == 0, 1.0, sign)
    rotation = (u * flip[..., None, :]) @ vt
    if len(source64) < 3:
        rotation = np.broadcast_to(np.eye(3), rotation.shape)
    variance = float((a * a).sum())
    size = (spread * flip).sum(axis=-1) / variance if scale and variance > 0 and len(source64) >= 3 else np.ones(spread.shape[:-1])
    out = np.zeros((*target64.shape[:-2], 4, 4))
    out[..., :3, :3] = rotation * size[..., None, None]
    out[..., :3, 3] = to_mean - np.einsum("...ij,j->...i", out[..., :3, :3], from_mean)
    out[..., 3, 3] = 1.0
    return out


def apply(transform: Matrix, points: Float) -> Float:
    """Points (...,N,3) moved by transforms (...,4,4)."""
    return np.asarray(
        np.asarray(points, np.float64) @ np.swapaxes(transform[..., :3, :3], -1, -2) + transform[..., None, :3, 3], np.float32
    )


def part_motions(base: MeshTemplate, neutral: Float, vertices: Float) -> list[Matrix]:
    """Transforms (T,4,4), one array a part of `base`, that take its rest vertices to each frame.

    base: the template that the parts were made for; neutral (V,3): the clip's own face at rest on that topology;
    vertices (T,V,3). Head parts follow the skull, jaw and own parts the rigid motion of their anchors, eyes the skull and the gaze.
    Raises TopologyError for another vertex count and DataError for an unknown drive.
    """
    count = len(base.vertices)
    if neutral.shape != (count, 3) or vertices.ndim != 3 or vertices.shape[1:] != (count, 3):
        raise TopologyError(
            f"template {neutral.shape} and frames {vertices.shape} do not fit the {count} vertices of {base.name}; use its topology"
        )
    if not base.parts:
        return []
    skull, gaze = _skull_motion(base, neutral, vertices)
    motions = []
    for part in base.parts:
        anchors = np.asarray(part.anchors, np.int64)
        fit = similarity(base.vertices[anchors], neutral[anchors]) if len(anchors) else np.eye(4)
        if part.drive == "head":
            motion = skull
        elif part.drive in ("jaw", "own"):
            motion = similarity(neutral[anchors], vertices[:, anchors], scale=False)
        elif part.drive in ("eye_left", "eye_right"):
            motion = skull @ _turn(apply(fit, ball_centre(part.vertices).astype(np.float32)[None])[0], gaze)
        else:
            raise DataError(f"part {part.name} is driven by {part.drive!r}, expected head, jaw, own, eye_left or eye_right")
        motions.append(motion @ fit)
    return motions


def pose_parts(base: MeshTemplate, neutral: Float, vertices: Float) -> list[Float]:
    """Posed vertices (T,P,3), one array a part of `base`; arguments and errors as for `part_motions`."""
    motions = part_motions(base, neutral, vertices)
    return [apply(motion, part.vertices) for motion, part in zip(motions, base.parts, strict=True)]


def _skull_motion(base: MeshTemplate, neutral: Float, vertices: Float) -> tuple[Matrix, NDArray[np.float64]]:
    """Rigid motion (T,4,4) of the skull and gaze (T,), from what lies above the brows; still where there are no landmarks."""
    frames = len(vertices)
    if len(base.landmark_faces) != LANDMARKS:
        return np.broadcast_to(np.eye(4), (frames, 4, 4)), np.zeros(frames)
    rest = landmark_points(neutral, base.faces, base.landmark_faces, base.landmark_weights)
    reference = float(np.linalg.norm(rest[_OUTER_EYES[0]] - rest[_OUTER_EYES[1]]))
    above = np.flatnonzero(neutral[:, 1] > rest[_BROWS, 1].max() + 0.35 * reference)
    if len(above) < 12:
        skull: Matrix = np.broadcast_to(np.eye(4), (frames, 4, 4))
    else:
        skull = similarity(neutral[above], vertices[:, above], scale=False)
    moved = landmark_points(vertices, base.faces, base.landmark_faces, base.landmark_weights)
    return skull, gaze_yaw(apply(np.asarray(np.linalg.inv(skull), np.float64), moved), rest)


def _turn(centre: Float, degrees: NDArray[np.float64]) -> Matrix:
    """Rotations (T,4,4) about the vertical through a centre (3,), positive towards +x."""
    out: Matrix = np.zeros((len(degrees), 4, 4))
    out[:, :3, :3] = yaw_turns(degrees)
    out[:, 3, 3] = 1.0
    point = np.asarray(centre, np.float64)
    out[:, :3, 3] = point - out[:, :3, :3] @ point
    return out
