"""Soft shadows: how much of the sky and of the key light each vertex sees, by ray casting against the posed mesh."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from emovoca_cli.render.camera import Camera
from emovoca_cli.render.lighting import Lights, unit
from emovoca_cli.render.surface import Geometry, Posed
from emovoca_cli.types import Bool, Float

SKY_RAYS = 32
"""Directions over the whole sphere; about half of them lie above any one vertex."""

KEY_RAYS = 8
"""Directions within the key light's disc."""

MARGIN = 1
"""Edges from a vertex that faces the camera within which shadows are worked out."""

TURNED_AWAY = 0.35
"""Visibility of the vertices that are not asked for."""

SMOOTHING = 2
"""Rounds of averaging with the neighbours, which take the grain of so few rays away."""

_REACH = 0.45
_BIAS = 0.0022


def embree_scene(geometry: Geometry, vertices: Float) -> Any:
    """A committed embree scene of the pose (V,3). Raises ImportError where embreex is not installed."""
    from embreex import mesh_construction, rtcore_scene

    scene = rtcore_scene.EmbreeScene(_device())
    # Objects, not floats: the binding reads the coordinates one by one from Python.
    mesh_construction.TriangleMesh(scene, vertices.astype(object), geometry.face_tuples)
    return scene


def pose(geometry: Geometry, vertices: Float, camera: Camera, lights: Lights, *, shadows: bool = True) -> Posed:
    """The geometry in a pose (V,3) with its normals and, with `shadows`, its soft shadows. Safe to call from several threads.

    Without embreex there are no shadows. Only vertices that face the camera are asked for.
    """
    vertices = np.ascontiguousarray(vertices, np.float32)
    normals = geometry.normals(vertices)
    ones = np.ones(geometry.count, np.float32)
    try:
        scene = embree_scene(geometry, vertices)
    except ImportError:
        return Posed(geometry, vertices, normals, ones, ones)
    if not shadows:
        return Posed(geometry, vertices, normals, ones, ones, scene)
    seen = _facing(geometry, vertices, normals, camera)
    size = float(np.linalg.norm(vertices.max(axis=0) - vertices.min(axis=0)))
    origins = vertices[seen] + normals[seen] * np.float32(_BIAS * size)
    sky = _sky_visibility(scene, origins, normals[seen], np.float32(_REACH * size))
    key = _key_visibility(
        scene, origins, normals[seen], sky, disc=_disc(camera.rotation @ unit(lights.key.direction), lights.key.spread, KEY_RAYS)
    )
    ambient, shadow = ones * np.float32(TURNED_AWAY), ones * np.float32(TURNED_AWAY)
    ambient[seen], shadow[seen] = sky, key
    both = _smooth(geometry, np.stack([ambient, shadow], axis=1), seen)
    both = np.clip(both, 0.0, 1.0) ** (1 - geometry.translucence[:, None])
    return Posed(geometry, vertices, normals, np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1]), scene)


def _facing(geometry: Geometry, vertices: Float, normals: Float, camera: Camera) -> Bool:
    """Vertices (V,) that may matter to the picture: not turned away by more than the bend of a coarse face, and those around."""
    towards = camera.eye - vertices
    distance = np.sqrt(np.einsum("ij,ij->i", towards, towards))
    facing = (np.einsum("ij,ij->i", normals, towards) > -0.2 * distance).astype(np.float32)
    for _ in range(MARGIN):
        facing = np.minimum(facing + geometry.graph @ facing, 1.0)
    return np.asarray(facing > 0)


def _sky_visibility(scene: Any, origins: Float, normals: Float, reach: np.float32) -> Float:
    """Cosine-weighted share (N,) of the hemisphere over each point that is free within `reach` metres."""
    directions = _sphere(SKY_RAYS)
    cosines = normals @ directions.T
    vertex, ray = np.nonzero(cosines > 0.05)
    blocked = scene.run(origins[vertex], directions[ray], dists=np.full(len(vertex), reach, np.float32), query="OCCLUDED") == 0
    weight = cosines[vertex, ray]
    total = np.bincount(vertex, weight, len(origins))
    free = np.bincount(vertex, np.where(blocked, 0.0, weight), len(origins))
    return np.asarray(free / np.maximum(total, 1e-9), np.float32)


def _key_visibility(scene: Any, origins: Float, normals: Float, sky: Float, *, disc: Float) -> Float:
    """Share (N,) of the key light's disc, given as directions (D,3), that each point sees.

    At grazing angles a coarse mesh shadows itself in facets, so there the shadow gives way to a shade made from the sky.
    """
    cosine = normals @ disc.mean(axis=0)
    lit = np.flatnonzero(cosine > -0.12)
    vertex = np.repeat(lit, len(disc))
    tiled = np.tile(disc, (len(lit), 1))
    blocked = scene.run(origins[vertex], tiled, query="OCCLUDED") == 0 if len(vertex) else np.zeros(0, bool)
    shadow = np.clip(sky * 2.0, 0.0, 1.0)
    blend = np.clip((cosine[lit] + 0.12) / 0.37, 0.0, 1.0)
    blend = blend * blend * (3 - 2 * blend)
    free = 1.0 - blocked.reshape(len(lit), len(disc)).mean(axis=1)
    shadow[lit] = shadow[lit] * (1 - blend) + free * blend
    return np.asarray(shadow, np.float32)


def _smooth(geometry: Geometry, values: Float, known: Bool) -> Float:
    """Average with the known neighbours, SMOOTHING times; unknown vertices stay as they are."""
    weight = known.astype(np.float32)
    degree = np.maximum(geometry.graph @ weight, 1e-9)[:, None]
    for _ in range(SMOOTHING):
        around = (geometry.graph @ (values * weight[:, None])) / degree
        values = np.where(known[:, None] & (degree > 0.5), 0.5 * values + 0.5 * around, values)
    return np.asarray(values, np.float32)


def _sphere(count: int) -> Float:
    """Directions (count,3) spread evenly over the sphere (Fibonacci's spiral)."""
    step = np.arange(count) + 0.5
    z = 1 - 2 * step / count
    turn = math.pi * (1 + math.sqrt(5)) * step
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1).astype(np.float32)


def _disc(direction: Float, spread: float, count: int) -> Float:
    """Directions (count,3) spread evenly over a disc of half angle `spread` degrees around `direction`."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    along = np.cross(direction, across)
    step = np.arange(count) + 0.5
    radius = np.tan(math.radians(spread)) * np.sqrt(step / count)
    turn = math.pi * (1 + math.sqrt(5)) * step
    rays = direction + radius[:, None] * (np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * along)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True), np.float32)


_DEVICES: list[Any] = []


def _device() -> Any:
    """The process's one embree device."""
    if not _DEVICES:
        from embreex import rtcore

        _DEVICES.append(rtcore.EmbreeDevice())
    return _DEVICES[0]
