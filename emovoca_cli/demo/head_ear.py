"""The ear, laid out in its own plane: across (backwards), along (up), out (away from the skull)."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from emovoca_cli.demo import head_tables as tables
from emovoca_cli.demo.head_surface import Array, domain_of, position, sigma_of

AROUND = 32
CENTRE_Y, CENTRE_Z = -18.0, -84.0
TILT = np.radians(14.0)

_TURN = np.radians([0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330])
# each ring: (across, along, out) at every 30 degrees from the front (tragus) over the top; millimetres from the ear's middle
_RINGS: tuple[tuple[tuple[float, float, float], ...], ...] = (
    # 1 the back of the ear, half-way out
    ((-11.8, -3, 0.2), (-10.9, 8.8, 0.4), (-6.5, 20, 2.2), (2, 25, 4.0), (10, 22, 6.0), (14, 13, 8.0),
     (14, 2, 8.5), (11.5, -9, 7.0), (6, -19, 4.8), (-1.4, -26.0, 1.4), (-8.2, -24.2, -0.4), (-10.2, -14.8, 0.2)),
    # 2 behind the rim
    ((-10.2, -3, 0.9), (-10.0, 8.9, 1.0), (-7.2, 22.6, 4.2), (2, 29.8, 7.5), (12, 27, 11.0), (17.8, 16, 13.0),
     (18, 3, 12.8), (15, -10, 11.0), (8.5, -21, 7.8), (-0.2, -29.0, 3.2), (-7.4, -25.8, 0.2), (-9.6, -15, 0.5)),
    # 3 the rim
    ((-7.8, -3.2, 4.0), (-9.0, 8.6, 1.8), (-6.9, 22.0, 6.8), (2, 29.6, 10.4), (11.8, 26.8, 14.0), (17.8, 16, 15.8),
     (18.2, 3, 15.4), (15, -10, 13.4), (8.3, -21, 10.2), (0, -29.4, 5.8), (-6.8, -26.0, 1.6), (-8.6, -14.5, 1.3)),
    # 4 the inner edge of the helix; in front the crest of the tragus
    ((-4.6, -3.6, 6.6), (-7.2, 7.8, 3.0), (-5.0, 19.0, 8.2), (1.6, 26.0, 11.6), (9.6, 23.8, 15.2), (15.0, 14.8, 17.0),
     (15.6, 3, 16.4), (12.9, -9, 14.0), (6.6, -19.6, 10.8), (-0.6, -26.2, 8.2), (-5.4, -23.3, 4.4), (-6.8, -13.2, 2.4)),
    # 5 the scapha, a groove inside the helix
    ((-3.8, -3.7, 5.6), (-5.4, 6.8, 2.2), (-3.8, 16.6, 4.4), (1.4, 23.2, 6.8), (8.0, 21.2, 9.6), (12.7, 13.2, 10.6),
     (13.0, 2.6, 10.6), (10.6, -8.4, 10.0), (5.6, -17.2, 9.2), (-0.8, -22.2, 8.2), (-4.2, -19.6, 5.2), (-5.2, -12.0, 2.4)),
    # 6 the antihelix crest; below, the antitragus
    ((-4.2, -3.6, 2.2), (-4.0, 5.6, 1.2), (-2.4, 12.6, 4.2), (1.8, 16.6, 8.0), (6.2, 15.2, 12.4), (9.6, 9.6, 14.8),
     (9.8, 1.6, 14.6), (7.8, -6.6, 13.0), (4.0, -13.0, 11.2), (-0.6, -16.4, 10.0), (-3.4, -15.2, 7.0), (-4.4, -10.6, 1.6)),
    # 7 the wall of the concha
    ((-4.2, -3.4, -2.0), (-3.2, 4.4, -1.4), (-1.4, 8.4, 0.6), (1.6, 10.6, 3.2), (4.8, 10.0, 5.8), (7.6, 6.6, 7.0),
     (8.0, 0.6, 6.6), (6.4, -5.6, 5.6), (3.0, -10.6, 4.4), (-0.8, -12.8, 3.4), (-3.0, -11.4, 1.4), (-4.0, -8.2, -1.6)),
    # 8 the floor of the concha
    ((-2.8, -3.0, -6.0), (-2.0, 1.4, -4.6), (-0.8, 4.2, -2.8), (1.2, 5.8, -1.4), (3.4, 5.4, -0.4), (5.2, 3.2, 0.2),
     (5.4, -0.8, -0.2), (4.2, -4.6, -1.2), (1.8, -7.8, -2.4), (-0.6, -9.2, -3.6), (-2.2, -8.2, -5.0), (-2.8, -6.0, -6.0)),
)  # fmt: skip
# how far each ring follows the head's own curve under it
_FOLLOW = (1.0, 0.85, 0.65, 0.5, 0.4, 0.3, 0.2, 0.15)
_FOOT_HALF = (11.5, 23.5)


def _frame() -> tuple[Array, Array, Array, Array]:
    """Origin on the skull and the three unit directions (across, along, out)."""
    theta = np.arctan2(75.0, CENTRE_Z - tables.AXIS_Z)
    origin = position(np.array([theta]), sigma_of(np.array([CENTRE_Y])))[0]
    along = np.array([0.0, np.cos(TILT), -np.sin(TILT)])
    across = np.array([0.0, -np.sin(TILT), -np.cos(TILT)])
    out = np.cross(across, along)
    out = out if out[0] > 0 else -out
    lean = np.radians(4.0)
    along = along * np.cos(lean) + out * np.sin(lean)
    out = np.cross(across, along)
    out = out if out[0] > 0 else -out
    return origin, across, along, out


def _foot(turn: Array) -> tuple[Array, Array]:
    """The closed line where the ear stands on the head: points and domain."""
    origin, across, along, _ = _frame()
    a, b = -_FOOT_HALF[0] * np.cos(turn), _FOOT_HALF[1] * np.sin(turn)
    a = np.where(a > 0, a * 0.92, a * 1.12)
    want = origin + np.outer(a, across) + np.outer(b - 1.5, along)
    sigma = sigma_of(want[:, 1])
    theta = np.full(len(turn), np.pi / 2)
    for _ in range(60):
        z = position(theta, sigma)[:, 2]
        theta = theta + 0.6 * (z - want[:, 2]) / 78.0
    points = position(theta, sigma)
    return points, domain_of(points)


def ear_rings() -> tuple[Array, Array, Array]:
    """Rings (R,AROUND,3), their angles (AROUND,), and the domain (AROUND,2) of the foot; millimetres."""
    turn = np.arange(AROUND) * 2 * np.pi / AROUND
    foot, domain = _foot(turn)
    origin, across, along, out = _frame()
    sunk = (foot - origin) @ out
    rings = [foot]
    for table, follow in zip(_RINGS, _FOLLOW, strict=True):
        closed = np.array([*table, table[0]])
        curve = CubicSpline(np.append(_TURN, 2 * np.pi), closed, bc_type="periodic")
        local = curve(turn)
        local[:, 2] += follow * sunk
        rings.append(origin + local @ np.stack([across, along, out]))
    return np.stack(rings), turn, domain


def ear_cap(rings: Array) -> Array:
    """The middle of the concha's floor."""
    return np.asarray(rings[-1].mean(0) - [1.0, 0.0, 0.0])
