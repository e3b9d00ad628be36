"""Colours of the built-in head's skin: tone, lips, brows, mouth. sRGB in 0-1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.demo.head_surface import Array

AREAS = ("skin", "lips", "brows", "inside mouth", "inside lid", "ear", "scalp", "neck", "nostril")
SKIN = np.array([0.800, 0.632, 0.550])
LIP = np.array([0.685, 0.420, 0.385])
BROW = np.array([0.285, 0.205, 0.160])
STUBBLE = np.array([0.400, 0.330, 0.300])
_STUBBLE_SHARE = 0.30
BROW_LINE = ((11.0, 24.0), (17.0, 26.6), (25.0, 28.2), (34.0, 29.2), (41.0, 28.6), (48.0, 25.8), (56.5, 19.5))
BROW_HALF = (2.6, 3.6, 3.7, 3.3, 2.7, 2.0, 0.7)


def _near(points: Array, centre: tuple[float, float, float], reach: float) -> Array:
    folded = np.column_stack([np.abs(points[:, 0]), points[:, 1:]])
    return np.asarray(np.exp(-((np.linalg.norm(folded - centre, axis=1) / reach) ** 2)))


def brow_share(points: Array) -> Array:
    """How much brow hair covers each point, 0-1."""
    x, y = np.abs(points[:, 0]), points[:, 1]
    line = np.array(BROW_LINE)
    middle = np.interp(x, line[:, 0], line[:, 1])
    half = np.interp(x, line[:, 0], BROW_HALF)
    ends = np.clip((x - 7.5) / 5.0, 0, 1) * np.clip((61.0 - x) / 7.0, 0, 1)
    return np.asarray(ends * np.clip(1.15 - 0.72 * (np.abs(y - middle) / half) ** 1.5, 0, 1) * (points[:, 2] > -30))


def stubble_share(points: Array) -> Array:
    """Where the shaved scalp begins, 0-1: above the hairline, round the temple and the ear, down to the nape."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    front = 66.0 - 0.004 * (x - 18) ** 2 * (x > 18)
    line = np.interp(z, [-150, -98, -82, -70, -52, -34, -14, 10], [-62, -48, 2, 10, 6, 24, 52, 66])
    line = np.where(z > -8, front, line)
    return np.asarray(np.clip((y - line) / 16.0 + 0.5, 0, 1))


def paint(points: Array, area: NDArray[np.int8], lip_share: Array, mouth_depth: Array, lash_share: Array) -> Array:
    """Colours (V,3): points mm, area codes, share of lip colour, how deep inside the mouth (0 outside to 1), share of lashes."""
    base = np.broadcast_to(SKIN, points.shape).copy()
    wave = np.sin(np.abs(points[:, 0]) / 9.3 + 1.0) * np.sin(points[:, 1] / 11.7) * np.sin(points[:, 2] / 8.9 + 0.5)
    base += 0.010 * wave[:, None] * np.array([1.0, 0.8, 0.7])
    red = 0.55 * _near(points, (40, -28, 6), 20) + 0.75 * _near(points, (0, -33, 42), 14) + 0.35 * _near(points, (15, -38, 25), 9)
    red += 0.35 * _near(points, (0, -98, 22), 17) + 0.55 * (area == 5)
    base += np.clip(red, 0, 1)[:, None] * np.array([0.015, -0.055, -0.055])
    shade = 0.6 * _near(points, (30, -9, 8), 9) + 0.5 * _near(points, (21, 3, 7), 7)
    base += shade[:, None] * np.array([-0.05, -0.06, -0.045])
    pale = _near(points, (0, 60, 10), 40)
    base += pale[:, None] * np.array([0.012, 0.014, 0.010])
    stubble = _STUBBLE_SHARE * stubble_share(points)[:, None]
    base = base * (1 - stubble) + STUBBLE * stubble
    lip = lip_share[:, None]
    base = base * (1 - lip) + LIP * lip
    brow = 0.85 * brow_share(points)[:, None]
    base = base * (1 - brow) + BROW * brow
    wet = np.clip(mouth_depth, 0, 1)[:, None]
    inside = np.array([0.66, 0.33, 0.32]) * (1 - wet) + np.array([0.50, 0.20, 0.19]) * wet
    base = np.where((area == 3)[:, None], inside, base)
    base = np.where((area == 4)[:, None], np.array([0.78, 0.50, 0.46]), base)
    lash = lash_share[:, None]
    base = base * (1 - lash) + np.array([0.20, 0.13, 0.11]) * lash
    base = np.where((area == 8)[:, None], np.array([0.30, 0.15, 0.13]), base)
    return np.asarray(np.clip(base, 0, 1))
