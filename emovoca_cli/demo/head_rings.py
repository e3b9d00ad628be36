"""Structured patches of the half head: concentric rings round the mouth, the eye, the nostril and the ear.

A patch is a grid of points (rings, around, 3) in millimetres with its labels; the last ring of each (the first of the ear) meets
the free triangulation of `head_mesh`. Half head: x >= 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from emovoca_cli.demo import head_ear
from emovoca_cli.demo import head_tables as tables
from emovoca_cli.demo.head_surface import Array, closed_spline, domain_of, position, project, sigma_of

MOUTH_AROUND, EYE_AROUND, NOSTRIL_AROUND = 52, 36, 14
MOUTH_OUT = (1.3, 3.4, 6.4)
EYE_OUT = 7
# distance of each outer eye ring from the margin (mm): upper middle, lower middle, outer corner, inner corner
_EYE_STEPS = (
    (0.55, 0.55, 0.9, 0.8), (1.8, 1.8, 2.2, 1.8), (3.2, 3.4, 3.6, 3.0), (4.3, 5.2, 5.2, 4.2),
    (5.6, 7.4, 7.0, 5.4), (8.2, 10.2, 9.2, 7.0), (11.4, 13.4, 11.8, 9.0),
)  # fmt: skip

# what the crease of the upper lid adds to the depth of each of these rings (mm)
_EYE_FOLD = (0.0, 0.1, 0.2, -0.9, 0.5, 0.5, 0.2)


@dataclass(frozen=True)
class Patch:
    """Rings of points, the ring numbers they bear, the angle of each column, and the loop shared with the free mesh."""

    name: str
    points: Array
    rings: NDArray[np.int64]
    angle: Array
    closed: bool
    loop: int
    loop_domain: Array
    cap: Array | None = None


def _lip_row(row: tuple[tuple[float, float, float], ...], count: int) -> Array:
    """One lip curve from the middle to the corner, resampled evenly; mirror-symmetric at the middle."""
    data = np.array(row)
    mirrored = np.concatenate([data[:0:-1] * [-1, 1, 1], data])
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(mirrored, axis=0), axis=1))])
    curve = CubicSpline(steps, mirrored)
    fine = np.linspace(steps[len(data) - 1], steps[-1], 400)
    dense = curve(fine)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    result = np.asarray(curve(np.interp(np.linspace(0, length[-1], count), length, fine)))
    result[0, 0] = 0.0
    return result


def _outward(curve: Array, *, closed: bool) -> Array:
    """Unit normals (N,2) of a frontal curve, to its left when walked, smoothed."""
    if closed:
        tangent = np.roll(curve, -1, 0) - np.roll(curve, 1, 0)
    else:
        tangent = np.gradient(curve, axis=0)
        tangent[[0, -1], 1] = 0.0
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    for _ in range(6):
        if closed:
            normal = 0.5 * normal + 0.25 * (np.roll(normal, 1, 0) + np.roll(normal, -1, 0))
        else:
            normal[1:-1] = 0.5 * normal[1:-1] + 0.25 * (normal[:-2] + normal[2:])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return normal


def mouth_patch() -> Patch:
    """Half mouth: columns from the upper middle over the corner to the lower middle."""
    quarter = MOUTH_AROUND // 4
    rows = []
    for upper, lower in zip(tables.LIP_UPPER, tables.LIP_LOWER, strict=True):
        top, low = _lip_row(upper, quarter + 1), _lip_row(lower, quarter + 1)
        rows.append(np.concatenate([top, low[-2::-1]]))
    border = rows[-1]
    normal = _outward(border[:, :2], closed=False)
    if normal[0, 1] < 0:
        normal = -normal
    depth_border, _ = project(border[:, 0], border[:, 1])
    for distance in MOUTH_OUT:
        flat = border[:, :2] + normal * distance
        flat[[0, -1], 0] = 0.0
        z, _ = project(flat[:, 0], flat[:, 1])
        fade = np.exp(-distance / 2.5)
        rows.append(np.column_stack([flat, z + fade * (border[:, 2] - depth_border)]))
    columns = 2 * quarter + 1
    turn = np.linspace(np.pi / 2, -np.pi / 2, columns)
    inner = _vestibule(rows[0], turn)
    points = np.stack([*inner[::-1], *rows])
    rings = np.arange(-len(inner), len(rows))
    return Patch("mouth", points, rings, np.mod(turn, 2 * np.pi), False, len(points) - 1, domain_of(points[-1]))


def _vestibule(contact: Array, turn: Array) -> list[Array]:
    """Rings from the contact edge inwards: the wet lip, the pocket before the teeth, the cheek walls, the open end of the bag."""
    lift = np.sin(turn)
    side = np.abs(np.cos(turn))
    inner = []
    # columns: how far the upper and lower middle go up, down and back, how far the corner goes in and back
    for up, down, back, corner_in, corner_back in (
        (-0.10, -0.30, 1.7, 0.4, 1.3),
        (3.6, 2.8, 3.6, 0.8, 3.6),
        (7.5, 6.3, 5.2, 0.6, 6.6),
        (10.0, 9.2, 8.2, -0.6, 10.5),
        (11.0, 10.6, 13.5, -1.0, 15.5),
        (10.4, 10.4, 20.0, 1.0, 21.5),
        (8.6, 9.0, 27.0, 5.0, 28.0),
        (6.0, 6.5, 33.0, 9.0, 33.0),
    ):
        y = contact[:, 1] + np.where(lift > 0, up, -down) * np.abs(lift) ** 0.7
        z = contact[:, 2] - (back * (1 - side**2) + corner_back * side**2)
        x = contact[:, 0] - corner_in * side
        x[[0, -1]] = 0.0
        inner.append(np.column_stack([x, y, z]))
    return inner


def eye_patch() -> Patch:
    """The subject's left eye: columns from the outer corner over the top."""
    half = EYE_AROUND // 2
    upper, lower = closed_spline(np.array(tables.EYE_UPPER), half + 1), closed_spline(np.array(tables.EYE_LOWER), half + 1)
    flat = np.concatenate([upper[:-1], lower[:-1]])
    for _ in range(1):
        flat = 0.7 * flat + 0.15 * (np.roll(flat, 1, 0) + np.roll(flat, -1, 0))
    turn = np.arange(EYE_AROUND) * 2 * np.pi / EYE_AROUND
    centre, radius = np.array(tables.EYE_CENTRE), tables.EYE_RADIUS
    z_skin, _ = project(flat[:, 0], flat[:, 1])
    square = (radius + 0.25) ** 2 - ((flat - centre[:2]) ** 2).sum(1)
    z_ball = centre[2] + np.sqrt(np.maximum(square, 0.0))
    weight = np.clip((square - 15) / 40, 0, 1)
    margin = np.column_stack([flat, weight * z_ball + (1 - weight) * (z_skin - 2.2)])
    away = margin - centre
    polar = np.arctan2(np.linalg.norm(away[:, :2], axis=1), away[:, 2])
    around = away[:, :2] / np.linalg.norm(away[:, :2], axis=1, keepdims=True)
    rows = []
    for more, limit, size in ((0.62, 1.62, 12.8), (0.22, 1.2, 12.35)):
        angle = np.minimum(polar + more, limit)
        rows.append(centre + size * np.column_stack([around * np.sin(angle)[:, None], np.cos(angle)]))
    rows.append(margin)
    normal = -_outward(flat, closed=True)
    if ((flat - flat.mean(0)) * normal).sum() < 0:
        normal = -normal
    lift = np.sin(turn)
    outer, inner = np.clip(np.cos(turn), 0, 1) ** 2, np.clip(-np.cos(turn), 0, 1) ** 2
    up, down = np.where(lift > 0, lift**2, 0), np.where(lift < 0, lift**2, 0)
    for (a, b, c, d), fold in zip(_EYE_STEPS, _EYE_FOLD, strict=True):
        distance = a * up + b * down + c * outer + d * inner
        place = flat + normal * distance[:, None]
        z, _ = project(place[:, 0], place[:, 1])
        crease = np.clip(lift, 0, 1) ** 0.8
        rows.append(np.column_stack([place[:, 0], place[:, 1] - 0.5 * max(fold, 0.0) * crease, z + fold * crease]))
    points = np.stack(rows)
    return Patch("eye", points, np.arange(-2, EYE_OUT + 1), turn, True, len(points) - 1, domain_of(points[-1]))


