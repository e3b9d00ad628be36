"""The mesh side of the authors' release: its hierarchy, and FLAME's faces and landmarks, from the files that users have.

The released networks have one dummy vertex more than the mesh, which spirals point to where there is nothing and whose features
are set to zero after each convolution. DE-SD was trained without it on the finest level: there, "nothing" is the last vertex of
the face itself, and the step to and from the next level is off by one vertex. Weights only fit what they were trained with, so
both are reproduced here as levels with a held vertex (`mesh.hierarchy.Level`).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.data.restricted import load_npy, load_pickle
from emovoca_cli.errors import DataError, TopologyError, UsageError
from emovoca_cli.mesh.hierarchy import DILATION, RINGS, Hierarchy, Level
from emovoca_cli.mesh.io import read_mesh
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.mesh.regions import regions
from emovoca_cli.mesh.spirals import GAP, nearest_references, spirals
from emovoca_cli.types import Float, Int, MeshTemplate

REFERENCES = (3567, 4051, 4597)
"""Vertices of FLAME that the released spirals start towards: one on the skin, one on each eyeball."""

KEYS = ("M_verts_faces", "D", "U")
LARGEST_FILE = 256 << 20
"""Bytes of the largest hierarchy or embedding that is read; the released ones have about 1 MB."""

JAW = 17
"""Landmarks of the jaw line, which come from the dynamic embedding; the other 51 are static."""


def load_release_hierarchy(path: Path) -> Hierarchy:
    """The plain hierarchy of `downsampling_matrices.pkl`, spirals as the release makes them, without dummy vertices.

    Raises UsageError for a missing file, DataError for one that is something else.
    """
    content = _small(load_pickle, path)
    missing = [key for key in KEYS if not isinstance(content, dict) or key not in content]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; expected the release's downsampling_matrices.pkl")
    try:
        meshes = [
            (np.array(v, np.float64).reshape(-1, 3), np.array(f, np.int32).reshape(-1, 3)) for v, f in content["M_verts_faces"]
        ]
        down = [_kept(matrix) for matrix in content["D"]]
        up = [_taps(matrix) for matrix in content["U"]]
        sizes = [len(points) for points, _ in meshes]
        fits = len(sizes) >= 2 and len(down) == len(up) == len(sizes) - 1
        for (finer, coarser), kept, (indices, _) in zip(pairwise(sizes), down, up, strict=False):
            fits = fits and kept.shape == (coarser,) and indices.shape == (finer, 3)
            fits = fits and bool(kept.max() < finer) and bool(indices.max() < coarser)
        for points, faces in meshes:
            fits = fits and bool(faces.min() >= 0 and faces.max() < len(points)) and bool(np.isfinite(points).all())
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{path} does not hold meshes and sparse matrices ({error}); expected downsampling_matrices.pkl") from error
    if not fits or sizes[0] <= max(REFERENCES):
        raise DataError(f"{path} holds levels of {sizes} vertices whose matrices do not fit; expected the release's file for FLAME")
    origins = meshes[0][0][list(REFERENCES)]
    levels = []
    # In double precision as in the file: rounding would change which of two nearly equal paths is the shorter.
    for place, (points, faces) in enumerate(meshes):
        towards = nearest_references(points, origins)
        rings, dilation = RINGS[min(place, len(RINGS) - 1)], DILATION[min(place, len(DILATION) - 1)]
        levels.append(Level(points.astype(np.float32), faces, spirals(points, faces, towards, rings=rings, dilation=dilation)))
    return Hierarchy(tuple(levels), tuple(down), tuple(up))


def with_dummies(plain: Hierarchy, *, finest: bool) -> Hierarchy:
    """The hierarchy that a released network was trained on.

    Every level but the finest gets the dummy vertex as its last, held at zero; "nothing" in a spiral becomes that vertex, because
    the decoder's first matrix gives it features. finest: DE-SD's way on the finest level (see the module's text); False: S2D's,
    where "nothing" there always reads zeros.
    """
    levels = [plain.levels[0], *(_with_dummy(level) for level in plain.levels[1:])]
    counts = [len(level.vertices) for level in plain.levels]
    down, up = [], []
    for step, (kept, (indices, weights)) in enumerate(zip(plain.down, plain.up, strict=True)):
        down.append(np.append(kept, counts[step]).astype(np.int32))
        dummy = np.full((1, 3), counts[step + 1], dtype=np.int32)
        up.append(
            (np.concatenate([indices, dummy]), np.concatenate([weights, np.array([[1, 0, 0]], dtype=np.float32)])),
        )
    if finest:
        last = counts[0] - 1
        table = plain.levels[0].spirals
        levels[0] = replace(plain.levels[0], spirals=np.where(table == GAP, last, table).astype(np.int32), held=last)
        # A coarse vertex that would keep vertex -1 reads zeros, which is what the held one has.
        shifted = down[0] - 1
        down[0] = np.where(shifted < 0, last, shifted).astype(np.int32)
        up[0] = (up[0][0][1:], up[0][1][1:])
    else:
        # Without a dummy on the finest level; nothing is pooled from it by a decoder, the kept vertices stay for the record.
        down[0] = np.append(plain.down[0], plain.down[0][-1]).astype(np.int32)
        up[0] = (up[0][0][:-1], up[0][1][:-1])
    return Hierarchy(tuple(levels), tuple(down), tuple(up))


def _with_dummy(level: Level) -> Level:
    count = len(level.vertices)
    table = np.where(level.spirals == GAP, count, level.spirals)
    table = np.concatenate([table, np.full((1, table.shape[1]), count)]).astype(np.int32)
    return Level(np.concatenate([level.vertices, np.zeros((1, 3), np.float32)]), level.faces, table, held=count)


def _kept(matrix: Any) -> Int:
    """Which finer vertex each coarse one is: the single one of each row of D."""
    rows = sparse.csr_matrix(matrix)
    if (np.diff(rows.indptr) != 1).any() or (rows.data != 1).any():
        raise ValueError("a row of D is not a single one")
    return np.asarray(rows.indices, dtype=np.int32)


def _taps(matrix: Any) -> tuple[Int, Float]:
    """Indices and weights (V,3) of U, at most three a row."""
    rows = sparse.csr_matrix(matrix)
    counts = np.diff(rows.indptr)
    if counts.max(initial=0) > 3:
        raise ValueError("a row of U has more than three numbers")
    indices, weights = np.zeros((rows.shape[0], 3), dtype=np.int32), np.zeros((rows.shape[0], 3), dtype=np.float32)
    row = np.repeat(np.arange(rows.shape[0]), counts)
    place = np.arange(len(row)) - np.repeat(rows.indptr[:-1], counts)
    indices[row, place], weights[row, place] = rows.indices, rows.data
    return indices, weights


def flame_landmarks(static: Path, dynamic: Path, face_count: int) -> tuple[Int, Float]:
    """Faces (68,) and barycentric weights (68,3) of `flame_static_embedding.pkl` and `flame_dynamic_embedding.npy`.

    The jaw line is that of the frontal pose. Raises UsageError for a missing file, DataError for one that is something else or
    belongs to a mesh of fewer faces.
    """
    still, moving = _small(load_pickle, static), _small(load_npy, dynamic)
    try:
        moving = moving[()] if isinstance(moving, np.ndarray) and moving.shape == () else moving
        faces = np.concatenate([np.asarray(moving["lmk_face_idx"][0]).ravel(), np.asarray(still["lmk_face_idx"]).ravel()])
        weights = np.concatenate([np.asarray(moving["lmk_b_coords"][0]), np.asarray(still["lmk_b_coords"])])
        faces, weights = faces.astype(np.int32), weights.astype(np.float32)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"{static} and {dynamic} are not FLAME's landmark embeddings ({error!r})") from error
    if faces.shape != (LANDMARKS,) or weights.shape != (LANDMARKS, 3) or not np.allclose(weights.sum(axis=1), 1, atol=1e-3):
        raise DataError(
            f"{static} and {dynamic} give {len(faces)} landmarks, expected {LANDMARKS}: {JAW} of the jaw and the others static"
        )
    if faces.min() < 0 or faces.max() >= face_count:
        raise DataError(f"{static} and {dynamic} name face {int(faces.max())}, the mesh has {face_count}; is it FLAME's?")
    return faces, weights


def release_template(finest: Level, vertices: Float, landmarks: tuple[Int, Float], *, name: str = "flame") -> MeshTemplate:
    """A face at rest (V,3) of the finest level's topology, with landmarks (68,) + (68,3) and the regions found from them."""
    points = landmark_points(vertices, finest.faces, *landmarks)
    masks = MappingProxyType(regions(vertices, finest.faces, points))
    return MeshTemplate(name, vertices.astype(np.float32), finest.faces, landmarks[0], landmarks[1], masks)


def flame_vertices(mesh: Path, finest: Level) -> Float:
    """Vertices (V,3) of a mesh file that has the finest level's topology. Raises TopologyError when it has another."""
    vertices, faces = read_mesh(mesh)
    if vertices.shape != finest.vertices.shape or not np.array_equal(faces, finest.faces):
        raise TopologyError(
            f"{mesh} has {len(vertices)} vertices and {len(faces)} faces or another order of them, expected FLAME's "
            f"{len(finest.vertices)} and {len(finest.faces)} as in the hierarchy; export it with its vertex order kept"
        )
    return vertices


def _small(reader: Any, path: Path) -> Any:
    if path.is_file() and path.stat().st_size > LARGEST_FILE:
        raise DataError(f"{path} has {path.stat().st_size >> 20} MB, at most {LARGEST_FILE >> 20} are read; is it the right file?")
    if not path.exists():
        raise UsageError(f"{path} does not exist")
    content: NDArray[Any] | dict[str, Any] = reader(path)
    return content
