"""Small faces and clips for the rendering tests."""

from __future__ import annotations

import numpy as np
import pytest

from emovoca_cli.render.backends import Backend, pick_backend, probe
from emovoca_cli.render.surface import SKIN, Geometry, Material, Surface
from emovoca_cli.types import Clip, Float, Int, MeshTemplate, Part

MATT = Material(scatter=0.0, gloss=0.0, sharpness=8.0)


def ball(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0), rows: int = 24) -> tuple[Float, Int]:
    """A closed sphere with outward faces."""
    columns = 2 * rows
    polar = np.linspace(0.02, np.pi - 0.02, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    points = np.stack([np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around, np.sin(polar) * np.cos(around)], -1).reshape(
        -1, 3
    )
    index = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(index, -1, axis=1)
    faces = np.concatenate(
        [
            np.stack([index[:-1], index[1:], right[:-1]], -1).reshape(-1, 3),
            np.stack([right[:-1], index[1:], right[1:]], -1).reshape(-1, 3),
            np.stack([index[0, 1:-1], index[0, 2:], np.zeros(columns - 2, int) + index[0, 0]], -1),
            np.stack([index[-1, 2:], index[-1, 1:-1], np.zeros(columns - 2, int) + index[-1, 0]], -1),
        ]
    )
    return (points * radius + np.array(centre)).astype(np.float32), faces.astype(np.int32)


def colored(vertices: Float, faces: Int, color: tuple[float, float, float] = (0.8, 0.6, 0.5), material: Material = SKIN) -> Surface:
    return Surface(vertices, faces, np.tile(np.array(color, np.float32), (len(vertices), 1)), material)


def geometry(*surfaces: Surface) -> Geometry:
    return Geometry(surfaces)


def face_template(parts: tuple[Part, ...] = ()) -> MeshTemplate:
    """A head-sized ball without landmarks."""
    vertices, faces = ball(0.11)
    return MeshTemplate("ball", vertices, faces, np.zeros(0, np.int32), np.zeros((0, 3), np.float32), parts=parts)


def clip_of(template: MeshTemplate, frames: int = 6, fps: float = 30.0, sway: float = 0.01) -> Clip:
    """The template swaying sideways by `sway` metres."""
    offset = np.zeros((frames, 1, 3), np.float32)
    offset[:, 0, 0] = sway * np.arange(frames) / max(frames - 1, 1)
    return Clip(
        vertices=template.vertices + offset,
        faces=template.faces,
        template=template.vertices,
        landmarks=np.zeros((frames, 68, 3), np.float32),
        fps=fps,
        emotion_names=(),
        emotion=np.zeros((frames, 0), np.float32),
        intensity=np.zeros(frames, np.float32),
        provenance={},
    )


def backend_or_skip(name: str) -> Backend:
    """That backend, or a skip with the reason why it does not work here."""
    for result in probe():
        if result.name == name and not result.works:
            pytest.skip(f"{name} does not work here: {result.reason}")
    return pick_backend(name)
