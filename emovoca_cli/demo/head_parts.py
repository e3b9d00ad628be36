"""What is drawn beside the skin of the built-in head: eyeballs, teeth with gums, tongue. Millimetres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.demo import head_tables as tables
from emovoca_cli.demo.head_surface import Array

Mesh = tuple[Array, NDArray[np.int64], Array]
_TOOTH = np.array([0.93, 0.90, 0.83])
_GUM = np.array([0.76, 0.42, 0.41])
_TONGUE = np.array([0.74, 0.38, 0.38])
_THROAT = np.array([0.34, 0.11, 0.11])


def _tube(rings: Array) -> NDArray[np.int64]:
    """Faces of closed rings (R,N) numbered row by row, then one pole before and one after."""
    count, around = rings.shape[:2]
    ids = np.arange(count * around).reshape(count, around)
    right = np.roll(ids, -1, 1)
    a, b, c, d = ids[:-1], right[:-1], right[1:], ids[1:]
    first, last = count * around, count * around + 1
    return np.concatenate(
        [
            np.stack([a, b, c], -1).reshape(-1, 3),
            np.stack([a, c, d], -1).reshape(-1, 3),
            np.stack([np.full(around, first), right[0], ids[0]], -1),
            np.stack([np.full(around, last), ids[-1], right[-1]], -1),
        ]
    )


def eyeball(side: int) -> Mesh:
    """An eyeball looking forward, iris and pupil in its colours; side +1 is the subject's left."""
    polar = np.radians(
        [
            3.5,
            7.0,
            9.3,
            10.3,
            13.0,
            16.0,
            19.0,
            22.0,
            25.0,
            27.6,
            29.4,
            32.0,
            38.0,
            46.0,
            56.0,
            68.0,
            80.0,
            95.0,
            115.0,
            140.0,
            163.0,
        ]
    )
    turn = np.arange(48) * 2 * np.pi / 48
    angle, around = np.meshgrid(polar, turn, indexing="ij")
    radius = tables.EYE_RADIUS + 0.75 * np.clip(1 - (angle / np.radians(33)) ** 2, 0, 1) ** 1.5
    points = np.stack(
        [radius * np.sin(angle) * np.cos(around), radius * np.sin(angle) * np.sin(around), radius * np.cos(angle)], -1
    )
    flat = np.concatenate([points.reshape(-1, 3), [[0, 0, tables.EYE_RADIUS + 0.75]], [[0, 0, -tables.EYE_RADIUS]]])
    degrees = np.degrees(angle)
    fibre = 0.5 + 0.28 * np.sin(17 * around + 2.1 * np.sin(3 * around)) + 0.22 * np.sin(29 * around + 1.0)
    inner, outer = np.array([0.50, 0.36, 0.20]), np.array([0.27, 0.19, 0.12])
    share = np.clip((degrees - 11) / 14, 0, 1)[..., None]
    colors = (1 - share) * inner + share * outer
    colors = colors * (0.80 + 0.40 * fibre[..., None] * (1 - 0.5 * share))
    white = np.array([0.93, 0.915, 0.895]) - np.clip((degrees - 45) / 60, 0, 1)[..., None] * [0.02, 0.12, 0.12]
    colors = np.where((degrees > 26.5)[..., None], np.array([0.14, 0.10, 0.08]), colors)
    colors = np.where((degrees > 29)[..., None], 0.45 * white + 0.55 * np.array([0.3, 0.25, 0.22]), colors)
    colors = np.where((degrees > 31)[..., None], white, colors)
    colors = np.where((degrees < 9.8)[..., None], 0.02, colors)
    tint = np.concatenate([colors.reshape(-1, 3), [[0.02] * 3], [[0.8, 0.6, 0.55]]])
    faces = _tube(points)
    centre = np.array(tables.EYE_CENTRE) * [side, 1, 1]
    return flat + centre, faces[:, ::-1], np.clip(tint, 0, 1)


def _arch(x: Array, front: float, width: float) -> Array:
    """Depth of a dental arch at x: a flattened parabola."""
    share = np.abs(x) / width
    return np.asarray(front - 9.0 * share**2 - 26.0 * share**5)


