"""Five levels of one face, from fine to coarse, and the ways between them.

Down: a coarse level keeps a subset of the finer level's vertices. Up: each finer vertex is a barycentric mixture of the three
corners of one coarse face (Ranjan et al. 2018). The face is looked for only round the coarse vertex that the finer one collapsed
into, and must look the same way: by distance alone, closed lips would mix upper and lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emovoca_cli.arrays import Npz
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.files import atomic_write
from emovoca_cli.mesh.decimate import Decimation, decimate
from emovoca_cli.mesh.landmarks import NOSE_TIP
from emovoca_cli.mesh.spirals import nearest_references, spirals
from emovoca_cli.mesh.surface import closest_weights, first_best
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, adjacency, check_manifold, components, face_normals, vertex_normals
from emovoca_cli.types import Float, Int, MeshTemplate

SCHEMA = 2
"""2: levels may hold a vertex at zero. Hierarchies without one are still written as 1."""
RINGS = (2, 2, 1, 1, 1)
"""Rings of a spiral, finest level first; levels beyond take the last. The release's values, dilation too."""
DILATION = (2, 2, 1, 1, 1)
SAME_SIDE = 0.1
"""A vertex takes from a face only if the cosine of their normals exceeds this, or all such faces are far away."""


@dataclass(frozen=True, eq=False)
class Level:
    """One resolution: vertices (V,3) metres, faces (F,3), spirals (V,L) with -1 for nothing.

    held: a vertex whose features are set to zero after every convolution at this level, or -1. The authors' release has such
    dummy vertices; hierarchies built here have none.
    """

    vertices: Float
    faces: Int
    spirals: Int
    held: int = -1


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Levels, finest first, and the steps between level i and i+1.

    down[i] (V_{i+1},): which vertices of level i level i+1 keeps. up[i]: indices (V_i,3) into level i+1 and weights (V_i,3) that
    sum to one.
    """

    levels: tuple[Level, ...]
    down: tuple[Int, ...]
    up: tuple[tuple[Int, Float], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Vertex counts, finest first."""
        return tuple(len(level.vertices) for level in self.levels)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as named arrays, the content of a hierarchy file."""
        held = any(level.held >= 0 for level in self.levels)
        named: dict[str, NDArray[np.generic]] = {
            "schema": np.array(SCHEMA if held else 1),
            "levels": np.array(len(self.levels)),
        }
        for index, level in enumerate(self.levels):
            named |= {f"vertices{index}": level.vertices, f"faces{index}": level.faces, f"spirals{index}": level.spirals}
            if level.held >= 0:
                named[f"held{index}"] = np.array(level.held)
        for index, (kept, (indices, weights)) in enumerate(zip(self.down, self.up, strict=True)):
            named |= {f"down{index}": kept, f"up_indices{index}": indices, f"up_weights{index}": weights}
        return named

    def save(self, path: Path) -> None:
        """Write one .npz without pickles, whole or not at all. Raises OutputError."""
        with atomic_write(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Hierarchy:
        """Read a hierarchy. Raises UsageError for a missing file, DataError for one that is not a whole hierarchy."""
        if not path.is_file():
            raise UsageError(f"{path} does not exist; a checkpoint keeps its hierarchy in hierarchy.npz")
        try:
            with Npz(path, "an emovoca hierarchy") as data:
                if int(data["schema"]) > SCHEMA:
                    raise DataError(
                        f"{path} has hierarchy schema {int(data['schema'])}, this version reads up to {SCHEMA}; update emovoca"
                    )
                count = int(data["levels"])
                found = cls(
                    levels=tuple(
                        Level(
                            data[f"vertices{index}"],
                            data[f"faces{index}"],
                            data[f"spirals{index}"],
                            int(data[f"held{index}"]) if f"held{index}" in data else -1,
                        )
                        for index in range(count)
                    ),
                    down=tuple(data[f"down{index}"] for index in range(count - 1)),
                    up=tuple((data[f"up_indices{index}"], data[f"up_weights{index}"]) for index in range(count - 1)),
                )
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not an emovoca hierarchy ({error})") from error
        found._check(path)
        return found

    def _check(self, path: Path) -> None:
        sizes = self.sizes
        for index, level in enumerate(self.levels):
            if (
                len(level.spirals) != sizes[index]
                or level.spirals.max(initial=0) >= sizes[index]
                or level.spirals.min(initial=0) < -1
                or not -1 <= level.held < sizes[index]
            ):
                raise DataError(f"{path} has spirals on level {index} that do not fit its {sizes[index]} vertices")
        for index, (kept, (indices, weights)) in enumerate(zip(self.down, self.up, strict=True)):
            fits = kept.shape == (sizes[index + 1],) and indices.shape == weights.shape == (sizes[index], 3)
            if not fits or kept.max(initial=0) >= sizes[index] or indices.max(initial=0) >= sizes[index + 1]:
                raise DataError(
                    f"{path} has a step from level {index} that does not fit {sizes[index]} and {sizes[index + 1]} vertices"
                )


def build_hierarchy(template: MeshTemplate, *, levels: int = 4, factor: int = 4) -> Hierarchy:
    """Decimate a template `levels` times by `factor` and order every level in spirals towards the tip of the nose.

    FLAME's 5,023 vertices become 1,256, 314, 79 and 20. Raises TopologyError for a mesh that is not manifold, UsageError for a
    factor below 2.
    """
    check_manifold(template.faces, len(template.vertices))
    corners = template.faces[template.landmark_faces[NOSE_TIP]]
    tip = template.landmark_weights[NOSE_TIP] @ template.vertices[corners]
    start = int(corners[np.argmin(np.linalg.norm(template.vertices[corners] - tip, axis=1))])
    return hierarchy_of(template.vertices, template.faces, start, levels=levels, factor=factor)


def hierarchy_of(vertices: AnyFloat, faces: AnyInt, reference: int, *, levels: int = 4, factor: int = 4) -> Hierarchy:
    """The same for vertices (V,3) metres, faces (F,3) of any manifold and a reference vertex for its spirals."""
    if levels < 0 or factor < 2:
        raise UsageError(f"a hierarchy needs levels of at least 0 and a factor of at least 2, got {levels} and {factor}")
    points = np.asarray(vertices, dtype=np.float32)
    triangles = np.asarray(faces, dtype=np.int32)
    labels = components(triangles, len(points))
    # Spirals start towards the reference and, in every other component, towards the vertex nearest to it.
    wanted = np.concatenate([labels[[reference]], np.setdiff1d(labels, labels[reference])])
    nearest = nearest_references(points, np.repeat(points[reference][None], len(wanted), axis=0), labels, wanted)
    origins = points[nearest]
    down: list[Int] = []
    up: list[tuple[Int, Float]] = []
    built: list[Level] = []
    for index in range(levels + 1):
        if built:
            step = decimate(points, triangles, -(-len(points) // factor))
            down.append(step.kept)
            up.append(_up(built[-1], step))
            points, triangles, labels = points[step.kept], step.faces, labels[step.kept]
        towards = nearest_references(points, origins, labels, wanted)
        rings, dilation = RINGS[min(index, len(RINGS) - 1)], DILATION[min(index, len(DILATION) - 1)]
        built.append(Level(points, triangles, spirals(points, triangles, towards, rings=rings, dilation=dilation)))
    return Hierarchy(levels=tuple(built), down=tuple(down), up=tuple(up))


def _up(finer: Level, step: Decimation) -> tuple[Int, Float]:
    """Indices and weights (V,3) that put the finer level's vertices on the coarse faces round their clusters."""
    count = len(finer.vertices)
    points = finer.vertices.astype(np.float64)
    coarse = points[step.kept]
    indices = np.repeat(step.cluster[:, None], 3, axis=1)
    weights = np.repeat(np.array([[1.0, 0.0, 0.0]]), count, axis=0)
    merged = np.setdiff1d(np.arange(count), step.kept)
    if len(merged) == 0:
        return indices, weights.astype(np.float32)
    owner, face = _faces_nearby(step, step.cluster[merged])
    towards = face_normals(coarse, step.faces)
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-300)
    cosine = np.einsum("nd,nd->n", vertex_normals(points, finer.faces)[merged][owner], towards[face])
    share, distance = closest_weights(points[merged][owner], coarse[step.faces[face]])
    # A face that looks elsewhere (the other lip) is taken only where all others are a coarse edge farther away.
    corners = coarse[step.faces]
    penalty = float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).mean())
    pick = first_best(owner, np.where(cosine > SAME_SIDE, distance, distance + penalty), len(merged))
    indices[merged] = step.faces[face[pick]]
    weights[merged] = share[pick]
    return indices, weights.astype(np.float32)


def _faces_nearby(step: Decimation, clusters: AnyInt) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (row of `clusters`, coarse face) of the faces that touch a cluster's vertex or one of its neighbours, by row."""
    count = len(step.kept)
    near = adjacency(step.faces, count) + sparse.identity(count, format="csr")
    touching = sparse.csr_matrix(
        (np.ones(step.faces.size), (step.faces.reshape(-1), np.repeat(np.arange(len(step.faces)), 3))),
        shape=(count, len(step.faces)),
    )
    pairs = (near @ touching)[clusters].tocoo()
    order = np.lexsort((pairs.col, pairs.row))
    return pairs.row[order].astype(np.int64), pairs.col[order].astype(np.int64)
