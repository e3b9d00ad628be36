"""From a raw rig to a template with landmarks, regions and parts, and its 52 shapes in metres."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import ARKIT_NAMES, LANDMARKS
from emovoca_cli.data.arkit.paint import filled, paint
from emovoca_cli.data.arkit.parts import find_parts
from emovoca_cli.data.arkit.source import RawRig
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points
from emovoca_cli.mesh.regions import regions
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import components, manifold_problem
from emovoca_cli.types import Float, Int, MeshTemplate

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
EYE_DISTANCE = 0.0892
"""Metres between the outer eye corners of an average adult: what the unit of a rig is guessed from."""
_STRANGE = 1.8
"""A face that much larger or smaller than an adult's in every unit is scaled to an adult's."""
_FAR = 0.12
_SMALLEST_SKIN = 200
_MOVES = 0.02


@dataclass(frozen=True, eq=False)
class ArkitRig:
    """A face that can act.

    template (metres), deltas (52,V,3) metres at coefficient 1 in ARKit's order, identities (N,V,3) metres at one standard
    deviation, present: the ARKit shapes that the rig has (the others are zero), unit: what the file was measured in
    in words, metres: one unit of it,
    licence, content_hash of the source, notes for the user.
    """

    template: MeshTemplate
    deltas: Float
    identities: Float
    present: tuple[str, ...]
    unit: str
    metres: float
    licence: str
    content_hash: str
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Skin:
    """The surface that learns: chosen vertices (V,) of the raw rig, vertices (V,3) and faces (F,3) in the file's unit."""

    chosen: Int
    vertices: Float
    faces: Int
    others: Int


def find_skin(raw: RawRig) -> Skin:
    """The connected surface that the most shapes move, the larger of equals; `others` labels the remaining ones (V,), -1 here.

    Raises TopologyError when it is no manifold, which meshes of networks must be.
    """
    labels = components(raw.faces, len(raw.vertices))
    counts = np.bincount(labels)
    moving = np.zeros(len(counts), np.int64)
    for delta in raw.shapes.values():
        reach = np.zeros(len(counts))
        np.maximum.at(reach, labels, np.abs(delta).max(axis=1))
        moving += reach > _MOVES * reach.max() if reach.max() > 0 else 0
    moving[counts < _SMALLEST_SKIN] = -1
    best = max(range(len(counts)), key=lambda label: (moving[label], counts[label]))
    if moving[best] <= 0:
        raise DataError(
            f"{raw.name} has no surface of {_SMALLEST_SKIN} vertices that its shapes move; is the face exported with them?"
        )
    chosen = np.flatnonzero(labels == best)
    place = np.full(len(labels), -1)
    place[chosen] = np.arange(len(chosen))
    faces = place[raw.faces[labels[raw.faces[:, 0]] == best]].astype(np.int32)
    problem = manifold_problem(faces, len(chosen))
    if problem:
        raise TopologyError(
            f"the face of {raw.name} is not one clean surface ({problem}); repair it (merge by distance, no loose sheets)"
        )
    return Skin(chosen.astype(np.int32), raw.vertices[chosen], faces, np.where(labels == best, -1, labels).astype(np.int32))


