"""The OpenGL backend: pyrender draws, with our own shader in place of its materials, so that both backends agree."""

from __future__ import annotations

import os
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from emovoca_cli.errors import DeviceError
from emovoca_cli.render.camera import Camera
from emovoca_cli.render.glsl import VERTEX, fragment_shader
from emovoca_cli.render.lighting import Lights, background
from emovoca_cli.render.occlusion import pose
from emovoca_cli.render.raycast import Picture
from emovoca_cli.render.surface import Geometry, Posed
from emovoca_cli.types import Float

PLATFORMS = ("egl", "osmesa", "window")
"""Ways to get an OpenGL context: without a display on a graphics card or Mesa, in software, or through the desktop."""


class PyrenderBackend:
    """Draws through pyrender on one OpenGL platform.

    A process gets one OpenGL context and keeps it, because pyrender's second renderer would lose it; and a context belongs to
    one thread. So one worker thread draws for all callers.
    """

    name = "pyrender"
    _renderer: Any = None
    _platform: str | None = None
    _shaders: ClassVar[dict[Lights, Any]] = {}
    _worker: ClassVar[ThreadPoolExecutor] = ThreadPoolExecutor(max_workers=1, thread_name_prefix="opengl")

    def __init__(self, platform: str) -> None:
        if platform not in PLATFORMS:
            raise DeviceError(f"unknown OpenGL platform {platform!r}, expected one of {', '.join(PLATFORMS)}")
        self.platform = platform
        self._backdrop: dict[tuple[Lights, tuple[int, int]], Float] = {}

    def render(self, geometry: Geometry, vertices: Float, camera: Camera, lights: Lights, size: tuple[int, int]) -> Picture:
        """Picture (H,W,3) of the geometry posed as `vertices` (V,3). Raises DeviceError when OpenGL fails."""
        return self.draw(pose(geometry, vertices, camera, lights), camera, lights, size)

    def draw(self, posed: Posed, camera: Camera, lights: Lights, size: tuple[int, int]) -> Picture:
        """Picture (H,W,3) of what `occlusion.pose` prepared. Raises DeviceError when OpenGL fails."""
        if (lights, size) not in self._backdrop:
            self._backdrop[(lights, size)] = background(lights, size)
        try:
            drawn = self._worker.submit(self._pixels, posed, camera, lights, size).result()
        except DeviceError:
            raise
        except Exception as error:
            raise DeviceError(f"pyrender ({self.platform}) failed: {_first_line(error)}; use --backend embreex") from error
        rgba = drawn.astype(np.float32)
        mixed = rgba[..., :3] + (1 - rgba[..., 3:] / 255) * self._backdrop[(lights, size)] * 255
        return np.asarray(np.clip(np.round(mixed), 0, 255), np.uint8)

    def _pixels(self, posed: Posed, camera: Camera, lights: Lights, size: tuple[int, int]) -> Any:
        width, height = size
        renderer, pyrender = self._start(width, height)
        shaders = self._shaders.get(lights)
        if shaders is None:
            from pyrender.shader_program import ShaderProgramCache

            folder = tempfile.TemporaryDirectory(prefix="emovoca-shaders-")
            Path(folder.name, "flat.vert").write_text(VERTEX, encoding="utf-8")
            Path(folder.name, "flat.frag").write_text(fragment_shader(lights), encoding="utf-8")
            # Pyrender reads them when it first draws: the folder lives as long as the process.
            shaders = self._shaders[lights] = (ShaderProgramCache(shader_dir=folder.name), folder)
        renderer._renderer._program_cache = shaders[0]
        geometry = posed.geometry
        primitive = pyrender.Primitive(
            positions=posed.vertices,
            normals=posed.normals,
            tangents=np.concatenate([geometry.materials, np.zeros((geometry.count, 1), np.float32)], axis=1),
            texcoord_0=np.stack([posed.ambient, posed.key], axis=1),
            color_0=np.concatenate([geometry.colors, np.ones((geometry.count, 1), np.float32)], axis=1),
            indices=geometry.faces.astype(np.uint32),
            material=pyrender.MetallicRoughnessMaterial(doubleSided=True),
            mode=4,
        )
        scene = pyrender.Scene(bg_color=[0.0, 0.0, 0.0, 0.0])
        scene.add(pyrender.Mesh([primitive]))
        lens = pyrender.PerspectiveCamera(
            yfov=float(np.radians(camera.fov)), aspectRatio=width / height, znear=camera.near, zfar=camera.far
        )
        scene.add(lens, pose=camera.pose.astype(np.float64))
        flags = pyrender.RenderFlags.RGBA | pyrender.RenderFlags.FLAT | pyrender.RenderFlags.SKIP_CULL_FACES
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            color, _ = renderer.render(scene, flags=flags)
        return color

    def _start(self, width: int, height: int) -> tuple[Any, Any]:
        """The process's renderer at this size, and pyrender."""
        cls = PyrenderBackend
        if cls._renderer is None:
            if self.platform == "window":
                os.environ.pop("PYOPENGL_PLATFORM", None)
            else:
                os.environ["PYOPENGL_PLATFORM"] = self.platform
            if not hasattr(np, "infty"):
                np.infty = np.inf  # type: ignore[attr-defined]  # pyrender 0.1.45 was written before NumPy 2
            import pyrender

            cls._renderer = pyrender.OffscreenRenderer(width, height)
            cls._platform = self.platform
        if cls._platform != self.platform:
            raise DeviceError(
                f"this process already draws with OpenGL through {cls._platform}; start another one for {self.platform}"
            )
        import pyrender

        cls._renderer.viewport_width, cls._renderer.viewport_height = width, height
        return cls._renderer, pyrender


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}".rstrip(": ")
