"""Plain colours for a face without textures: skin, lips, brows and the inside of the mouth, by geometry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.landmarks import eye_distance
from emovoca_cli.mesh.topology import adjacency
from emovoca_cli.types import Bool, Float, Int

SKIN = (0.80, 0.63, 0.55)
LIPS = (0.68, 0.43, 0.41)
BROWS = (0.33, 0.23, 0.17)
INSIDE = (0.45, 0.20, 0.19)
_BROW_WIDTH = 0.045
"""Half the width of a brow in its middle, in eye distances."""

_COARSE = 0.06
"""A mesh whose edges are longer there has too few vertices in a brow to show it in one piece: it gets none."""


def paint(vertices: Float, faces: Int, landmarks: Float, masks: Mapping[str, Bool]) -> Float:
    """Colours (V,3) in 0-1 of a face at rest: vertices (V,3), faces (F,3), landmarks (68,3), region masks (V,)."""
    scale = eye_distance(landmarks)
    colors = np.tile(np.asarray(SKIN, np.float64), (len(vertices), 1))
    outer = distance_to_points(vertices, faces, _line(landmarks, [*range(48, 60), 48]))
    inner = distance_to_points(vertices, faces, _line(landmarks, [*range(60, 68), 60]))
    colors[(inner < outer) & ~masks["lips"] & np.isfinite(inner)] = INSIDE
    colors[masks["lips"]] = LIPS
    for brow in (range(17, 22), range(22, 27)):
        line = _line(landmarks, list(brow))
        away = distance_to_points(vertices, faces, line) / scale
        if _edge(vertices, faces, away < 2 * _BROW_WIDTH) < _COARSE * scale:
            colors += _soft(away, _BROW_WIDTH)[:, None] * (np.asarray(BROWS) - colors)
    return colors.astype(np.float32)


def _edge(vertices: Float, faces: Int, where: NDArray[np.bool_]) -> float:
    """Mean length of the edges of faces that have a corner among some vertices (V,); 0 where there are none."""
    near = np.asarray(faces)[where[np.asarray(faces)].any(axis=1)]
    return float(np.linalg.norm(vertices[near] - vertices[np.roll(near, 1, axis=1)], axis=2).mean()) if len(near) else 0.0


def filled(mask: Bool, faces: Int) -> Bool:
    """A mask (V,) with its one or two vertices wide gaps closed: a vertex joins where most of its neighbours are in."""
    graph = adjacency(faces, len(mask))
    count = np.maximum(np.asarray(graph.sum(axis=1)).reshape(-1), 1)
    for _ in range(3):
        mask = mask | (np.asarray(graph @ mask.astype(float)).reshape(-1) / count > 0.5)
    return np.asarray(mask, np.bool_)


def _line(landmarks: Float, numbers: list[int]) -> NDArray[np.float64]:
    """Points (N,3) along the stretches between landmarks."""
    corners = np.asarray(landmarks, np.float64)[numbers]
    share = np.linspace(0, 1, 6, endpoint=False)[:, None, None]
    return np.concatenate([((1 - share) * corners[:-1] + share * corners[1:]).reshape(-1, 3), corners[-1:]])


def _soft(away: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """1 on the line, 0 beyond the width, smooth between."""
    level = np.clip((width - np.nan_to_num(away, posinf=1e9)) / (0.6 * width), 0, 1)
    return np.asarray(level * level * (3 - 2 * level))
