"""Which surfaces beside the skin are eyeballs, teeth or tongue, and what moves them. By geometry, with names as a help."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.constants import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.data.arkit.source import RawRig
from emovoca_cli.mesh.landmarks import eye_distance
from emovoca_cli.mesh.pieces import TALL, in_mouth, is_ball
from emovoca_cli.mesh.regions import EYES
from emovoca_cli.types import Float, Int, Part

Matrix = NDArray[np.float64]
EYE_NAMES = ("eye_right", "eye_left")
TOOTH, GUM, TONGUE = (0.93, 0.90, 0.83), (0.72, 0.40, 0.39), (0.74, 0.38, 0.38)
WHITE, IRIS, RIM, PUPIL = (0.93, 0.915, 0.895), (0.38, 0.27, 0.16), (0.14, 0.10, 0.08), (0.02, 0.02, 0.02)
_ANCHORS = 72
_EYE_VERTICES = 6000
_JAW = ("jawOpen", "jawForward", "jawLeft", "jawRight")


@dataclass(frozen=True, eq=False)
class _Piece:
    """One connected surface: chosen vertices (P,) of the raw rig, vertices (P,3) metres, faces (Q,3), its most frequent label."""

    chosen: Int
    vertices: Float
    faces: Int
    label: str


def find_parts(
    raw: RawRig, others: Int, scale: float, skin: Float, faces: Int, landmarks: Float, deltas: Float
) -> tuple[tuple[Part, ...], list[str]]:
    """Parts beside the skin (V,3) metres with deltas (52,V,3), and notes on what was left out.

    others (N,): the raw rig's surfaces, -1 for the skin. An eyeball is round, 0.15 to 0.6 eye distances wide, and lies behind a
    pair of lids; of nested shells the outermost is drawn, with iris and pupil painted on it. Teeth, gums and tongue lie
    behind the lips; what follows jawOpen (or, in a rig without that, lies under the lip line) is moved by the jaw.
    """
    size = eye_distance(landmarks)
    pieces = _pieces(raw, others, scale, landmarks, size)
    parts: list[Part] = []
    used: set[int] = set()
    for name, numbers in zip(EYE_NAMES, EYES, strict=True):
        lids = landmarks[list(numbers)].mean(axis=0)
        balls = [index for index, piece in enumerate(pieces) if is_ball(piece.vertices, lids, size)]
        if balls:
            ball = max(balls, key=lambda index: float(np.ptp(pieces[index].vertices, axis=0).max()))
            used.update(balls)
            near = np.asarray(cKDTree(skin).query(lids[None], k=min(len(skin), 4 * _ANCHORS))[1])[0]
            anchors = _still(near, deltas)[:_ANCHORS]
            vertices, rows = finer(pieces[ball].vertices, pieces[ball].faces)
            parts.append(Part(name, vertices, rows, eye_colors(vertices), name, anchors.astype(np.int32)))
    inside = [index for index, piece in enumerate(pieces) if index not in used and in_mouth(piece.vertices, landmarks, size)]
    used.update(inside)
    parts.extend(_mouth_parts(raw, [pieces[index] for index in inside], scale, skin, landmarks, deltas))
    left = sorted({piece.label or "unnamed" for index, piece in enumerate(pieces) if index not in used})
    notes = [] if not left else [f"not drawn beside the face: {', '.join(left[:8])}{' and more' if len(left) > 8 else ''}"]
    for kind, found in (
        ("eyeballs", any(p.drive.startswith("eye") for p in parts)),
        ("teeth", any("teeth" in p.name for p in parts)),
    ):
        if not found:
            notes.append(f"no {kind} were found beside the face, so none are drawn")
    return tuple(parts), notes


def _pieces(raw: RawRig, others: Int, scale: float, landmarks: Float, size: float) -> list[_Piece]:
    """Surfaces near the face, one each; what lies two eye distances away is body or clothing and not looked at."""
    pieces = []
    middle = landmarks[27:68].mean(axis=0)
    order = np.argsort(others[raw.faces[:, 0]], kind="stable")
    labels, starts = np.unique(others[raw.faces[order, 0]], return_index=True)
    for label, rows in zip(labels, np.split(order, starts[1:]), strict=True):
        if label < 0:
            continue
        corners = raw.faces[rows]
        chosen, flat = np.unique(corners, return_inverse=True)
        vertices = np.asarray(raw.vertices[chosen] * scale, np.float32)
        if np.linalg.norm(vertices.mean(axis=0) - middle) > 2 * size:
            continue
        names = np.bincount(raw.labels[rows], minlength=len(raw.label_names))
        pieces.append(_Piece(chosen, vertices, flat.reshape(-1, 3).astype(np.int32), raw.label_names[int(names.argmax())]))
    return pieces


def _mouth_parts(raw: RawRig, pieces: list[_Piece], scale: float, skin: Float, landmarks: Float, deltas: Float) -> list[Part]:
    """Upper and lower teeth, gums and tongue, joined by kind and by what moves them."""
    if not pieces:
        return []
    opening = raw.shapes["jawOpen"] * scale
    drop = float(np.abs(deltas[ARKIT_INDEX["jawOpen"]]).max())
    rigged = any(np.abs(opening[piece.chosen]).max() > 0.2 * drop for piece in pieces)
    lip_line = float(landmarks[60:68, 1].mean())
    bins: dict[tuple[str, bool], list[tuple[Float, Int, Int]]] = {}
    for piece in pieces:
        under = piece.vertices[:, 1] < lip_line
        moved = np.linalg.norm(opening[piece.chosen], axis=1) > 0.3 * drop if rigged else under
        low = moved[piece.faces].sum(axis=1) >= 2
        if float(np.ptp(piece.vertices[:, 1])) < TALL * eye_distance(landmarks):
            low[:] = low.mean() > 0.5  # one tooth or one row is not cut in two
        for jaw in (False, True):
            rows = piece.faces[low == jaw]
            if len(rows):
                chosen, flat = np.unique(rows, return_inverse=True)
                group = bins.setdefault((_kind(piece.label), jaw), [])
                group.append((piece.vertices[chosen], flat.reshape(-1, 3).astype(np.int32), piece.chosen[chosen]))
    anchors = _jaw_anchors(raw, bins, scale, landmarks, skin, deltas, rigged=rigged)
    steady = cKDTree(skin)
    parts = []
    for (kind, jaw), group in sorted(bins.items()):
        shifts = np.cumsum([0, *(len(points) for points, _, _ in group)])
        vertices = np.concatenate([points for points, _, _ in group])
        faces = np.concatenate([rows + shift for (_, rows, _), shift in zip(group, shifts, strict=False)]).astype(np.int32)
        color = {"teeth": TOOTH, "tongue": TONGUE, "gums": GUM}[kind]
        name = "tongue" if kind == "tongue" or (kind == "gums" and jaw) else f"{kind}_{'lower' if jaw else 'upper'}"
        near = np.unique(steady.query(vertices, k=1)[1])
        held = anchors if jaw else _still(near, deltas)[:_ANCHORS]
        tint = np.tile(np.asarray(color, np.float32), (len(vertices), 1))
        parts.append(Part(name, vertices, faces, tint, "jaw" if jaw else "head", held.astype(np.int32)))
    return parts


def _kind(label: str) -> str:
    words = label.lower()
    if re.search(r"gum", words):
        return "gums"
    return "tongue" if re.search(r"tongue", words) else "teeth"


def _jaw_anchors(
    raw: RawRig,
    bins: dict[tuple[str, bool], list[tuple[Float, Int, Int]]],
    scale: float,
    landmarks: Float,
    skin: Float,
    deltas: Float,
    *,
    rigged: bool,
) -> Int:
    """Skin vertices that move with the jaw bone and with nothing else.

    The bone's motion in the four jaw shapes is that of the lower teeth, where they are rigged, or else of the chin.
    """
    teeth = [row for (kind, jaw), rows in bins.items() if jaw and kind == "teeth" for row in rows]
    teeth = teeth or [row for (_, jaw), rows in bins.items() if jaw for row in rows]
    size = eye_distance(landmarks)
    if rigged and teeth:
        rest = np.concatenate([points for points, _, _ in teeth]).astype(np.float64)
        index = np.concatenate([chosen for _, _, chosen in teeth])
        moves = {name: raw.shapes[name][index] * scale for name in _JAW if name in raw.shapes}
    else:
        chin = np.flatnonzero(cKDTree(landmarks[6:11]).query(skin)[0] < 0.12 * size)
        rest = skin[chin].astype(np.float64)
        moves = {name: deltas[ARKIT_INDEX[name]][chin] for name in _JAW if name in raw.shapes}
    bone = np.zeros(len(skin))
    reach = 0.0
    for name, move in moves.items():
        turn, shift = rigid(rest, rest + move)
        wanted = skin @ turn.T + shift - skin
        bone += np.linalg.norm(deltas[ARKIT_INDEX[name]] - wanted, axis=1)
        reach += float(np.linalg.norm(move, axis=1).mean())
    alone = np.zeros(len(skin))
    for index_, name in enumerate(ARKIT_NAMES):
        if name not in _JAW and name != "mouthClose":
            alone += np.linalg.norm(deltas[index_], axis=1)
    moving = np.linalg.norm(deltas[ARKIT_INDEX["jawOpen"]], axis=1)
    score = bone + 0.5 * alone + np.where(moving < 0.25 * moving.max(), 10 * max(reach, 1e-6), 0.0)
    best = np.argsort(score, kind="stable")[: 4 * _ANCHORS]
    return _spread(skin, best, _ANCHORS)


def rigid(source: Matrix, target: Matrix) -> tuple[Matrix, Matrix]:
    """Rotation (3,3) and translation (3,) that take points (N,3) nearest to their targets (Kabsch)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, _, vt = np.linalg.svd(b.T @ a)
    turn = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)) or 1.0)]) @ vt
    return turn, target.mean(axis=0) - turn @ source.mean(axis=0)


