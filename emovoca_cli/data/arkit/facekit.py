"""ICT-FaceKit's `FaceXModel/` folder: a neutral face and one .obj a shape, all of one topology, in centimetres."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.data.arkit.names import map_names
from emovoca_cli.data.arkit.source import RawRig, check_shapes
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import hash_bytes, read_json
from emovoca_cli.types import Float, Int

NEUTRAL = "generic_neutral_mesh.obj"
INDICES = "vertex_indices.json"
TOPOLOGY = "c8c9f05d8b3c7e4b95ef47066d016a3df03004c76aa308ec4f92a23b4a94e25d"
"""Topology hash of the published meshes, polygons cut into fans."""
MARKED = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493, 1914, 2044, 1401,
    3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511, 3742,
    3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216,
    6207, 6470, 5517, 5966,
)  # fmt: skip
"""The vertices that the kit's vertex_indices.json lists as the 68 landmarks (MIT), for meshes that come without that file."""
LARGEST_OBJ = 256 * 2**20
"""Bytes; a published shape has 2.6 MB."""
LICENCE = "MIT (ICT-FaceKit light, (c) 2020 USC Institute for Creative Technologies)"

Told = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class _Obj:
    """What is compared between shapes: vertices (V,3), each face's corners, a hash of all corners."""

    vertices: Float
    corners: list[list[int]]
    labels: list[str]
    topology: str


def is_facekit(folder: Path) -> bool:
    """Whether a folder looks like FaceXModel, or like a FaceKit copy that has one inside."""
    return find_facekit(folder) is not None


def find_facekit(folder: Path) -> Path | None:
    """The FaceXModel folder: this one or the one in it, or None."""
    return next((place for place in (folder, folder / "FaceXModel") if (place / NEUTRAL).is_file()), None)


def read_facekit(folder: Path, *, progress: Told | None = None, people: bool = True) -> RawRig:
    """Read a FaceXModel folder. Raises UsageError when it is none and DataError that names the first broken file.

    Expression shapes are mapped to ARKit's names (`_L`, `_R`; the halves of browInnerUp and cheekPuff added up); `identityNNN`
    become identity shapes, unless `people` is off; the landmarks are the vertices that vertex_indices.json lists.
    """
    place = find_facekit(folder)
    if place is None:
        raise UsageError(f"{folder} has no {NEUTRAL}; give ICT-FaceKit's FaceXModel folder (`emovoca face get ict-facekit`)")
    files = sorted(path for path in place.glob("*.obj") if path.name != NEUTRAL)
    neutral = _read(place / NEUTRAL)
    names, unknown = map_names(path.stem for path in files if not path.stem.startswith("identity"))
    check_shapes(names, str(place))
    persons = [path for path in files if people and re.fullmatch(r"identity\d+", path.stem)]
    wanted = [place / f"{shape}.obj" for parts in names.values() for shape in parts] + persons
    moved: dict[str, Float] = {}
    problems = []
    for done, path in enumerate(wanted, start=1):
        try:
            moved[path.stem] = _shape(path, neutral)
        except DataError as error:
            problems.append(str(error))
        if progress is not None:
            progress(done, len(wanted))
    if problems:
        more = f" (and {len(problems) - 1} more broken files)" if len(problems) > 1 else ""
        raise DataError(problems[0] + more)
    # A rig in any unit that does not move at all is a folder of copies.
    if max(float(np.abs(delta).max()) for delta in moved.values()) == 0:
        raise DataError(f"{place}: no shape differs from {NEUTRAL}; download the folder again")
    shapes: dict[str, Float] = {name: np.asarray(sum(moved[part] for part in parts), np.float32) for name, parts in names.items()}
    identities = np.stack([moved[path.stem] for path in persons]) if persons else np.zeros((0, *neutral.vertices.shape), np.float32)
    faces, face_labels, label_names = _triangles(neutral)
    notes = [f"left out {', '.join(unknown)}: not among ARKit's 52 shapes"] if unknown else []
    return RawRig(
        name="ict-facekit" if len(neutral.vertices) == 26719 else place.parent.name or "facekit",
        vertices=neutral.vertices,
        faces=faces,
        shapes=MappingProxyType(shapes),
        identities=identities,
        labels=face_labels,
        label_names=label_names,
        landmarks=_landmarks(place / INDICES, neutral.vertices),
        licence=LICENCE if len(neutral.vertices) == 26719 else "unknown (read from a FaceXModel folder of another topology)",
        content_hash=hash_bytes(neutral.vertices.tobytes(), *(n.encode() + d.tobytes() for n, d in sorted(moved.items()))),
        notes=tuple(notes),
    )


