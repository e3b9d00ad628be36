"""The smooth base surface of the built-in head: one function r(angle, height) fitted through the tables.

Everything here is in millimetres. The domain is (theta, sigma): theta radians round a vertical axis (0 forward, pi back),
sigma a stretched height that gives steep places (under the nose, under the jaw, the crown, the shoulders) room.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, RBFInterpolator, RectBivariateSpline

from emovoca_cli.demo import head_tables as tables

Array = NDArray[np.float64]
DOME_FOOT, DOME_RADIUS, BOTTOM = 30.0, 95.5, -192.0
SIGMA_TOP = DOME_FOOT + DOME_RADIUS * np.pi / 2
_MM_PER_RADIAN = 80.0


def _bump(y: Array, low: float, high: float, soft: float) -> Array:
    return np.asarray(0.5 * (np.tanh((y - low) / soft) - np.tanh((y - high) / soft)))


@cache
def _stretch() -> tuple[Array, Array]:
    """Heights y below the dome's foot and their sigma."""
    y = np.arange(-230.0, DOME_FOOT + 0.25, 0.25)
    rate = 1.0 + 0.5 * _bump(y, -48.0, -34.0, 6.0) + 1.6 * _bump(y, -128.0, -100.0, 9.0) + 1.0 * _bump(y, -235.0, -165.0, 14.0)
    sigma = np.concatenate([[0.0], np.cumsum(0.125 * (rate[1:] + rate[:-1]))])
    return y, sigma - sigma[-1] + DOME_FOOT


def sigma_of(y: Array) -> Array:
    """Sigma of a height y."""
    heights, sigma = _stretch()
    dome = DOME_FOOT + DOME_RADIUS * np.arcsin(np.clip((y - DOME_FOOT) / DOME_RADIUS, -1.0, 1.0))
    return np.where(y > DOME_FOOT, dome, np.interp(y, heights, sigma))


def height_of(sigma: Array) -> Array:
    """Height y of a sigma."""
    heights, table = _stretch()
    dome = DOME_FOOT + DOME_RADIUS * np.sin(np.clip((sigma - DOME_FOOT) / DOME_RADIUS, -np.pi / 2, np.pi / 2))
    return np.where(sigma > DOME_FOOT, dome, np.interp(sigma, table, heights))


def _table_points() -> tuple[Array, Array, Array]:
    """All table entries as domain points (N,2), radii (N,) and how loosely each is followed (N,)."""
    rows: list[tuple[float, float, float, float]] = []

    def seen(x: float, y: float, z: float, loose: float) -> None:
        rows.append((float(np.arctan2(x, z - tables.AXIS_Z)), y, float(np.hypot(x, z - tables.AXIS_Z)), loose))

    for row_y, depths in tables.DEPTH.items():
        y = float(row_y)
        for x, z in zip(tables.DEPTH_X, depths, strict=True):
            near_eye = 19 <= x <= 47 and -13 <= y <= 16
            near_nose = x <= 15 and -44 <= y <= -3
            if z is not None and z > -45 and not near_eye and not near_nose:
                seen(float(x), y, z, 30.0)
    for height, section in tables.NOSE.items():
        for across, z in section:
            seen(across, height, z, 2.0)
    for across, section in tables.EYE.items():
        for up, z in section:
            seen(across, up, z, 2.0)
    angles = np.radians(tables.OUTLINE_ANGLES)
    for row_y, radii in tables.OUTLINE.items():
        y = float(row_y)
        for angle, radius in zip(angles, radii, strict=True):
            if y < -116 or np.degrees(angle) > 68:
                rows.append((float(angle), float(y), float(radius), 120.0))
    foot = np.array(tables.OUTLINE[30], dtype=float)
    for k, y in enumerate(tables.SKULL_HEIGHTS[1:], 1):
        for j, angle in enumerate(angles):
            along = np.interp(angle, [0, np.pi / 2, np.pi], [tables.SKULL_FRONT[k], tables.SKULL_SIDE[k], tables.SKULL_BACK[k]])
            if y > 62 or np.degrees(angle) > 68:
                rows.append((float(angle), y, float(foot[j] * along), 120.0))
    data = np.array(rows)
    return np.stack([data[:, 0] * _MM_PER_RADIAN, sigma_of(data[:, 1])], 1), data[:, 2], data[:, 3]