def _arch_places(widths: tuple[float, ...], front: float, width: float) -> tuple[Array, Array]:
    """Centres (N,2: x, z) and headings of neighbouring teeth from the middle to the left."""
    x = np.linspace(0, width * 1.04, 4000)
    z = _arch(x, front, width)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    middle = 0.5 * (edges[1:] + edges[:-1])
    cx, cz = np.interp(middle, length, x), np.interp(middle, length, z)
    hx, hz = np.gradient(x, length), np.gradient(z, length)
    return np.stack([cx, cz], 1), np.arctan2(-np.interp(middle, length, hz), np.interp(middle, length, hx))


def _tooth(width: float, height: float, thick: float, taper: float) -> tuple[Array, NDArray[np.int64]]:
    """A rounded block: width along x, from y = 0 (root) to y = -height (edge), thickness along z."""
    levels = np.array([0.0, 0.25, 0.5, 0.75, 0.92, 1.0])
    swell = np.array([0.80, 0.95, 1.0, 0.98, 0.92, 0.70])
    slim = np.array([1.0, 1.0, 0.92, 0.72, 0.52, 0.28])
    turn = np.arange(12) * 2 * np.pi / 12
    box = np.stack([np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.55, np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.7], 1)
    slim = taper * slim + (1 - taper) * np.array([1.0, 1.0, 1.0, 0.97, 0.9, 0.6])
    rings = np.stack(
        [
            np.column_stack([box[:, 0] * w * width / 2, np.full(12, -a * height), box[:, 1] * d * thick / 2])
            for a, w, d in zip(levels, swell, slim, strict=True)
        ]
    )
    rings[..., 2] += (thick / 2 * (1 - slim) * 0.55)[:, None]
    return np.concatenate([rings.reshape(-1, 3), [[0, 0.5, 0]], [[0, -height * 1.005, rings[-1, :, 2].mean()]]]), _tube(rings)


def teeth(*, upper: bool) -> Mesh:
    """A row of fourteen teeth with the gum they stand in."""
    widths = (8.3, 6.6, 7.6, 6.9, 6.7, 9.6, 9.0) if upper else (5.3, 5.8, 6.8, 6.9, 7.0, 10.4, 9.6)
    heights = (10.2, 9.0, 9.8, 8.2, 7.6, 7.0, 6.8) if upper else (8.8, 8.9, 9.8, 8.4, 7.8, 7.2, 7.0)
    front, width = (17.6, 26.5) if upper else (14.8, 24.5)
    root = -60.2 if upper else -77.4
    sign = 1.0 if upper else -1.0
    places, heading = _arch_places(widths, front, width)
    points, faces, colors, count = [], [], [], 0
    for k, (place, turn) in enumerate(zip(places, heading, strict=True)):
        thick = (6.2, 6.0, 7.4, 8.4, 8.8, 10.2, 10.2)[k]
        shape, tri = _tooth(widths[k] * 0.97, heights[k], thick, 1.0 if k < 3 else 0.25)
        shape = shape * [1, sign, 1]
        tri = tri if upper else tri[:, ::-1]
        lean = shape[:, 1] * (-0.10 if upper else -0.06) * (1.0 if k < 3 else 0.3)
        x = shape[:, 0] * np.cos(turn) + (shape[:, 2] + lean - thick / 2) * np.sin(turn)
        z = -shape[:, 0] * np.sin(turn) + (shape[:, 2] + lean - thick / 2) * np.cos(turn)
        placed = np.column_stack([x + place[0], shape[:, 1] + root, z + place[1]])
        shade = np.clip(np.abs(shape[:, 1:2]) / heights[k], 0, 1)
        tint = _TOOTH * (0.90 + 0.10 * shade) * (1 - 0.02 * k) - (1 - shade) * [0.0, 0.02, 0.05]
        for side in (1, -1):
            points.append(placed * [side, 1, 1])
            faces.append((tri if side > 0 else tri[:, ::-1]) + count)
            colors.append(tint)
            count += len(placed)
    # the gum: a bead along the arch, scalloped between the teeth
    x = np.linspace(-1, 1, 57)
    along = np.sign(x) * np.abs(x) ** 0.9 * width * 1.02
    z = _arch(along, front, width)
    tangent = np.stack([np.gradient(along), np.gradient(z)], 1)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal *= np.where(normal[:, 1:2] < 0, -1, 1)
    turn = np.arange(10) * 2 * np.pi / 10
    deep = 4.6
    ring = np.stack(
        [
            np.stack(
                [
                    along[:, None] + normal[:, :1] * (np.cos(turn) * deep - deep + 0.9),
                    np.broadcast_to(root + sign * (1.6 + np.sin(turn) * 4.0), (57, 10)),
                    z[:, None] + normal[:, 1:] * (np.cos(turn) * deep - deep + 0.9),
                ],
                -1,
            )
        ]
    )[0]
    bead = np.concatenate([ring.reshape(-1, 3), ring[:1].mean(1), ring[-1:].mean(1)])
    points.append(bead)
    faces.append((_tube(ring)[:, ::-1] if upper else _tube(ring)) + count)
    colors.append(np.broadcast_to(_GUM, bead.shape))
    return np.concatenate(points), np.concatenate(faces), np.clip(np.concatenate(colors), 0, 1)


