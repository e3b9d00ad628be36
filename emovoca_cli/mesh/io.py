"""Reading and writing meshes as .ply or .obj, the order of vertices kept.

Vertex order is the identity of a topology, so nothing here merges, splits or drops a vertex. PLY goes through trimesh. OBJ is
read here: trimesh regroups an OBJ's vertices by material and texture coordinate.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.exchange.ply import export_ply, load_ply

from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write
from emovoca_cli.mesh.topology import AnyFloat, AnyInt
from emovoca_cli.types import Float, Int

SUFFIXES = (".ply", ".obj")
LARGEST_FILE = 1 << 29
"""Bytes of the largest mesh file that is read; one of a million vertices has about 100 MB as text."""


def read_mesh(path: Path) -> tuple[Float, Int]:
    """Vertices (V,3), in the file's units, and faces (F,3) of a .ply or .obj file, both in the file's order.

    Polygons become triangles; in a PLY that mixes both, the file's own triangles come first. Raises UsageError for a missing file
    or another format, DataError for a file that is not a mesh, has no faces, non-finite coordinates or face indices out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give a .ply or .obj mesh")
    reader = {".ply": _read_ply, ".obj": _read_obj}.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path} is a {path.suffix or 'file without suffix'}, not a mesh format read here; give .ply or .obj")
    if path.stat().st_size > LARGEST_FILE:
        raise DataError(f"{path} has {path.stat().st_size >> 20} MB, at most {LARGEST_FILE >> 20} are read; give a smaller mesh")
    vertices, faces = _guarded(reader, path)
    if len(vertices) == 0:
        raise DataError(f"{path} has no vertices; give a triangle mesh as .ply or .obj")
    if len(faces) == 0:
        raise DataError(f"{path} has {len(vertices)} vertices and no faces; a point cloud cannot be animated, give a triangle mesh")
    bad = ~np.isfinite(vertices).all(axis=1)
    if bad.any():
        raise DataError(f"{path} has non-finite coordinates (first at vertex {int(np.flatnonzero(bad)[0])}); repair the mesh")
    outside = ((faces < 0) | (faces >= len(vertices))).any(axis=1)
    if outside.any():
        raise DataError(
            f"{path} face {int(np.flatnonzero(outside)[0])} names a vertex outside 0..{len(vertices) - 1}; repair the mesh"
        )
    return vertices.astype(np.float32), faces.astype(np.int32)


def write_mesh(path: Path, vertices: AnyFloat, faces: AnyInt, colors: AnyFloat | None = None) -> None:
    """Write vertices (V,3), faces (F,3) and colours (V,3) in 0-1 as binary .ply or as .obj, whole or not at all.

    Float32 coordinates come back bit for bit from both. Raises UsageError for another suffix, OutputError when it cannot be
    written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} should end in .ply or .obj")
    points = np.asarray(vertices, dtype=np.float32)
    triangles = np.asarray(faces, dtype=np.int32)
    shade = None if colors is None else np.clip(np.asarray(colors, dtype=np.float64), 0.0, 1.0)
    encode = _ply_bytes if path.suffix.lower() == ".ply" else _obj_bytes
    content = encode(points, triangles, shade)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


Arrays = tuple[NDArray[np.float64], NDArray[np.int64]]


def _guarded(reader: Callable[[Path], Arrays], path: Path) -> Arrays:
    """Run a reader; whatever a broken file makes it raise becomes one named error."""
    try:
        return reader(path)
    except DataError:
        raise
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a parser fed with another kind of file fails in ways that nobody can list
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is not a readable {path.suffix} mesh ({reason})") from error


def _read_ply(path: Path) -> Arrays:
    data = path.read_bytes()
    _check_counts(path, data)
    # Without fix_texture, trimesh would split vertices along texture seams.
    content: dict[str, Any] = load_ply(io.BytesIO(data), fix_texture=False, skip_materials=True)
    faces = content.get("faces")
    triangles = np.zeros((0, 3), dtype=np.int64) if faces is None else np.asarray(faces, dtype=np.int64)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        triangles = np.asarray(trimesh.geometry.triangulate_quads(triangles), dtype=np.int64)
    return np.asarray(content["vertices"], dtype=np.float64).reshape(-1, 3), triangles


def _check_counts(path: Path, data: bytes) -> None:
    """Compare what the header promises with the file: every element takes a byte at least."""
    head, end, body = data.partition(b"end_header")
    if not data.startswith(b"ply") or not end:
        raise DataError(f"{path} is not a readable .ply mesh (its header does not begin with ply or has no end)")
    for line in head.decode("latin1").splitlines():
        words = line.split()
        if words[:1] == ["element"] and not (len(words) == 3 and words[2].isdigit() and int(words[2]) <= len(body)):
            raise DataError(f"{path} promises {' '.join(words[1:])[:60]} elements in {len(body)} bytes; it is cut off or crafted")


def _read_obj(path: Path) -> Arrays:
    points: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        if words[0] == "v":
            if len(words) < 4:
                raise DataError(f"{path} line {number}: a vertex needs three numbers, got {line.strip()!r}")
            points.append([float(word) for word in words[1:4]])
        elif words[0] == "f":
            # "7", "7/1", "7/1/2" or "7//2"; negative counts back from the newest vertex.
            corners = [int(word.split("/", 1)[0]) for word in words[1:]]
            if len(corners) < 3 or 0 in corners:
                raise DataError(f"{path} line {number}: a face needs three or more vertices counted from 1, got {line.strip()!r}")
            indices = [corner - 1 if corner > 0 else len(points) + corner for corner in corners]
            triangles.extend((indices[0], second, third) for second, third in pairwise(indices[1:]))
    return np.array(points, dtype=np.float64).reshape(-1, 3), np.array(triangles, dtype=np.int64).reshape(-1, 3)


def _ply_bytes(points: Float, triangles: Int, shade: NDArray[np.float64] | None) -> bytes:
    mesh = trimesh.Trimesh(vertices=points, faces=triangles, process=False, validate=False)
    if shade is not None:
        mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=np.round(shade * 255).astype(np.uint8))
    content: bytes = export_ply(mesh, vertex_normal=False, include_attributes=False)
    return content


def _obj_bytes(points: Float, triangles: Int, shade: NDArray[np.float64] | None) -> bytes:
    rows = points.astype(np.float64) if shade is None else np.concatenate([points, shade], axis=1)
    # Nine digits carry a float32 unchanged.
    lines = ["v " + " ".join(f"{value:.9g}" for value in row) for row in rows.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in triangles.tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")
