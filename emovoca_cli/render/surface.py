"""What is drawn: coloured triangle meshes with a material, joined into one geometry that is posed frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from emovoca_cli.errors import DataError, TopologyError
from emovoca_cli.types import Float, Int


@dataclass(frozen=True)
class Material:
    """How a surface answers light.

    scatter 0-1: light that travels under the surface, softens shadows and tints them red; gloss: strength of the highlight
    (1 = skin or water); sharpness: Phong exponent of the sharper of its two lobes; translucence 0-1: how far light that comes
    through the material itself lifts its shadows.
    """

    scatter: float
    gloss: float
    sharpness: float
    translucence: float = 0.0


SKIN = Material(scatter=1.0, gloss=1.6, sharpness=36.0)
EYE = Material(scatter=0.35, gloss=1.9, sharpness=600.0)
TEETH = Material(scatter=0.5, gloss=2.0, sharpness=160.0, translucence=0.55)
WET = Material(scatter=0.9, gloss=1.5, sharpness=90.0, translucence=0.2)


@dataclass(frozen=True, eq=False)
class Surface:
    """One mesh: vertices (V,3) metres, faces (F,3), colors (V,3) sRGB 0-1, material, gloss (V,) multiplies the material's."""

    vertices: Float
    faces: Int
    colors: Float
    material: Material = SKIN
    gloss: Float | None = None


def srgb_to_linear(color: Float) -> Float:
    """Linear light of sRGB values in 0-1, any shape."""
    color = np.clip(np.asarray(color, np.float32), 0.0, 1.0)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(light: Float) -> Float:
    """SRGB values in 0-1 of linear light in 0-1, any shape."""
    light = np.clip(np.asarray(light, np.float32), 0.0, 1.0)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


class Geometry:
    """Several surfaces as one mesh with everything that does not change from frame to frame.

    faces (F,3), colors (V,3) linear, materials (V,3) = scatter, gloss, sharpness, translucence (V,), graph (V,V) of
    neighbours.
    Faces that wind inwards are turned round, so that a normal always points out. Raises TopologyError for indices out of range.
    """

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        if not surfaces or not any(len(surface.faces) for surface in surfaces):
            raise DataError("nothing to draw: no surface has a face; give a mesh with faces")
        faces, offset = [], 0
        for surface in surfaces:
            count = len(surface.vertices)
            if len(surface.faces) and (int(surface.faces.min()) < 0 or int(surface.faces.max()) >= count):
                raise TopologyError(f"faces point at vertex {int(surface.faces.max())}, the mesh has {count}; use its own faces")
            if surface.colors.shape != (count, 3):
                raise DataError(f"colors have shape {surface.colors.shape}, expected ({count}, 3)")
            faces.append(_outwards(np.asarray(surface.vertices, np.float64), np.asarray(surface.faces, np.int64)) + offset)
            offset += count
        self.count = offset
        self.parts = tuple(len(surface.vertices) for surface in surfaces)
        self.faces: Int = np.concatenate(faces).astype(np.int32)
        self.colors = srgb_to_linear(np.concatenate([surface.colors for surface in surfaces]))
        self.materials: Float = np.concatenate([_material_rows(surface) for surface in surfaces])
        self.translucence: Float = np.repeat(
            np.array([surface.material.translucence for surface in surfaces], np.float32),
            [len(surface.vertices) for surface in surfaces],
        )
        self.rest: Float = np.concatenate([np.asarray(surface.vertices, np.float32) for surface in surfaces])
        corners = self.faces.ravel()
        ones = np.ones(len(corners), np.float32)
        triangles = np.repeat(np.arange(len(self.faces)), 3)
        self._incidence: Any = csr_matrix((ones, (corners, triangles)), shape=(self.count, len(self.faces)))
        pairs = np.concatenate([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        graph: Any = csr_matrix((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), shape=(self.count, self.count))
        graph = graph + graph.T
        graph.data[:] = 1.0
        self.graph: Any = graph.tocsr()
        # Embree's binding indexes `faces[i][j]` from Python: tuples make that several times faster than array rows.
        self.face_tuples = np.empty(len(self.faces), object)
        self.face_tuples[:] = [tuple(row) for row in self.faces.tolist()]

    def normals(self, vertices: Float) -> Float:
        """Unit vertex normals (V,3) of a pose (V,3), weighted by the area of the faces around."""
        a, b, c = (vertices[self.faces[:, i]] for i in range(3))
        normals = self._incidence @ np.cross(b - a, c - a)
        length = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        return np.asarray(normals / np.maximum(length, 1e-20)[:, None], np.float32)


@dataclass(frozen=True, eq=False)
class Posed:
    """A geometry in one pose: vertices and normals (V,3), ambient and key visibility (V,) in 0-1 (1 = nothing in the
    way), and the embree scene where embree is installed.
    """

    geometry: Geometry
    vertices: Float
    normals: Float
    ambient: Float
    key: Float
    scene: Any = None


def _material_rows(surface: Surface) -> Float:
    rows = np.empty((len(surface.vertices), 3), np.float32)
    rows[:] = (surface.material.scatter, surface.material.gloss, surface.material.sharpness)
    if surface.gloss is not None:
        rows[:, 1] *= surface.gloss
    return rows


def _outwards(vertices: Any, faces: Any) -> Any:
    """Faces with their winding turned round when the mesh is clearly inside out (its signed volume is negative)."""
    if len(faces) == 0:
        return faces
    a, b, c = (vertices[faces[:, i]] - vertices.mean(axis=0) for i in range(3))
    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    return faces[:, ::-1] if float(np.einsum("ij,ij->", a, np.cross(b, c))) < -1e-3 * size**3 else faces
