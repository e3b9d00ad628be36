"""Meshes with known answers, and the real ones of the sample data."""

from __future__ import annotations

import json

import numpy as np
import trimesh

from emovoca_cli.cli.faces import builtin_template
from emovoca_cli.data.restricted import load_npy, load_pickle
from emovoca_cli.mesh.io import read_mesh
from emovoca_cli.mesh.landmarks import landmark_points, nearest_surface
from emovoca_cli.types import Float, Int, MeshTemplate
from tests.helpers import shared_data


def grid(columns: int, rows: int, step: float = 0.01) -> tuple[Float, Int]:
    """A flat sheet in the x-y plane facing +z: vertices (columns*rows,3), row after row from the bottom."""
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1) * step
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + columns + 1], axis=1)
    upper = np.stack([corner, corner + columns + 1, corner + columns], axis=1)
    return vertices.astype(np.float32), np.concatenate([lower, upper]).astype(np.int32)


def sphere(subdivisions: int = 3, radius: float = 1.0) -> tuple[Float, Int]:
    """An icosphere round the origin."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return np.asarray(ball.vertices, dtype=np.float32), np.asarray(ball.faces, dtype=np.int32)


def template_of(vertices: Float, faces: Int, landmarks: Float, name: str = "test") -> MeshTemplate:
    found, weights = nearest_surface(landmarks, vertices, faces)
    return MeshTemplate(name=name, vertices=vertices, faces=faces, landmark_faces=found, landmark_weights=weights)


def flame() -> MeshTemplate:
    """The FLAME template with its 68 landmarks, or a skip."""
    folder = shared_data() / "emovoca_release" / "template"
    vertices, faces = read_mesh(folder / "FLAME_sample.ply")
    static = load_pickle(folder / "flame_static_embedding.pkl")
    dynamic = load_npy(folder / "flame_dynamic_embedding.npy")[()]
    return MeshTemplate(
        name="flame",
        vertices=vertices,
        faces=faces,
        landmark_faces=np.concatenate([dynamic["lmk_face_idx"][0], static["lmk_face_idx"]]).astype(np.int32),
        landmark_weights=np.concatenate([dynamic["lmk_b_coords"][0], static["lmk_b_coords"]]).astype(np.float32),
    )


def ict_face() -> MeshTemplate:
    """The face skin of ICT-FaceKit light in metres: 9,409 vertices, lips closed, mouth and eyes open holes; or a skip."""
    folder = shared_data() / "ict_facekit"
    with np.load(folder / "ict_facekit.npz") as data:
        vertices = (data["neutral"][:9409] / 100).astype(np.float32)
        polygons = data["polygons"]
    polygons = polygons[(polygons < 9409).all(axis=1)]
    faces = np.concatenate([polygons[:, :3], polygons[polygons[:, 3] >= 0][:, [0, 2, 3]]]).astype(np.int32)
    marks = json.loads((folder / "vertex_indices.json").read_text())["idx_to_landmark_verts"]
    return template_of(vertices, faces, vertices[np.asarray(marks)], "ict")


def stranger(seed: int = 3) -> tuple[Float, Int, Float, Int]:
    """The built-in head with its vertices in another order, a topology nobody knows.

    Vertices (V,3), faces (F,3), its 68 landmarks as points (68,3), and which vertex of the head each one is (V,).
    """
    head = builtin_template()
    order = np.random.default_rng(seed).permutation(len(head.vertices)).astype(np.int32)
    place = np.argsort(order).astype(np.int32)
    points = landmark_points(head.vertices, head.faces, head.landmark_faces, head.landmark_weights)
    return head.vertices[order], place[head.faces], points, order