@cache
def _radius_spline() -> RectBivariateSpline:
    points, radii, loose = _table_points()
    half = np.pi * _MM_PER_RADIAN
    near, far = points[:, 0] < 45, points[:, 0] > half - 45
    mirrored = [points, points[near] * [-1, 1], points[far] * [-1, 1] + [2 * half, 0]]
    values, slack = (np.concatenate([a, a[near], a[far]]) for a in (radii, loose))
    stacked = np.concatenate(mirrored)
    on_seam = np.concatenate([np.zeros(len(points), bool), points[near][:, 0] < 1e-6, points[far][:, 0] > half - 1e-6])
    crown = np.stack([np.linspace(0, half, 25), np.full(25, SIGMA_TOP)], 1)
    stacked = np.concatenate([stacked[~on_seam], crown])
    values, slack = np.concatenate([values[~on_seam], np.zeros(25)]), np.concatenate([slack[~on_seam], np.zeros(25)])
    fit = RBFInterpolator(stacked, values, kernel="thin_plate_spline", smoothing=slack)
    theta = np.linspace(0.0, half, 241)
    sigma = np.arange(float(sigma_of(np.array(BOTTOM))) - 4, SIGMA_TOP + 1.0, 1.75)
    grid = np.stack(np.meshgrid(theta, sigma, indexing="ij"), -1).reshape(-1, 2)
    radius = fit(grid).reshape(len(theta), len(sigma))
    return RectBivariateSpline(theta / _MM_PER_RADIAN, sigma, radius, kx=3, ky=3)


def radius_of(theta: Array, sigma: Array) -> Array:
    """Distance from the axis at a domain point, mm."""
    radius = _radius_spline()(np.clip(np.abs(theta), 0, np.pi), sigma, grid=False)
    return np.where(sigma >= SIGMA_TOP - 1e-6, 0.0, np.maximum(radius, 0.0))


def position(theta: Array, sigma: Array) -> Array:
    """Points (...,3) of the base surface at domain points."""
    radius = radius_of(theta, sigma)
    return np.stack([radius * np.sin(theta), height_of(sigma), tables.AXIS_Z + radius * np.cos(theta)], -1)


def project(x: Array, y: Array) -> tuple[Array, Array]:
    """Depth z of the front of the base surface at (x, y), and its theta; mm, radians."""
    sigma = sigma_of(np.asarray(y, dtype=float))
    z = np.full(np.shape(x), 15.0)
    for _ in range(60):
        theta = np.arctan2(x, z - tables.AXIS_Z)
        target = np.sqrt(np.maximum(radius_of(theta, sigma) ** 2 - np.square(x), 1.0)) + tables.AXIS_Z
        z = 0.6 * z + 0.4 * target
    return z, np.arctan2(x, z - tables.AXIS_Z)


def domain_of(points: Array) -> Array:
    """Domain (N,2) of points (N,3) by angle and height."""
    return np.stack([np.arctan2(points[:, 0], points[:, 2] - tables.AXIS_Z), sigma_of(points[:, 1])], 1)


def closed_spline(values: Array, count: int) -> Array:
    """Resample an open polyline (N,K) by a cubic through it at `count` places of equal arc length."""
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(values, axis=0), axis=1))])
    curve = CubicSpline(steps, values)
    fine = np.linspace(0, steps[-1], 600)
    dense = curve(fine)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    return np.asarray(curve(np.interp(np.linspace(0, length[-1], count), length, fine)))