def tongue() -> Mesh:
    """The tongue at rest behind the lower teeth, with a middle furrow."""
    depth = np.array([12.6, 11.6, 9.5, 6.5, 2.0, -4.0, -11.0, -19.0, -28.0])
    half = np.array([5.0, 8.5, 12.0, 15.0, 17.5, 19.5, 20.5, 20.5, 19.0])
    top = np.array([-74.2, -73.2, -72.2, -71.2, -70.0, -68.6, -67.4, -67.0, -68.5])
    low = np.array([-76.4, -77.2, -78.2, -79.2, -80.5, -82.0, -84.0, -86.0, -88.0])
    turn = np.arange(20) * 2 * np.pi / 20
    rows = []
    for z, w, t, b in zip(depth, half, top, low, strict=True):
        across, up = np.cos(turn), np.sin(turn)
        y = np.where(up > 0, (t + b) / 2 + (t - b) / 2 * np.abs(up) ** 0.7, (t + b) / 2 - (t - b) / 2 * np.abs(up))
        y = y - 1.1 * np.exp(-((across / 0.16) ** 2)) * (up > 0)
        rows.append(np.column_stack([across * w, y, np.full(20, z)]))
    rings = np.stack(rows)
    points = np.concatenate([rings.reshape(-1, 3), [[0, -75.3, 13.0]], [[0, -78, -30.0]]])
    shade = 1 + 0.05 * np.sin(points[:, :1] * 1.3) * np.cos(points[:, 2:] * 1.1)
    return points, _tube(rings)[:, ::-1], np.clip(_TONGUE * shade, 0, 1)


def throat() -> Mesh:
    """A bowl behind the open end of the mouth's bag, so that nobody looks through the head; wider below, where the jaw goes."""
    radius = np.array([1.0, 0.97, 0.86, 0.66, 0.40, 0.14])
    depth = np.array([-9.0, -15.0, -20.5, -24.5, -27.0, -28.0])
    turn = np.arange(24) * 2 * np.pi / 24
    across, up = np.cos(turn), np.sin(turn)
    rings = np.stack(
        [
            np.column_stack([22 * r * across, -68 + np.where(up > 0, 11, 27) * r * up, np.full(24, z)])
            for r, z in zip(radius, depth, strict=True)
        ]
    )
    points = np.concatenate([rings.reshape(-1, 3), [[0, -72, -28.2]]])
    ids = np.arange(rings.shape[0] * 24).reshape(-1, 24)
    near, far = ids[:-1], ids[1:]
    a, b, c, d = near, np.roll(near, -1, axis=1), far, np.roll(far, -1, axis=1)
    walls = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    end = np.stack([ids[-1], np.roll(ids[-1], -1), np.full(24, len(points) - 1)], -1)
    # Seen from inside, so the walls face the middle.
    return points, np.concatenate([walls, end]).astype(np.int64), np.broadcast_to(_THROAT, points.shape).copy()
