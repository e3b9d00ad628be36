"""Choosing what draws: every backend is tried by drawing a small picture, never guessed from what is installed."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from emovoca_cli.errors import DeviceError, EmovocaError, UsageError
from emovoca_cli.render.camera import Camera, look_at
from emovoca_cli.render.lighting import Lights, portrait_lights
from emovoca_cli.render.opengl import PLATFORMS, PyrenderBackend
from emovoca_cli.render.raycast import Picture, RaycastBackend
from emovoca_cli.render.surface import Geometry, Posed, Surface
from emovoca_cli.types import Float

BACKENDS = ("auto", "pyrender", "embreex")
"""Names a caller may ask for. "auto" is the fastest that works here."""

PROBE_SIZE = (256, 256)
_TIMEOUT = 90.0


class Backend(Protocol):
    """Draws a geometry in a pose; several threads may call it at once."""

    @property
    def name(self) -> str:
        """One of BACKENDS."""

    def render(self, geometry: Geometry, vertices: Float, camera: Camera, lights: Lights, size: tuple[int, int]) -> Picture:
        """Picture (H,W,3) of the geometry posed as `vertices` (V,3) metres; size = (width, height)."""

    def draw(self, posed: Posed, camera: Camera, lights: Lights, size: tuple[int, int]) -> Picture:
        """The same for a pose that `occlusion.pose` has prepared, perhaps in another thread."""


@dataclass(frozen=True)
class Probe:
    """What trying a backend showed: works or the reason why not, milliseconds for a small picture, the OpenGL platform."""

    name: str
    works: bool
    reason: str
    milliseconds: float | None
    platform: str | None = None


def probe() -> list[Probe]:
    """Try every backend once in this process's life; for `emovoca doctor` and for "auto"."""
    return [_probe_embreex(), _probe_pyrender()]


def pick_backend(name: str = "auto") -> Backend:
    """The backend of that name, or the fastest that works.

    Raises UsageError for an unknown name and DeviceError, with the reason, when what is asked for does not work here.
    """
    if name not in BACKENDS:
        raise UsageError(f"unknown backend {name!r}, expected one of {', '.join(BACKENDS)}")
    asked = {"embreex": (_probe_embreex,), "pyrender": (_probe_pyrender,), "auto": (_probe_embreex, _probe_pyrender)}[name]
    if name == "auto" and not _graphics_device() and _probe_embreex().works:
        # OpenGL in software is no faster than rays, and finding out costs a process.
        asked = (_probe_embreex,)
    results = [check() for check in asked]
    working = [result for result in results if result.works]
    if not working:
        reasons = "; ".join(f"{result.name}: {result.reason}" for result in results)
        raise DeviceError(f"no picture can be drawn here ({reasons}); run `emovoca doctor`")
    best = min(working, key=lambda result: result.milliseconds or 0.0)
    return RaycastBackend() if best.name == "embreex" else PyrenderBackend(best.platform or "egl")


def _graphics_device() -> bool:
    """Whether OpenGL could run on hardware; only Linux can be asked without trying."""
    return sys.platform != "linux" or any(Path("/dev").glob("dri/render*")) or Path("/dev/nvidia0").exists()


def try_backend(backend: Backend) -> float:
    """Draw a ball and look whether it is there; returns the milliseconds of the second picture. Raises DeviceError."""
    geometry, camera, lights = _ball(), look_at(np.array([0, 0, 5], np.float32), np.zeros(3, np.float32)), portrait_lights()
    backend.render(geometry, geometry.rest, camera, lights, PROBE_SIZE)
    start = time.perf_counter()
    picture = backend.render(geometry, geometry.rest, camera, lights, PROBE_SIZE)
    took = (time.perf_counter() - start) * 1000
    # Red skin before a blue-grey wall: the middle is warm only if the ball was drawn.
    middle = picture[96:160, 96:160].reshape(-1, 3).mean(axis=0)
    if picture.shape != (*PROBE_SIZE[::-1], 3) or middle[0] < middle[2] + 20 or middle[0] < 60:
        raise DeviceError(f"the {backend.name} backend draws, but not what it was given")
    return took


@functools.cache
def _probe_embreex() -> Probe:
    try:
        return Probe("embreex", True, "", try_backend(RaycastBackend()))
    except (EmovocaError, ImportError, OSError, RuntimeError) as error:
        return Probe("embreex", False, str(error), None)


@functools.cache
def _probe_pyrender() -> Probe:
    """Try OpenGL in processes of their own: a driver may crash, and a process can only ever have one platform."""
    reasons = []
    for platform in PLATFORMS:
        command = [sys.executable, "-m", "emovoca_cli.render.probe", platform]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
            if done.returncode != 0:
                raise ValueError(
                    done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with code {done.returncode}"
                )
            answer = json.loads(done.stdout.strip().splitlines()[-1])
        except subprocess.TimeoutExpired:
            answer = {"error": f"no answer within {_TIMEOUT:.0f} s"}
        except (OSError, ValueError, IndexError) as error:
            answer = {"error": f"the attempt crashed ({error})"}
        if "milliseconds" in answer:
            return Probe("pyrender", True, "", float(answer["milliseconds"]), platform)
        reasons.append(f"{platform}: {answer['error']}")
    return Probe("pyrender", False, "; ".join(reasons), None)


def _ball() -> Geometry:
    """A skin-coloured ball of about the size of a head's mesh."""
    rows, columns = 70, 72
    polar = np.linspace(1e-3, np.pi - 1e-3, rows)[:, None]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None, :]
    points = np.stack([np.sin(polar) * np.sin(around), np.cos(polar) + 0 * around, np.sin(polar) * np.cos(around)], axis=-1)
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b = index[:-1], np.roll(index, -1, axis=1)[:-1]
    c, d = index[1:], np.roll(index, -1, axis=1)[1:]
    faces = np.concatenate([np.stack([a, c, b], axis=-1).reshape(-1, 3), np.stack([b, c, d], axis=-1).reshape(-1, 3)])
    vertices = points.reshape(-1, 3).astype(np.float32) * np.float32(0.5)
    colors = np.tile(np.array([0.80, 0.55, 0.45], np.float32), (len(vertices), 1))
    return Geometry([Surface(vertices, faces.astype(np.int32), colors)])
