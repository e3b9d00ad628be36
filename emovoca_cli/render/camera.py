"""Where the picture is taken from: a portrait lens that frames head and neck, and stays still over a clip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emovoca_cli.constants import LANDMARKS
from emovoca_cli.errors import UsageError
from emovoca_cli.mesh.landmarks import landmark_points
from emovoca_cli.types import Float, MeshTemplate

PORTRAIT_FOV = 20.0
"""Vertical field of view in degrees: about a 70 mm lens on a full-frame camera, which does not widen the nose."""

DEFAULT_YAW = 9.0
"""Degrees of three-quarter turn of the default picture: depth without hiding the far eye."""

DEFAULT_PITCH = 2.0
"""Degrees that the default camera looks down from."""

OUTER_EYES = (36, 45)
CHIN = 8


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    pose (4,4) world from camera (x right, y up, looking along -z), metres; fov: vertical field of view in degrees;
    near, far: distances in metres that bound what is drawn.
    """

    pose: Float
    fov: float = PORTRAIT_FOV
    near: float = 0.05
    far: float = 20.0

    @property
    def eye(self) -> Float:
        """The point (3,) that the picture is taken from, metres."""
        return np.asarray(self.pose[:3, 3], np.float32)

    @property
    def rotation(self) -> Float:
        """World from camera rotation (3,3): its columns are right, up and backwards."""
        return np.asarray(self.pose[:3, :3], np.float32)

    def focal(self, height: int) -> float:
        """Focal length in pixels for a picture of this height."""
        return 0.5 * height / math.tan(math.radians(self.fov) / 2)

    def project(self, points: Float, size: tuple[int, int]) -> Float:
        """Pixels (...,2) of points (...,3) in metres; x to the right, y down, (0.5, 0.5) is the middle of the first pixel."""
        width, height = size
        local = (np.asarray(points, np.float32) - self.eye) @ self.rotation
        scale = self.focal(height) / np.maximum(-local[..., 2], 1e-9)
        return np.stack([width / 2 + local[..., 0] * scale, height / 2 - local[..., 1] * scale], axis=-1).astype(np.float32)

    def directions(self, pixels: Float, size: tuple[int, int]) -> Float:
        """Ray directions (N,3), not normalised, in the camera's frame (z = -1) through pixels (N,2)."""
        width, height = size
        focal = np.float32(self.focal(height))
        out = np.empty((len(pixels), 3), np.float32)
        out[:, 0] = (pixels[:, 0] - np.float32(width / 2)) / focal
        out[:, 1] = (np.float32(height / 2) - pixels[:, 1]) / focal
        out[:, 2] = -1.0
        return out


def look_at(eye: Float, target: Float, *, fov: float = PORTRAIT_FOV, near: float = 0.05, far: float = 20.0) -> Camera:
    """Camera at `eye` (3,) looking at `target` (3,), metres, with y up."""
    back = np.asarray(eye, np.float64) - np.asarray(target, np.float64)
    distance = float(np.linalg.norm(back))
    if not math.isfinite(distance) or distance < 1e-9:
        raise UsageError("the camera stands on the point it looks at; move it away")
    back /= distance
    right = np.cross([0.0, 1.0, 0.0], back)
    if np.linalg.norm(right) < 1e-6:
        right = np.array([1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = eye
    return Camera(pose, fov, near, far)


def portrait_camera(
    template: MeshTemplate,
    vertices: Float | None = None,
    *,
    yaw: float = DEFAULT_YAW,
    pitch: float = DEFAULT_PITCH,
    fov: float = PORTRAIT_FOV,
    aspect: float = 1.0,
    zoom: float = 1.0,
) -> Camera:
    """Camera that frames the head and neck of a template, or of an identity `vertices` (V,3) on its topology.

    yaw, pitch in degrees: positive yaw shows the subject turned towards the picture's left (the camera walks to the subject's
    left), positive pitch looks down; aspect = width / height; zoom > 1 comes closer. Landmarks decide the frame where the
    template has them, otherwise the bounds do.
    """
    if not (abs(yaw) <= 180 and abs(pitch) <= 85 and 1 <= fov <= 120 and zoom > 0 and aspect > 0):
        seen = f"camera yaw {yaw}, pitch {pitch}, fov {fov}, zoom {zoom}"
        raise UsageError(f"{seen}: expected yaw in -180..180, pitch in -85..85 and fov in 1..120 degrees, zoom above 0")
    points = np.asarray(template.vertices if vertices is None else vertices, np.float32)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (low + high) / 2
    air = 0.05 * float(high[1] - low[1])
    top, bottom, half_width = float(high[1]) + air, float(low[1]) - air, float(high[0] - low[0]) / 2
    if len(template.landmark_faces) == LANDMARKS:
        landmarks = landmark_points(points, template.faces, template.landmark_faces, template.landmark_weights)
        eyes = landmarks[list(OUTER_EYES)]
        unit = float(np.linalg.norm(eyes[0] - eyes[1]))
        middle = eyes.mean(axis=0)
        # Above: the skull where there is one, at most what a head can have, and air. Below the chin: neck, cut by the picture's
        # edge before the mesh ends, so that no rim shows.
        top = min(top, float(middle[1]) + 1.75 * unit) + 0.12 * unit
        bottom = max(bottom + 0.25 * unit, float(landmarks[CHIN, 1]) - 0.50 * unit)
        head = points[np.abs(points[:, 1] - middle[1]) < unit]
        half_width = max(unit, float(np.abs(head[:, 0] - middle[0]).max()))
        centre = np.array([middle[0], 0.0, middle[2] - 0.72 * unit], np.float32)
    target = np.array([centre[0], (top + bottom) / 2, centre[2]], np.float64)
    tall = max((top - bottom), 2 * half_width * 1.14 / aspect) / zoom
    distance = tall / (2 * math.tan(math.radians(fov) / 2)) + float(high[2] - centre[2]) * 0.4
    turn, tilt = math.radians(yaw), math.radians(pitch)
    direction = np.array([math.sin(turn) * math.cos(tilt), math.sin(tilt), math.cos(turn) * math.cos(tilt)])
    reach = float(np.linalg.norm(high - low))
    eye = (target + distance * direction).astype(np.float32)
    return look_at(
        eye, target.astype(np.float32), fov=fov, near=max(distance - 2 * reach, distance * 0.02), far=distance + 3 * reach
    )
