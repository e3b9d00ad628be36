"""The ear, laid out in its own plane: across (backwards), along (up), out (away from the skull)."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from emovoca_cli.demo import head_tables as tables
from emovoca_cli.demo.head_surface import Array, domain_of, position, sigma_of

AROUND = 30
CENTRE_Y, CENTRE_Z = -18.0, -84.0
TILT = np.radians(14.0)

_TURN = np.radians([0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330])
# each ring: (across, along, out) at every 30 degrees from the front (tragus) over the top; millimetres from the ear's middle
_RINGS: tuple[tuple[tuple[float, float, float], ...], ...] = (
    # 1 the back of the ear, half-way out
    ((-11.5, -3, 1.0), (-11, 8, 1.5), (-6, 20, 3.0), (2, 25, 4.0), (10, 22, 6.0), (14, 13, 8.0), (14, 2, 8.5), (11.5, -9, 7.0), (6, -19, 5.0), (-1, -27, 3.5), (-7, -25, 1.5), (-10.5, -14, 1.0)),
    # 2 behind the rim
    ((-10.6, -3, 2.2), (-10.5, 9, 2.6), (-7, 23, 5.0), (2, 30, 7.5), (12, 27, 11.0), (18, 16, 13.5), (18, 3, 13.5), (15, -10, 11.0), (8.5, -21, 8.0), (0, -29.5, 5.5), (-7, -27.5, 2.6), (-10, -15, 1.8)),
    # 3 the rim
    ((-9.2, -3, 3.2), (-9.6, 9, 3.6), (-6.8, 22.5, 6.6), (2, 29.6, 9.5), (11.8, 26.6, 13.4), (17.8, 16, 16.0), (18.0, 3, 16.0), (15, -10, 13.4), (8.3, -21, 10.2), (0, -29.3, 7.6), (-6.4, -26.5, 3.8), (-9.0, -14.5, 3.0)),
    # 4 the inner edge of the helix; in front the crest of the tragus
    ((-7.4, -3.4, 4.4), (-8.2, 8.6, 3.8), (-5.2, 19.8, 7.0), (1.6, 26.2, 9.6), (9.4, 23.6, 13.6), (14.9, 14.6, 16.0), (15.2, 3, 16.0), (12.6, -9, 13.6), (6.6, -18.6, 10.8), (-0.6, -25.2, 8.6), (-5.0, -22.5, 5.2), (-7.2, -13.5, 4.4)),
    # 5 the scapha, a groove inside the helix
    ((-6.2, -3.6, 4.2), (-6.4, 8.4, 1.8), (-4.0, 17.6, 4.2), (1.4, 23.4, 6.4), (7.6, 21.0, 10.0), (12.4, 13.0, 12.4), (12.8, 2.6, 12.6), (10.6, -8.2, 11.4), (5.6, -16.4, 10.0), (-0.8, -21.4, 8.0), (-4.2, -19.0, 5.6), (-6.0, -12.5, 4.6)),
    # 6 the antihelix crest; below, the antitragus
    ((-5.6, -3.8, 2.6), (-5.2, 6.8, 1.2), (-2.6, 13.4, 4.0), (1.6, 16.8, 7.2), (5.8, 15.0, 10.4), (8.8, 9.6, 12.4), (9.2, 1.6, 12.6), (7.4, -6.4, 11.6), (3.8, -12.4, 10.2), (-0.8, -15.6, 8.6), (-4.0, -14.4, 6.2), (-5.6, -10.0, 4.6)),
    # 7 the wall of the concha
    ((-5.2, -3.8, -1.0), (-4.2, 4.6, 0.4), (-1.8, 8.6, 2.0), (1.4, 10.6, 4.2), (4.2, 9.6, 6.0), (6.4, 6.0, 7.0), (6.8, 0.4, 7.0), (5.4, -5.4, 6.2), (2.4, -9.8, 5.0), (-1.0, -11.8, 4.0), (-3.6, -10.8, 2.4), (-4.8, -7.6, 0.6)),
    # 8 the floor of the concha
    ((-4.0, -3.4, -4.0), (-3.0, 0.8, -3.0), (-1.2, 3.4, -1.6), (0.6, 4.4, -0.6), (2.2, 3.8, 0.2), (3.4, 1.8, 0.6), (3.6, -1.2, 0.4), (2.6, -4.2, -0.4), (0.8, -6.4, -1.4), (-1.2, -7.2, -2.4), (-2.8, -6.6, -3.4), (-3.8, -5.2, -4.0)),
)
_FOOT_HALF = (11.5, 23.5)
_FLARE = np.radians(12.0)


def _frame() -> tuple[Array, Array, Array, Array]:
    """Origin on the skull and the three unit directions (across, along, out)."""
    theta = np.arctan2(75.0, CENTRE_Z - tables.AXIS_Z)
    origin = position(np.array([theta]), sigma_of(np.array([CENTRE_Y])))[0]
    along = np.array([0.0, np.cos(TILT), -np.sin(TILT)])
    across = np.array([np.sin(_FLARE) * 0.0, -np.sin(TILT), -np.cos(TILT)])
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
    rings = [foot]
    for table in _RINGS:
        closed = np.array([*table, table[0]])
        curve = CubicSpline(np.append(_TURN, 2 * np.pi), closed, bc_type="periodic")
        local = curve(turn)
        rings.append(origin + local @ np.stack([across, along, out]))
    return np.stack(rings), turn, domain


def ear_cap(rings: Array) -> Array:
    """The middle of the concha's floor."""
    return np.asarray(rings[-1].mean(0))