def assemble(raw: RawRig, skin: Skin, landmarks: Float, *, unit: str = "auto") -> ArkitRig:
    """The rig in metres. landmarks (68,3) in the file's unit; unit: auto, m, cm or mm.

    Raises DataError when the landmarks are not on the face or the face does not look along +z with y up.
    """
    if landmarks.shape != (LANDMARKS, 3) or not np.isfinite(landmarks).all():
        raise DataError(f"the landmarks have shape {landmarks.shape}, expected ({LANDMARKS}, 3) finite numbers")
    check_orientation(landmarks, raw.name)
    distance = eye_distance(landmarks)
    where, weights = nearest_surface(landmarks, skin.vertices, skin.faces)
    on = landmark_points(skin.vertices, skin.faces, where, weights)
    away = np.linalg.norm(on - landmarks, axis=1) / distance
    if away.max() > _FAR:
        raise DataError(
            f"landmark {int(away.argmax())} lies {away.max():.2f} eye distances off the face of {raw.name}, at most {_FAR} was "
            "expected; give landmarks in the file's own axes and unit"
        )
    scale, words = guess_unit(distance, unit)
    vertices = np.asarray(skin.vertices * scale, np.float32)
    points = np.asarray(on * scale, np.float32)
    deltas = np.zeros((len(ARKIT_NAMES), *vertices.shape), np.float32)
    for index, name in enumerate(ARKIT_NAMES):
        if name in raw.shapes:
            deltas[index] = raw.shapes[name][skin.chosen] * scale
    masks = regions(vertices, skin.faces, points)
    masks["lips"] = filled(masks["lips"], skin.faces)
    masks["mouth"] |= masks["lips"]
    parts, notes = find_parts(raw, skin.others, scale, vertices, skin.faces, points, deltas)
    present = tuple(name for name in ARKIT_NAMES if name in raw.shapes)
    lacking = [name for name in ARKIT_NAMES if name not in raw.shapes]
    told = [*raw.notes, *notes]
    if lacking:
        told.append(f"shapes that the rig lacks, so they do nothing: {', '.join(lacking)}")
    template = MeshTemplate(
        name=raw.name,
        vertices=vertices,
        faces=skin.faces,
        landmark_faces=where,
        landmark_weights=weights,
        regions=MappingProxyType(masks),
        colors=paint(vertices, skin.faces, points, masks),
        parts=parts,
    )
    identities = np.asarray(raw.identities[:, skin.chosen] * scale, np.float32)
    return ArkitRig(template, deltas, identities, present, words, scale, raw.licence, raw.content_hash, tuple(told))


def guess_unit(distance: float, unit: str) -> tuple[float, str]:
    """Metres per unit of a file, and words for it, from the distance of the outer eye corners in that unit.

    Raises UsageError for an unknown unit and DataError for eyes at one place.
    """
    if not distance > 0:
        raise DataError("the outer eye corners of the rig coincide, so nothing can be measured; check its landmarks (36 and 45)")
    if unit != "auto":
        if unit not in UNITS:
            raise UsageError(f"unknown unit {unit!r}; choose auto, {', '.join(UNITS)}")
        return UNITS[unit], f"{unit} (as told; outer eye corners {distance * UNITS[unit] * 1000:.1f} mm apart)"
    best = min(UNITS, key=lambda name: abs(np.log(distance * UNITS[name] / EYE_DISTANCE)))
    size = distance * UNITS[best]
    if max(size / EYE_DISTANCE, EYE_DISTANCE / size) > _STRANGE:
        scale = EYE_DISTANCE / distance
        return scale, f"unknown: scaled by {scale:.4g} so that the outer eye corners are {EYE_DISTANCE * 1000:.1f} mm apart"
    return UNITS[best], f"{best} (guessed: outer eye corners {size * 1000:.1f} mm apart)"


def check_orientation(landmarks: NDArray[np.floating], name: str) -> None:
    """Raise DataError unless the face of landmarks (68,3) looks along +z, with y up and its left at +x."""
    points = np.asarray(landmarks, np.float64)
    eyes, mouth, ends = points[36:48].mean(axis=0), points[48:68].mean(axis=0), points[[0, 16]].mean(axis=0)
    size = eye_distance(points)
    turned = [
        words
        for words, value in (
            ("y is not up", eyes[1] - mouth[1]),
            ("the subject's left is not at +x", points[45, 0] - points[36, 0]),
            ("it does not look along +z", points[30, 2] - ends[2]),
        )
        if not value > 0.2 * size
    ]
    if turned:
        raise DataError(
            f"the face of {name} is turned ({', '.join(turned)}); export it upright, looking along +z (glTF's convention)"
        )
