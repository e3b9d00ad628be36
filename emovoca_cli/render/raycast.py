"""The ray casting backend: embree on the processor, no OpenGL, the same picture everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from emovoca_cli.errors import DeviceError
from emovoca_cli.render.camera import Camera
from emovoca_cli.render.lighting import Lights, background
from emovoca_cli.render.occlusion import pose
from emovoca_cli.render.shading import BACKFACE, encode, shade
from emovoca_cli.render.surface import Geometry, Posed
from emovoca_cli.types import Bool, Float, Int

Picture = NDArray[np.uint8]

_BLOCK = 16384
_EDGE_LEVELS = 14
_SUBPIXELS = np.array([(-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375)], np.float32)


class RaycastBackend:
    """One ray a pixel, four more where neighbours differ: outlines, the parting of the lips, the rim of an iris."""

    name = "embreex"

    def __init__(self) -> None:
        try:
            import embreex  # noqa: F401
        except ImportError as error:
            raise DeviceError(
                f"the embreex backend is not installed ({error}); pip install embreex, or use --backend pyrender"
            ) from error
        self._backdrop: dict[tuple[Lights, tuple[int, int]], Float] = {}

    def render(self, geometry: Geometry, vertices: Float, camera: Camera, lights: Lights, size: tuple[int, int]) -> Picture:
        """Picture (H,W,3) of the geometry posed as `vertices` (V,3)."""
        return self.draw(pose(geometry, vertices, camera, lights), camera, lights, size)

    def draw(self, posed: Posed, camera: Camera, lights: Lights, size: tuple[int, int]) -> Picture:
        """Picture (H,W,3) of what `occlusion.pose` prepared."""
        geometry = posed.geometry
        if (lights, size) not in self._backdrop:
            self._backdrop[(lights, size)] = background(lights, size)
        backdrop = self._backdrop[(lights, size)]
        picture = np.round(backdrop * 255).astype(np.uint8)
        left, top, right, bottom = _box(camera.project(posed.vertices, size), size)
        if right <= left or bottom <= top:
            return picture
        attributes = np.concatenate(
            [posed.normals @ camera.rotation, geometry.colors, posed.ambient[:, None], posed.key[:, None]], axis=1
        )
        table = np.concatenate([attributes, geometry.materials], axis=1).astype(np.float32)
        rows, columns = np.mgrid[top:bottom, left:right]
        pixels = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1).astype(np.float32)
        colors, hit = self._trace(posed, table, pixels, camera=camera, lights=lights, size=size)
        shape = (bottom - top, right - left)
        window = picture[top:bottom, left:right]
        window[hit.reshape(shape)] = colors
        edges = _edges(window, hit.reshape(shape))
        y, x = np.nonzero(edges)
        if len(y):
            middle = np.stack([x + left + 0.5, y + top + 0.5], axis=1).astype(np.float32)
            pixels = (middle[:, None, :] + _SUBPIXELS).reshape(-1, 2)
            colors, hit = self._trace(posed, table, pixels, camera=camera, lights=lights, size=size)
            samples = np.repeat(backdrop[y + top, x + left] * np.float32(255), 4, axis=0)
            samples[hit] = colors
            window[y, x] = np.round(samples.reshape(-1, 4, 3).mean(axis=1)).astype(np.uint8)
        return picture

    def _trace(
        self, posed: Posed, table: Float, pixels: Float, *, camera: Camera, lights: Lights, size: tuple[int, int]
    ) -> tuple[Picture, Bool]:
        """Bytes (hits,3) and hit (N,) for pixels (N,2)."""
        local = camera.directions(pixels, size)
        origins = np.broadcast_to(camera.eye, local.shape)
        answer = posed.scene.run(
            np.ascontiguousarray(origins), np.ascontiguousarray(local @ camera.rotation.T), query="INTERSECT", output=True
        )
        hit = answer["primID"] >= 0
        index = np.flatnonzero(hit)
        colors = np.empty((len(index), 3), np.uint8)
        a, b, c = (posed.vertices[posed.geometry.faces[:, i]] for i in range(3))
        from_inside = np.einsum("ij,ij->i", np.cross(b - a, c - a), camera.eye - a) < 0
        for start in range(0, len(index), _BLOCK):
            block = index[start : start + _BLOCK]
            face = answer["primID"][block]
            values = _interpolate(table, posed.geometry.faces[face], answer["u"][block], answer["v"][block])
            views = -local[block].T
            views /= np.sqrt((views * views).sum(axis=0))
            normals = values[:3]
            normals /= np.maximum(np.sqrt((normals * normals).sum(axis=0)), 1e-9)
            inside = from_inside[face]
            if inside.any():
                normals[:, inside] *= -1
                values[6, inside] *= BACKFACE
                values[7, inside] = 0.0
            light = shade(
                normals=normals,
                views=views,
                albedo=values[3:6],
                ambient=values[6],
                key=values[7],
                materials=values[8:11],
                lights=lights,
            )
            colors[start : start + _BLOCK] = encode(light).T
        return colors, hit


def _interpolate(table: Float, corners: Int, u: Float, v: Float) -> Float:
    """Rows of a table (V,A) at barycentric places of triangles with corners (N,3), channels first: (A,N)."""
    weights = np.stack([1 - u - v, u, v], axis=1)
    ends = np.arange(0, 3 * len(corners) + 1, 3, dtype=np.int32)
    matrix = csr_matrix((weights.ravel(), corners.ravel(), ends), shape=(len(corners), len(table)))
    return np.ascontiguousarray((matrix @ table).T)


def _box(pixels: Float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels (V,2) within the picture, with one pixel to spare."""
    width, height = size
    low, high = np.floor(pixels.min(axis=0)) - 1, np.ceil(pixels.max(axis=0)) + 1
    left, top = int(np.clip(low[0], 0, width)), int(np.clip(low[1], 0, height))
    return left, top, int(np.clip(high[0], 0, width)), int(np.clip(high[1], 0, height))


def _edges(window: Picture, hit: Bool) -> Bool:
    """Pixels (H,W) that differ from a neighbour: in being hit at all, or by more than _EDGE_LEVELS in brightness."""
    green = window[..., 1].astype(np.int16)
    edges = np.zeros(hit.shape, bool)
    for axis in (0, 1):
        differ = np.abs(np.diff(green, axis=axis)) > _EDGE_LEVELS
        differ |= np.diff(hit, axis=axis)
        first = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        second = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        edges[first] |= differ
        edges[second] |= differ
    return edges