def _shape(path: Path, neutral: _Obj) -> Float:
    """Displacement (V,3) of one shape. Raises DataError that names the file."""
    shape = _read(path)
    if len(shape.vertices) != len(neutral.vertices):
        raise DataError(f"{path} has {len(shape.vertices)} vertices, {NEUTRAL} has {len(neutral.vertices)}; download it again")
    if shape.topology != neutral.topology:
        raise DataError(f"{path} has other faces than {NEUTRAL}; was it saved by another program? download it again")
    return np.asarray(shape.vertices - neutral.vertices, np.float32)


def _read(path: Path) -> _Obj:
    """An .obj's vertices and faces in the file's order. Raises DataError."""
    try:
        size = path.stat().st_size
        if size > LARGEST_OBJ:
            raise DataError(f"{path} has {size} bytes, a shape of at most {LARGEST_OBJ} was expected")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        numbers = " ".join(line[2:] for line in text.splitlines() if line.startswith("v ")).split()
        vertices = np.array(numbers, np.float64).reshape(-1, 3)
        corners, labels, label = [], [], ""
        for line in text.splitlines():
            if line.startswith("f "):
                corners.append([int(word.split("/", 1)[0]) - 1 for word in line[2:].split()])
                labels.append(label)
            elif line.startswith("usemtl "):
                label = line[7:].strip()
    except ValueError as error:
        raise DataError(f"{path} is not a whole .obj mesh ({error}); download it again") from error
    if not len(vertices) or not corners or not np.isfinite(vertices).all():
        raise DataError(
            f"{path} has {len(vertices)} vertices and {len(corners)} faces, or numbers that are not finite; download it again"
        )
    flat = [corner for face in corners for corner in face]
    if min(flat) < 0 or max(flat) >= len(vertices) or min(map(len, corners)) < 3:
        raise DataError(f"{path} has a face that names a vertex outside 1..{len(vertices)}; download it again")
    lengths = np.array([len(face) for face in corners], np.int32)
    return _Obj(vertices.astype(np.float32), corners, labels, hash_bytes(np.array(flat, np.int32).tobytes(), lengths.tobytes()))


def _triangles(mesh: _Obj) -> tuple[Int, Int, tuple[str, ...]]:
    """Faces (F,3), each face's label (F,) and the labels' names; polygons become fans."""
    names: tuple[str, ...] = tuple(dict.fromkeys(mesh.labels))
    faces, labels = [], []
    for corners, label in zip(mesh.corners, mesh.labels, strict=True):
        for second, third in pairwise(corners[1:]):
            faces.append((corners[0], second, third))
            labels.append(names.index(label))
    return np.array(faces, np.int32), np.array(labels, np.int32), names


def _landmarks(path: Path, vertices: Float) -> NDArray[np.float32]:
    """The 68 landmarks as points (68,3). Raises UsageError or DataError."""
    table: Any = read_json(path)
    listed = table.get("idx_to_landmark_verts") if isinstance(table, Mapping) else None
    if (
        not isinstance(listed, list)
        or len(listed) != LANDMARKS
        or not all(isinstance(i, int) and 0 <= i < len(vertices) for i in listed)
    ):
        raise DataError(f"{path} does not list {LANDMARKS} vertices as idx_to_landmark_verts; download it again")
    return np.asarray(vertices[listed], np.float32)
