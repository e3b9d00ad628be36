"""Putting the built-in head together: mesh, labels, landmarks, colours, parts -> the arrays of assets/head.npz."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from emovoca_cli.demo import head_parts
from emovoca_cli.demo.head_mesh import PATCH_NAMES, HalfMesh, Layout, half_mesh, mirror_mesh, plan_layout
from emovoca_cli.demo.head_paint import brow_share, paint
from emovoca_cli.demo.head_sculpt import sculpt
from emovoca_cli.demo.head_surface import Array
from emovoca_cli.files import atomic_write
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.regions import regions

SCHEMA = 1
VERMILION = 4
"""Mouth ring of the vermilion border."""

MIRRORED_LANDMARKS = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""Landmark i of one side is landmark MIRRORED_LANDMARKS[i] of the other."""

_SURFACE_LANDMARKS: dict[int, tuple[float, float, float]] = {
    9: (15, -107, 17), 10: (30, -104, 2), 11: (43, -97, -12), 12: (57, -80, -24), 13: (66, -58, -33),
    14: (70, -39, -40), 15: (73, -20, -46),
    16: (74, 2, -49), 22: (12, 25, 21), 23: (24, 27, 18), 24: (38, 28, 12), 25: (49, 25, 4),
    26: (58, 17, -7), 34: (6, -46, 28), 35: (13, -46, 23),
}  # fmt: skip
_MIDLINE_LANDMARKS: dict[int, tuple[float, float]] = {
    8: (-110, 18),
    27: (3, 21),
    28: (-8, 29),
    29: (-19, 37),
    30: (-31, 44),
    33: (-47, 30),
}
_LIP_LANDMARKS: dict[int, tuple[int, int, float]] = {
    51: (4, 1, 0.0), 52: (4, 1, 6.5), 53: (4, 1, 17.0), 54: (3, 0, 26.0), 55: (4, -1, 18.0), 56: (4, -1, 10.0), 57: (4, -1, 0.0),
    62: (0, 1, 0.0), 63: (0, 1, 10.0), 64: (0, 0, 24.7), 65: (0, -1, 10.0), 66: (0, -1, 0.0),
}  # fmt: skip
_EYE_LANDMARKS: dict[int, tuple[float, float]] = {
    42: (17.8, -1.8),
    43: (28, 4.4),
    44: (38, 4.2),
    45: (44.2, 0.1),
    46: (38, -3.5),
    47: (27, -3.4),
}


def _labels(half: HalfMesh, source: NDArray[np.int64], points: Array) -> dict[str, NDArray[Any]]:
    """Per-vertex semantics of both halves; see emovoca_cli.demo.head."""
    patch, ring, angle = half.patch[source], half.ring[source], half.angle[source]
    mouth, eye, nostril, ear = (patch == PATCH_NAMES.index(n) for n in ("mouth", "eye", "nostril", "ear"))
    right = points[:, 0] < -1e-9
    mouth_ring = np.where(mouth, ring, -999).astype(np.int16)
    mouth_u = np.where(mouth, np.where(right, np.mod(np.pi - angle, 2 * np.pi), angle), np.nan).astype(np.float32)
    inner = mouth & (ring <= VERMILION)
    lip = np.where(inner, np.sign(np.round(np.sin(mouth_u), 6)), 0.0)
    eye_ring = np.where(eye, ring, -999).astype(np.int16)
    area = np.zeros(len(points), np.int8)
    y, z = points[:, 1], points[:, 2]
    area[y + 0.55 * z < -122] = 7
    area[(y > 62) & (z < 12) | (z < -62) & (y > -40 - 0.35 * (z + 62))] = 6
    area[brow_share(points) > 0.5] = 2
    area[ear & (ring > 0)] = 5
    area[mouth & (ring >= 0) & (ring <= VERMILION)] = 1
    area[mouth & (ring < 0)] = 3
    area[eye & (ring < 0)] = 4
    area[nostril & (ring < 0)] = 8
    side = np.where(eye, np.where(right, -1, 1), 0).astype(np.int8)
    return {
        "lip": np.where(np.isfinite(lip), lip, 0).astype(np.int8),
        "mouth_ring": mouth_ring,
        "mouth_u": mouth_u,
        "eye_ring": eye_ring,
        "eye_side": side,
        "eye_u": np.where(eye, angle, np.nan).astype(np.float32),
        "ear_ring": np.where(ear, ring, -999).astype(np.int16),
        "nostril_ring": np.where(nostril, ring, -999).astype(np.int16),
        "area": area,
    }


