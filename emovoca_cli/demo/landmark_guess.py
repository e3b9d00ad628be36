"""The 68 landmarks of an ARKit-rigged face that nobody has marked: found by how its shapes move it.

Every vertex of a rigged face has a signature, what the shapes do to it. Seven places have one that no other has (where each eye
blinks, each corner smiles, the chin drops, each brow rises); they carry the built-in head's landmarks over as a smooth warp. Each
landmark then goes to the vertex near its place that the shapes move most like the same landmark of the built-in head, and that
faces the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.data.arkit.parts import rigid
from emovoca_cli.demo.rig import load_rig
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.mesh.topology import vertex_areas, vertex_normals
from emovoca_cli.types import Float, Int

Array = NDArray[np.float64]
_REACH = 0.10
_PLACE, _SIGN, _FACING = 0.06, 0.25, 0.6
"""Distance in eye distances, difference of signature, and turn of the surface that count as one unit of unlikeness."""
_SIGNATURE = tuple(
    name for name in ARKIT_NAMES if not name.startswith(("eyeLook", "jawLeft", "jawRight", "mouthLeft", "mouthRight", "tongue"))
)


def guess_landmarks(vertices: Float, faces: Int, deltas: Float) -> Float:
    """Landmarks (68,3) of a face at rest: vertices (V,3), faces (F,3), deltas (52,V,3), in any unit, y up, looking along +z.

    Raises DataError when shapes that it goes by are missing.
    """
    rig = load_rig()
    source, target = rig.template.vertices.astype(np.float64), vertices.astype(np.float64)
    ours = _anchors(source, rig.template.faces, rig.deltas)
    theirs = _anchors(target, faces, deltas)
    points = landmark_points(source, rig.template.faces, rig.template.landmark_faces, rig.template.landmark_weights)
    size = eye_distance(points) * float(np.linalg.norm(theirs[0] - theirs[1]) / np.linalg.norm(ours[0] - ours[1]))
    shared = [ARKIT_INDEX[name] for name in _SIGNATURE if np.abs(deltas[ARKIT_INDEX[name]]).max() > 0]
    mine = _signatures(rig.landmark_deltas[shared], rig.deltas[shared])
    others = _signatures(deltas[shared], deltas[shared])
    facing = landmark_points(
        vertex_normals(source, rig.template.faces), rig.template.faces, rig.template.landmark_faces, rig.template.landmark_weights
    )
    normals = vertex_normals(target, faces)
    used = np.zeros(len(target), np.bool_)
    used[np.unique(faces)] = True
    found = np.asarray(points, np.float64)
    # The first warp knows the anchors only, the second all first answers as well, smoothed.
    guess = _warp(ours, theirs, points)
    for round_ in range(2):
        reach = _REACH * (2.0 if round_ == 0 else 1.2) * size
        answer = guess.copy()
        for index, place in enumerate(guess):
            away = np.linalg.norm(target - place, axis=1)
            near = np.flatnonzero((away < reach) & used)
            if not len(near):
                near = np.array([int(away.argmin())])
            unlike = np.linalg.norm(others[near] - mine[index], axis=1) / _SIGN
            turned = np.linalg.norm(normals[near] - facing[index], axis=1) / _FACING
            cost = unlike**2 + (away[near] / (_PLACE * size)) ** 2 + turned**2
            weight = np.exp(-(cost - cost.min()))
            best = near[int(cost.argmin())]
            close = np.linalg.norm(target[near] - target[best], axis=1) < 0.02 * size
            answer[index] = (weight[close, None] * target[near][close]).sum(axis=0) / weight[close].sum()
        found = answer
        guess = _warp(np.concatenate([ours, points]), np.concatenate([theirs, found]), points, smoothing=2e-3 * size)
    return found.astype(np.float32)


def _anchors(vertices: Array, faces: Int, deltas: Float) -> Array:
    """Places that shapes single out (7,3): eyes right and left, mouth corners, chin, brows."""
    areas = vertex_areas(vertices, faces)

    def centre(name: str, power: int = 4) -> Array:
        move = np.linalg.norm(deltas[ARKIT_INDEX[name]].astype(np.float64), axis=1)
        if move.max() <= 0:
            raise DataError(f"the rig has no {name}, which landmarks are derived from; give them with --landmarks")
        weight = areas * (move / move.max()) ** power
        return np.asarray((weight[:, None] * vertices).sum(axis=0) / weight.sum())

    names = ("eyeBlinkRight", "eyeBlinkLeft", "mouthSmileRight", "mouthSmileLeft", "jawOpen", "browOuterUpRight", "browOuterUpLeft")
    return np.stack([centre(name) for name in names])


def _signatures(moves: Float, whole: Float) -> Array:
    """What the shapes do to points (N, shapes x 3), each shape's largest move of the whole face (K,V,3) being one."""
    largest = np.maximum(np.linalg.norm(whole, axis=2).max(axis=1), 1e-12)
    scaled = moves.astype(np.float64) / largest[:, None, None]
    return np.asarray(scaled.transpose(1, 0, 2).reshape(moves.shape[1], -1) / np.sqrt(len(moves)) * 3)


def _warp(source: Array, target: Array, points: Float, smoothing: float = 0.0) -> Array:
    """Points (N,3) carried by a similarity and a smooth remainder that take source (M,3) to target (M,3)."""
    spread = [float(np.linalg.norm(side - side.mean(axis=0))) for side in (source, target)]
    scale = spread[1] / spread[0]
    turn, shift = rigid(source * scale, target)
    moved, carried = source * scale @ turn.T + shift, np.asarray(points, np.float64) * scale @ turn.T + shift
    rest = RBFInterpolator(moved, target - moved, kernel="linear", smoothing=smoothing, degree=0)
    return np.asarray(carried + rest(carried))