def _still(candidates: NDArray[np.integer], deltas: Float) -> NDArray[np.int64]:
    """Vertices in the order of how little all shapes move them."""
    motion = np.linalg.norm(deltas[:, candidates], axis=2).max(axis=0)
    return np.asarray(candidates[np.argsort(motion, kind="stable")], np.int64)


def _spread(points: Float, candidates: NDArray[np.int64], count: int) -> Int:
    """Of the candidates, best first, `count` that lie far from one another."""
    picked = [int(candidates[0])]
    away = np.linalg.norm(points[candidates] - points[picked[0]], axis=1)
    while len(picked) < min(count, len(candidates)):
        index = int(away.argmax())
        picked.append(int(candidates[index]))
        away = np.minimum(away, np.linalg.norm(points[candidates] - points[picked[-1]], axis=1))
    return np.array(picked, np.int32)


def finer(vertices: Float, faces: Int) -> tuple[Float, Int]:
    """Faces quartered until there are enough vertices to paint an iris on."""
    while len(vertices) < _EYE_VERTICES:
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)  # type: ignore[no-untyped-call]
    return np.asarray(vertices, np.float32), np.asarray(faces, np.int32)


def eye_colors(vertices: Float) -> Float:
    """White, iris with its rim, and pupil, by the angle from straight ahead."""
    centre = (vertices.max(axis=0) + vertices.min(axis=0)) / 2
    arm = vertices - centre
    angle = np.degrees(np.arccos(np.clip(arm[:, 2] / np.maximum(np.linalg.norm(arm, axis=1), 1e-9), -1, 1)))
    colors = np.tile(np.asarray(WHITE, np.float32), (len(vertices), 1))
    for limit, color in ((29.5, RIM), (26.5, IRIS), (10.0, PUPIL)):
        colors[angle < limit] = color
    return colors