def _sculpt_shares(half: HalfMesh, source: NDArray[np.int64], points: Array) -> tuple[Array, Array]:
    """How far each vertex follows the strokes and the smoothing, 0-1: rings keep their modelled shape."""
    patch, ring = half.patch[source], half.ring[source]
    mouth, eye = patch == PATCH_NAMES.index("mouth"), patch == PATCH_NAMES.index("eye")
    movable = np.where(patch == 0, 1.0, 0.0)
    movable[mouth] = np.clip((ring[mouth] - VERMILION) / 2.0, 0, 1)
    movable[eye] = np.clip((ring[eye] - 4) / 3.0, 0, 1)
    ease = movable.copy()
    face = (points[:, 2] > -35) & (points[:, 1] > -100)
    nose = (np.abs(points[:, 0]) < 21) & (points[:, 1] < -2) & (points[:, 1] > -47) & (points[:, 2] > 12)
    ease *= np.where(nose, 0.25, np.where(face, 0.6, 1.0))
    edge = np.isclose(points[:, 1], points[:, 1].min(), atol=0.5)
    return movable, np.where(edge, 0.0, ease)


def _landmarks(
    points: Array, faces: NDArray[np.int64], labels: dict[str, NDArray[Any]]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Face index (68,) and weights (68,3) of the landmarks, mirror-symmetric."""
    half_faces = len(faces) // 2
    where: dict[int, tuple[int, Array]] = {}

    def at_vertex(vertex: int) -> tuple[int, Array]:
        face = int(np.flatnonzero((faces[:half_faces] == vertex).any(1))[0])
        return face, (faces[face] == vertex).astype(float)

    left = points[:, 0] > -1e-9
    for number, (ring, lip, x) in _LIP_LANDMARKS.items():
        chosen = np.flatnonzero((labels["mouth_ring"] == ring) & (labels["lip"] == lip) & left)
        where[number] = at_vertex(int(chosen[np.argmin(np.abs(points[chosen, 0] - x))]))
    for number, place in _EYE_LANDMARKS.items():
        chosen = np.flatnonzero((labels["eye_ring"] == 0) & left)
        where[number] = at_vertex(int(chosen[np.argmin(np.linalg.norm(points[chosen, :2] - place, axis=1))]))
    outside = (labels["mouth_ring"] == -999) | (labels["mouth_ring"] > 0)
    outside &= labels["area"] != 8
    for number, (y, z) in _MIDLINE_LANDMARKS.items():
        chosen = np.flatnonzero((points[:, 0] == 0) & outside & (points[:, 2] > -30))
        pairs = faces[:half_faces][np.isin(faces[:half_faces], chosen).sum(1) == 2]
        edges = np.array([[v for v in f if v in set(chosen.tolist())] for f in pairs])
        a, b = points[edges[:, 0]][:, 1:], points[edges[:, 1]][:, 1:]
        share = np.clip((((y, z) - a) * (b - a)).sum(1) / ((b - a) ** 2).sum(1), 0, 1)
        best = int(np.argmin(np.linalg.norm(a + share[:, None] * (b - a) - (y, z), axis=1)))
        face = int(np.flatnonzero((faces[:half_faces] == pairs[best]).all(1))[0])
        weights = (faces[face] == edges[best, 0]) * (1 - share[best]) + (faces[face] == edges[best, 1]) * share[best]
        where[number] = face, weights
    ear = labels["area"] == 5
    usable = np.flatnonzero(~(ear[faces[:half_faces]].any(1)))
    surface = trimesh.Trimesh(points, faces[:half_faces][usable], process=False)
    targets = np.array(list(_SURFACE_LANDMARKS.values()), dtype=float)
    nearest, _, index = trimesh.proximity.closest_point(surface, targets)  # type: ignore[no-untyped-call]
    weights_all = trimesh.triangles.points_to_barycentric(surface.triangles[index], nearest)  # type: ignore[no-untyped-call]
    for number, face, weights in zip(_SURFACE_LANDMARKS, usable[index], weights_all, strict=True):
        where[number] = int(face), np.clip(weights, 0, 1) / np.clip(weights, 0, 1).sum()
    result_faces, result_weights = np.zeros(68, np.int32), np.zeros((68, 3), np.float32)
    for number, (face, weights) in where.items():
        result_faces[number], result_weights[number] = face, weights
        twin = MIRRORED_LANDMARKS[number]
        if twin != number:
            result_faces[twin], result_weights[twin] = face + half_faces, weights[::-1]
    return result_faces, result_weights


def _lash_share(labels: dict[str, NDArray[Any]]) -> Array:
    """How dark the lashes make each vertex, 0-1."""
    ring, turn = labels["eye_ring"], np.nan_to_num(labels["eye_u"].astype(float))
    upper, lower = np.clip(np.sin(turn) * 2.2 + 0.3, 0, 1), np.clip(-np.sin(turn) * 2.2, 0, 1)
    near = np.where(ring == 0, 0.85, np.where(ring == 1, 0.75, np.where(ring == 2, 0.12, 0.0)))
    return np.asarray(near * (upper + 0.30 * lower) * np.clip(1.6 + np.cos(turn) * 1.5, 0.15, 1))


def write_layout(path: Path) -> None:
    """Plan the free part of the mesh anew and write it: this changes the faces, and with them everything trained on the head."""
    layout = plan_layout()
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, domain=layout.domain.astype(np.float32), faces=layout.faces.astype(np.int16))


def read_layout() -> Layout:
    """The shipped plan of the free part of the mesh."""
    with files("emovoca_cli.assets").joinpath("head_layout.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return Layout(data["domain"].astype(np.float64), data["faces"].astype(np.int64))


def build_head() -> dict[str, NDArray[Any]]:
    """All arrays of assets/head.npz (metres, float32), deterministically."""
    half = half_mesh(read_layout())
    points, faces, mirror, source = mirror_mesh(half)
    points = sculpt(points, faces, mirror, *_sculpt_shares(half, source, points))
    labels = _labels(half, source, points)
    ring = labels["mouth_ring"].astype(float)
    lip_share = np.where(ring >= 0, np.clip((VERMILION + 0.35 - ring) / 0.7, 0, 1), 0.0)
    depth = np.clip((-ring - 1) / 4.0, 0, 1)
    colors = paint(points, labels["area"], lip_share, depth, _lash_share(labels))
    marks, weights = _landmarks(points, faces, labels)
    arrays: dict[str, NDArray[Any]] = {
        "schema": np.int64(SCHEMA) * np.ones((), np.int64),
        "vertices": (points / 1000).astype(np.float32),
        "faces": faces.astype(np.int32),
        "mirror": mirror.astype(np.int32),
        "colors": colors.astype(np.float32),
        "landmark_faces": marks,
        "landmark_weights": weights,
    }
    arrays |= {f"label_{name}": value for name, value in labels.items()}
    eye, mouth, lip = labels["eye_ring"], labels["mouth_ring"], labels["lip"]
    back = (mouth <= -3) & (mouth >= -6)
    # The deepest rings of the mouth's floor go with the jaw alone; those nearer the lips are drawn along by them as well.
    floor = (mouth <= -7) & (mouth >= -8) & (np.sin(np.nan_to_num(labels["mouth_u"])) < -0.25)
    parts = {
        "eye_left": (head_parts.eyeball(1), "eye_left", np.isin(eye, (0, -1)) & (labels["eye_side"] > 0)),
        "eye_right": (head_parts.eyeball(-1), "eye_right", np.isin(eye, (0, -1)) & (labels["eye_side"] < 0)),
        "teeth_upper": (head_parts.teeth(upper=True), "head", back & (lip > 0)),
        "teeth_lower": (head_parts.teeth(upper=False), "jaw", floor),
        "tongue": (head_parts.tongue(), "jaw", floor),
        "throat": (head_parts.throat(), "head", back & (lip > 0)),
    }
    arrays["part_names"], arrays["part_drives"] = np.array(list(parts)), np.array([drive for _, drive, _ in parts.values()])
    for name, ((vertices, triangles, tint), _, anchors) in parts.items():
        arrays[f"{name}_vertices"] = (vertices / 1000).astype(np.float32)
        arrays[f"{name}_faces"] = triangles.astype(np.int32)
        arrays[f"{name}_colors"] = tint.astype(np.float32)
        arrays[f"{name}_anchors"] = np.flatnonzero(anchors).astype(np.int32)
    return arrays


def write_head(path: Path) -> None:
    """Build the head and write it as .npz, whole or not at all."""
    arrays = build_head()
    points = landmark_points(arrays["vertices"], arrays["faces"], arrays["landmark_faces"], arrays["landmark_weights"])
    arrays |= {f"region_{name}": mask for name, mask in regions(arrays["vertices"], arrays["faces"], points).items()}
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
