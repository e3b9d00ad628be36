"""What to draw of a mesh that came with nothing but its surfaces: skin, lips, brows, eyes and teeth, told apart by geometry."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.data.arkit.paint import filled, paint
from emovoca_cli.data.arkit.parts import GUM, TONGUE, TOOTH, eye_colors, finer
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.mesh.pieces import find_pieces, in_mouth
from emovoca_cli.mesh.regions import EYES, regions
from emovoca_cli.mesh.seams import join_seams
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import components
from emovoca_cli.types import Clip, Float, Int, MeshTemplate, Part

OTHER = (0.45, 0.42, 0.40)
"""Hair, clothes and whatever else is there."""
_SHELL, _NEAR_EYE = 0.55, 0.25
"""Lashes and shells are no larger than the first and no further from an eye's middle than the second, in outer-eye distances."""
_ANCHORS = 200


def dress(name: str, vertices: Float, faces: Int, landmarks: Float) -> MeshTemplate:
    """A template to draw a face at rest with: vertices (V,3) and faces (F,3) of the mesh, landmarks (68,3), metres.

    Its faces are fewer than the mesh's: eyeballs and teeth become parts that go with the mesh's own vertices; lashes and the clear
    shells before an eye, which are nothing without their textures, are left out.
    """
    joined, stands = join_seams(vertices, faces, landmarks)
    size = eye_distance(landmarks)
    pieces = find_pieces(vertices, joined, landmarks)
    skin = joined[pieces.skin[joined[:, 0]]]
    masks = regions(vertices, joined, landmarks)
    masks["lips"] = filled(masks["lips"], joined)
    colors = paint(vertices, skin, landmarks, masks)[stands]
    masks = {area: mask[stands] for area, mask in masks.items()}
    labels = components(joined, len(vertices))
    owner = labels[joined[:, 0]]
    drawn = np.ones(len(faces), dtype=np.bool_)
    parts: list[Part] = []
    for side, ball in zip(("eye_right", "eye_left"), pieces.eyes, strict=True):
        if ball.any():
            drawn &= ~ball[joined[:, 0]]
            parts.append(_eyeball(side, ball, labels, vertices, joined))
    eyes = [landmarks[list(numbers)].mean(axis=0) for numbers in EYES]
    teeth: dict[str, list[NDArray[np.int64]]] = {}
    for label in np.unique(owner[drawn & ~pieces.skin[joined[:, 0]]]):
        chosen = np.flatnonzero(labels == label)
        place = vertices[chosen]
        middle = (place.max(axis=0) + place.min(axis=0)) / 2
        if in_mouth(place, landmarks, size):
            share = pieces.jaw[chosen]
            if 0 < share.mean() < 1:
                colors[chosen] = GUM
            else:
                kind = "tongue" if _is_tongue(place, size) else f"teeth_{'lower' if share[0] else 'upper'}"
                teeth.setdefault(kind, []).append(np.flatnonzero(owner == label))
                drawn[owner == label] = False
        elif np.ptp(place, axis=0).max() < _SHELL * size and min(np.linalg.norm(middle - eye) for eye in eyes) < _NEAR_EYE * size:
            drawn[owner == label] = False
        else:
            colors[chosen] = OTHER
    parts += [_rigid(kind, vertices, joined[np.concatenate(rows)]) for kind, rows in sorted(teeth.items())]
    # A seam's two sides are drawn as one, so that light goes over it smoothly.
    shown = joined[drawn]
    where, weights = nearest_surface(landmarks, vertices, shown)
    return MeshTemplate(name, vertices, shown, where, weights, MappingProxyType(masks), colors, tuple(parts))


def dress_clip(clip: Clip) -> tuple[Clip, MeshTemplate]:
    """A clip of a strange mesh as it is drawn, and what to draw it with; the bare skin where nothing can be told apart."""
    # A clip carries its landmarks as points; those of its first frame lie where they do at rest, give or take its motion.
    where, weights = nearest_surface(clip.landmarks[0], clip.vertices[0], clip.faces)
    try:
        made = dress("clip", clip.template, clip.faces, landmark_points(clip.template, clip.faces, where, weights))
    except DataError:
        return clip, MeshTemplate("clip", clip.template, clip.faces, where, weights)
    return replace(clip, faces=made.faces), made


def _eyeball(name: str, ball: NDArray[np.bool_], labels: Int, vertices: Float, faces: Int) -> Part:
    """The outermost shell of an eyeball with iris and pupil painted on it."""
    shells = np.unique(labels[ball])
    outer = max(shells, key=lambda label: float(np.ptp(vertices[labels == label], axis=0).max()))
    chosen, flat = np.unique(faces[labels[faces[:, 0]] == outer], return_inverse=True)
    points, rows = finer(vertices[chosen], flat.reshape(-1, 3).astype(np.int32))
    return Part(name, points, rows, eye_colors(points), "own", _some(chosen))


def _rigid(name: str, vertices: Float, faces: Int) -> Part:
    chosen, flat = np.unique(faces, return_inverse=True)
    color = TONGUE if name == "tongue" else TOOTH
    tint = np.tile(np.asarray(color, np.float32), (len(chosen), 1))
    return Part(name, vertices[chosen], flat.reshape(-1, 3).astype(np.int32), tint, "own", _some(chosen))


def _some(chosen: NDArray[np.integer]) -> Int:
    """As many of the vertices as tell how they move together."""
    return np.asarray(chosen[:: 1 + len(chosen) // _ANCHORS], np.int32)


def _is_tongue(place: Float, size: float) -> bool:
    """A tongue is longer than wide; a row of teeth is wider than long, and a tooth is small."""
    width, _, length = np.ptp(place, axis=0)
    return bool(width > 0.2 * size and length > 1.15 * width)
