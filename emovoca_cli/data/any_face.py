"""Any mesh as a face that motion can be carried to: read, measured, put upright, its landmarks found; what was repaired is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.data.arkit.assemble import check_orientation, guess_unit
from emovoca_cli.data.arkit.facekit import LICENCE, MARKED, TOPOLOGY, find_facekit, read_facekit
from emovoca_cli.data.arkit.gltf_rig import SUFFIXES as GLTF
from emovoca_cli.data.arkit.gltf_rig import read_gltf_rig
from emovoca_cli.data.arkit.source import FEWEST_SHAPES, RawRig
from emovoca_cli.data.flame import FLAME_TOPOLOGY, FLAME_VERTICES, flame_template
from emovoca_cli.data.landmark_file import FORMS, read_landmarks
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.files import hash_file
from emovoca_cli.mesh.carry import rotation_between
from emovoca_cli.mesh.geodesic import geodesic_distance
from emovoca_cli.mesh.io import SUFFIXES, read_mesh
from emovoca_cli.mesh.landmarks import eye_distance, landmark_points, nearest_surface
from emovoca_cli.mesh.pieces import skin_corner
from emovoca_cli.mesh.seams import join_seams
from emovoca_cli.mesh.topology import components, face_normals, half_edges
from emovoca_cli.types import Float, Int, MeshTemplate, topology_hash

Array = NDArray[np.float64]
Told = Callable[[int, int], None]
Guess = Callable[[RawRig], Float]

MOST_VERTICES = 300_000
_FAR = 0.12
"""Outer-eye distances that a landmark may lie off the surface that bears the nose."""
_JOINED = 0.06
"""A way over the surface from lip to lip that is shorter than this means that the mouth cannot open."""
_TILTED = 12.0


@dataclass(frozen=True, eq=False)
class AnyFace:
    """A mesh that can be moved.

    template: the file's own vertices and faces, in metres and upright, with 68 landmarks; solid: the same with the seams of its
    texture joined, and stands (V,): the vertex of it that each vertex goes with; shapes: ARKit name -> displacement (V,3) in metres
    of a rig, none for a plain mesh; licence; content_hash of the file; notes for the user.
    """

    template: MeshTemplate
    solid: MeshTemplate
    stands: NDArray[np.int64]
    shapes: Mapping[str, Float]
    licence: str
    content_hash: str
    notes: tuple[str, ...]


def read_any_face(
    path: Path,
    *,
    landmarks: Path | None = None,
    known: Sequence[MeshTemplate] = (),
    guess: Guess | None = None,
    progress: Told | None = None,
) -> AnyFace:
    """Read a .ply, .obj, .glb, .gltf or .vrm mesh or a FaceXModel folder as a face.

    landmarks: a file (see `read_landmarks`), or for FLAME the folder of its embeddings. Without it they are the file's own,
    those of its topology (the `known` templates', FLAME's, ICT-FaceKit's), or for a rig what `guess` makes of its shapes.
    known: templates, the first of which shows what upright is. Raises UsageError, DataError and TopologyError.
    """
    raw = _read(path, progress)
    if len(raw.vertices) > MOST_VERTICES:
        raise DataError(f"{path} has {len(raw.vertices)} vertices, at most {MOST_VERTICES} are animated; simplify the mesh")
    notes = list(raw.notes)
    points, said = _find_landmarks(raw, path, landmarks, known, guess)
    notes += said
    if not np.isfinite(points).all() or not eye_distance(points) > 0:
        raise DataError(f"the landmarks of {path} do not show two eyes (36 and 45 are one point); are they of this mesh?")
    scale, words = guess_unit(eye_distance(points), "auto")
    turn, turned = _upright(points, known)
    notes += [f"unit {words}", *turned]
    vertices = np.asarray(raw.vertices * scale @ turn.T, np.float32)
    points = np.asarray(points * scale @ turn.T, np.float32)
    check_orientation(points, str(path))
    joined, stands = join_seams(vertices, raw.faces, points)
    notes += _looked_over(vertices, raw.faces, joined, stands, points)
    where, weights = _on_skin(vertices, joined, points, path)
    template = MeshTemplate(raw.name, vertices, raw.faces, where, weights)
    shapes = {name: np.asarray(delta * scale @ turn.T, np.float32) for name, delta in raw.shapes.items()}
    return AnyFace(
        template=template,
        solid=MeshTemplate(raw.name, vertices, joined, where, weights),
        stands=stands,
        shapes=MappingProxyType(shapes if len(shapes) >= FEWEST_SHAPES else {}),
        licence=raw.licence,
        content_hash=raw.content_hash,
        notes=tuple(notes),
    )


def _read(path: Path, progress: Told | None) -> RawRig:
    """Whatever the file is, as a rig that may have no shapes."""
    if path.is_dir():
        if find_facekit(path) is None:
            raise UsageError(
                f"{path} is a folder without generic_neutral_mesh.obj; give a mesh file or ICT-FaceKit's FaceXModel folder"
            )
        return read_facekit(path, progress=progress, people=False)
    if path.suffix.lower() in GLTF:
        return read_gltf_rig(path, need_shapes=False)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} is no face that is read here; give {', '.join((*SUFFIXES, *GLTF))} or a FaceXModel folder")
    vertices, faces = read_mesh(path)
    return RawRig(
        path.stem, vertices, faces, MappingProxyType({}), np.zeros((0, *vertices.shape), np.float32),
        np.zeros(len(faces), np.int32), ("",), None, _licence(topology_hash(len(vertices), faces)), hash_file(path),
    )  # fmt: skip


def _licence(topology: str) -> str:
    """What is known of a plain mesh's licence by its topology."""
    known = {FLAME_TOPOLOGY: "that of the mesh (FLAME's topology: see flame.is.tue.mpg.de)", TOPOLOGY: LICENCE}
    return known.get(topology, "unknown (the mesh names none)")


def _find_landmarks(
    raw: RawRig, path: Path, given: Path | None, known: Sequence[MeshTemplate], guess: Guess | None
) -> tuple[Float, list[str]]:
    """Points (68,3) in the file's unit and axes, and what to say about where they come from."""
    name = topology_hash(len(raw.vertices), raw.faces)
    if name == FLAME_TOPOLOGY and (given is None or given.is_dir()):
        folders = [path.parent] if given is None else [given]
        made, notes = flame_template(raw.vertices, raw.faces, folders=folders, known=known[0])
        points = landmark_points(raw.vertices, raw.faces, made.landmark_faces, made.landmark_weights)
        advice = [note.replace("pass --flame FOLDER", "pass --landmarks FOLDER") for note in notes]
        return points, ["the topology is FLAME's" + ("" if notes else ", with its own landmarks"), *advice]
    if given is not None:
        return read_landmarks(given, raw.vertices, raw.faces, ordered=path.suffix.lower() not in GLTF), []
    if raw.landmarks is not None:
        return raw.landmarks, []
    if name == TOPOLOGY:
        return raw.vertices[list(MARKED)], ["the topology is ICT-FaceKit's, with its own landmarks"]
    for template in known:
        if name == template.topology_hash:
            where = landmark_points(raw.vertices, raw.faces, template.landmark_faces, template.landmark_weights)
            return where, [f"the topology is that of {template.name}, with its landmarks"]
    if guess is not None and len(raw.shapes) >= FEWEST_SHAPES:
        return guess(raw), ["the landmarks were found by how the shapes move the face"]
    sizes = {FLAME_VERTICES: "FLAME", 26719: "ICT-FaceKit", **{len(one.vertices): one.name for one in known}}
    like = sizes.get(len(raw.vertices))
    if like is not None:
        raise TopologyError(
            f"{path} has another topology than {like} (as many vertices, other faces: re-ordered by the program that saved it?), "
            f"so its landmarks are not known; export it with its vertex order kept, or give --landmarks FILE ({FORMS})"
        )
    raise UsageError(f"{path} is of no known topology, so its landmarks are not known; give --landmarks FILE ({FORMS})")


def _upright(points: Float, known: Sequence[MeshTemplate]) -> tuple[Array, list[str]]:
    """The turn by quarters (3,3) that puts a face with landmarks (68,3) upright, and what to say of it."""
    if not known:
        return np.eye(3), []
    ours = landmark_points(known[0].vertices, known[0].faces, known[0].landmark_faces, known[0].landmark_weights)
    back = rotation_between(points.astype(np.float64), ours.astype(np.float64))
    quarters = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    turn = max((one for one in quarters if np.linalg.det(one) > 0), key=lambda one: float((one * back).sum()))
    tilt = float(np.degrees(np.arccos(np.clip(((turn.T @ back).trace() - 1) / 2, -1, 1))))
    notes = [f"tilted by some {tilt:.0f} degrees; it speaks in its own pose"] if tilt > _TILTED else []
    if (turn == np.eye(3)).all():
        return turn, notes
    names = ("x", "y", "z")
    axes = ["".join(("-" if row.sum() < 0 else "", names[int(np.abs(row).argmax())])) for row in turn]
    return turn, [f"turned: {axes[1]} was up and {axes[2]} the way it looks, now y and z are", *notes]


def _on_skin(vertices: Float, faces: Int, points: Float, path: Path) -> tuple[Int, Float]:
    """Landmarks as faces (68,) of `faces` and weights (68,3), all on the surface that bears the nose."""
    labels = components(faces, len(vertices))
    rows = np.flatnonzero(labels[faces[:, 0]] == labels[skin_corner(vertices, faces, points)])
    where, weights = nearest_surface(points, vertices, faces[rows])
    where = rows[where].astype(np.int32)
    away = np.linalg.norm(landmark_points(vertices, faces, where, weights) - points, axis=1) / eye_distance(points)
    if away.max() > _FAR:
        raise DataError(
            f"landmark {int(away.argmax())} lies {away.max():.2f} outer-eye distances off the surface of {path} that bears the "
            f"nose, at most {_FAR} was expected; give landmarks in the file's own unit and axes, and a face that is one surface"
        )
    return where, weights


def _looked_over(vertices: Float, faces: Int, joined: Int, stands: NDArray[np.int64], points: Float) -> list[str]:
    """What a user should know of the mesh as it is."""
    notes = []
    area = np.linalg.norm(face_normals(vertices, faces), axis=-1)
    if flat := int((area <= 1e-14).sum()):
        notes.append(f"{flat} of {len(faces)} faces have no area; they move, and count for nothing")
    _, counts = np.unique(np.sort(half_edges(faces), axis=1), axis=0, return_counts=True)
    if many := int((counts > 2).sum()):
        notes.append(f"{many} edges belong to more than two faces (not a clean surface); the motion goes over all of them")
    if doubled := int((stands != np.arange(len(stands))).sum()):
        notes.append(f"{doubled} vertices double others along seams; they move as one, the vertex order is kept")
    if loose := len(vertices) - len(np.unique(faces)):
        notes.append(f"{loose} vertices belong to no face; they stay where they are")
    skin = joined[nearest_surface(points[[62, 66]], vertices, joined)[0]]
    way = float(geodesic_distance(vertices, joined, skin[0])[skin[1]].min()) / eye_distance(points)
    straight = float(np.linalg.norm(points[62] - points[66])) / eye_distance(points)
    if way < max(_JOINED, 1.5 * straight):
        notes.append("the lips are one surface: the mouth cannot open, the skin between them will stretch; cut it along the lips")
    return notes