def nostril_patch() -> Patch:
    """The left nostril: an oval rim under the wing, a cavity going up and back."""
    turn = np.arange(NOSTRIL_AROUND) * 2 * np.pi / NOSTRIL_AROUND
    # the oval is laid out in (x, z) on the underside of the nose; y follows the base surface
    axis = np.array([0.50, -0.866])
    across = np.array([0.866, 0.50])
    rows = []
    for long, wide in ((5.2, 3.5), (4.2, 2.5)):
        flat = np.array([7.9, 31.4]) + np.outer(np.cos(turn) * long, axis) + np.outer(np.sin(turn) * wide, across)
        y = _underside(flat[:, 0], flat[:, 1])
        rows.append(np.column_stack([flat[:, 0], y, flat[:, 1]]))
    rim, lip = rows
    shallow = lip * [1, 1, 1] + np.array([-0.2, 2.6, -0.8])
    middle = lip.mean(0)
    deep = middle + (lip - middle) * 0.8 + np.array([-0.5, 7.0, -2.2])
    points = np.stack([deep, shallow, lip, rim])
    return Patch("nostril", points, np.arange(-2, 2), turn, True, 3, domain_of(rim), cap=deep.mean(0) + np.array([0, 2.0, -1.0]))


def _underside(x: Array, z: Array) -> Array:
    """Height of the underside of the nose at (x, z)."""
    theta = np.arctan2(x, z - tables.AXIS_Z)
    wanted = np.hypot(x, z - tables.AXIS_Z)
    heights = np.linspace(-46.5, -36.5, 81)
    t = np.repeat(theta[:, None], len(heights), 1)
    radius = np.linalg.norm(position(t, sigma_of(np.broadcast_to(heights, t.shape)))[..., [0, 2]] - [0, tables.AXIS_Z], axis=-1)
    radius = np.maximum.accumulate(radius, axis=1)
    return np.array([np.interp(w, row, heights) for w, row in zip(wanted, radius, strict=True)])


def ear_patch() -> Patch:
    """The left ear: rings from its foot on the head over the rim into the concha."""
    points, turn, domain = head_ear.ear_rings()
    return Patch("ear", points, np.arange(len(points)), turn, True, 0, domain, cap=head_ear.ear_cap(points))
