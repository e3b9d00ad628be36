"""The topology of the built-in head: free points between the rings, triangulation, sewing, mirroring."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from emovoca_cli.demo.head_rings import Patch, ear_patch, eye_patch, mouth_patch, nostril_patch
from emovoca_cli.demo.head_surface import BOTTOM, SIGMA_TOP, Array, position, sigma_of
from emovoca_cli.errors import TopologyError

Index = NDArray[np.int64]
SEED = 7
COARSE, FACE, SLOPE = 11.8, 4.4, 0.16


# places that need fine edges: x, y, z, radius, edge length (mm): the tip, the wing and its groove, the brow
_DENSE = (
    (0, -34, 40, 12, 2.5), (14, -38, 24, 8, 2.3), (18, -38, 18, 5, 2.3), (5, -52, 29, 6, 2.8),
    (13, 26, 20, 5, 2.7), (22, 27.5, 18, 5, 2.6), (31, 29, 15, 5, 2.6), (40, 28.5, 10, 5, 2.6), (49, 25.5, 3, 5, 2.6),
)  # fmt: skip


@dataclass(frozen=True)
class HalfMesh:
    """The left half: points (N,3) mm, faces, labels, `middle` marks points on x = 0."""

    points: Array
    faces: Index
    middle: NDArray[np.bool_]
    patch: Index
    ring: Index
    angle: Array


PATCH_NAMES = ("free", "mouth", "eye", "nostril", "ear")


def _spacing(points: Array, patches: list[Patch]) -> Array:
    """Wanted edge length at points (N,3), mm."""
    y, z = points[:, 1], points[:, 2]
    front = np.clip((z + 42) / 45, 0, 1) * np.clip((y + 132) / 20, 0, 1) * np.clip((78 - y) / 40, 0, 1)
    size = COARSE + (FACE - COARSE) * front
    for patch in patches:
        loop = patch.points[patch.loop]
        edge = np.linalg.norm(loop - np.roll(loop, 1, 0), axis=1)
        distance, near = cKDTree(loop).query(points)
        local = np.maximum(np.median(edge), np.minimum(edge, 3.2))[near] * 1.05
        size = np.minimum(size, local + SLOPE * np.maximum(distance - 1, 0))
    for x, height, depth, radius, small in _DENSE:
        distance = np.linalg.norm(points - [x, height, depth], axis=1)
        size = np.minimum(size, small + SLOPE * np.maximum(distance - radius, 0))
    return size


def _disk(domain: Array) -> Array:
    """Map the half domain to a half disk (near-conformal), its straight side bulged so that it stays on the hull."""
    up = np.clip((domain[:, 1] - 30.0) / 95.5, None, np.pi / 2)
    radius = np.where(domain[:, 1] > 30, np.tan(0.5 * (np.pi / 2 - np.maximum(up, 0.0))), np.exp(-(domain[:, 1] - 30.0) / 80.0))
    flat = np.stack([radius * np.sin(domain[:, 0]), radius * np.cos(domain[:, 0])], 1)
    top = np.exp(-(float(sigma_of(np.array(BOTTOM))) - 30.0) / 80.0)
    flat[:, 0] -= 1e-3 * top * (1 - (flat[:, 1] / top) ** 2)
    return flat


def _walk(theta: float, low: float, high: float, patches: list[Patch]) -> Array:
    """Points of the midline meridian between two sigmas (excluded) at the wanted spacing: their sigma."""
    fine = np.linspace(low, high, 2000)
    line = position(np.full(len(fine), theta), fine)
    density = 1.0 / _spacing(line, patches)
    count = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.linalg.norm(np.diff(line, axis=0), axis=1))])
    number = max(round(float(count[-1])), 1)
    return np.asarray(np.interp(np.arange(1, number) / number * count[-1], count, fine))


def _inside(points: Array, polygon: Array) -> NDArray[np.bool_]:
    """Even-odd test of points (N,2) in a polygon (M,2)."""
    x, y = points[:, 0], points[:, 1]
    result = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (a[1] > y) != (b[1] > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = a[0] + (y - a[1]) * (b[0] - a[0]) / (b[1] - a[1])
        result ^= crosses & (x < at)
    return result


def _free_points(fixed: Array, patches: list[Patch], holes: list[Array]) -> Array:
    """Domain (N,2) of evenly relaxed free points; `fixed` (M,2) points take part but stay."""
    rng = np.random.default_rng(SEED)
    low = float(sigma_of(np.array(BOTTOM)))
    cloud = np.stack([rng.uniform(0, np.pi, 220_000), rng.uniform(low, SIGMA_TOP, 220_000)], 1)
    here = position(cloud[:, 0], cloud[:, 1])
    step = 1e-3
    du = (position(np.clip(cloud[:, 0] + step, 0, np.pi), cloud[:, 1]) - here) / step
    dv = (position(cloud[:, 0], np.clip(cloud[:, 1] + 0.25, None, SIGMA_TOP)) - here) / 0.25
    area = np.linalg.norm(np.cross(du, dv), axis=1)
    size = _spacing(here, patches)
    weight = area / size**2
    keep = rng.uniform(0, 1, len(cloud)) < weight / np.quantile(weight, 0.995)
    disk = _disk(cloud)
    for hole in holes:
        keep &= ~_inside(disk, hole)
    cloud, here, size, area = cloud[keep], here[keep], size[keep], area[keep]
    solid = position(fixed[:, 0], fixed[:, 1])
    chosen: list[int] = []
    tree = cKDTree(here)
    covered = np.zeros(len(here), bool)
    for point, radius in zip(solid, _spacing(solid, patches), strict=True):
        covered[tree.query_ball_point(point, 0.78 * radius)] = True
    for index in rng.permutation(len(here)):
        if not covered[index]:
            chosen.append(int(index))
            covered[tree.query_ball_point(here[index], 0.80 * size[index])] = True
    free = here[chosen]
    for _ in range(25):
        _, owner = cKDTree(np.concatenate([solid, free])).query(here)
        mass = 1.0 / size**2
        total = np.bincount(owner, mass, len(solid) + len(free))[len(solid) :]
        centre = np.stack([np.bincount(owner, mass * here[:, k], len(solid) + len(free))[len(solid) :] for k in range(3)], 1)
        centre = np.where(total[:, None] > 0, centre / np.maximum(total, 1e-9)[:, None], free)
        _, nearest = tree.query(centre)
        free = here[nearest]
    return np.asarray(cloud[np.unique(tree.query(free)[1])])


def _flip(points: Array, faces: Index) -> Index:
    """Flip edges until the surface triangulation is Delaunay in space (sum of opposite angles at most pi)."""
    triangles = [list(map(int, f)) for f in faces]
    edges: dict[tuple[int, int], int] = {}
    for t, tri in enumerate(triangles):
        for k in range(3):
            edges[(tri[k], tri[(k + 1) % 3])] = t

    def corner(a: int, b: int, c: int) -> float:
        u, v = points[b] - points[a], points[c] - points[a]
        return float(np.arctan2(np.linalg.norm(np.cross(u, v)), u @ v))

    stack = sorted(edges)
    budget = 60 * len(faces)
    while stack and budget:
        budget -= 1
        a, b = stack.pop()
        left, right = edges.get((a, b)), edges.get((b, a))
        if left is None or right is None:
            continue
        c = next(v for v in triangles[left] if v not in (a, b))
        d = next(v for v in triangles[right] if v not in (a, b))
        if (c, d) in edges or (d, c) in edges or corner(c, a, b) + corner(d, a, b) <= np.pi + 1e-6:
            continue
        n1, n2 = np.cross(points[d] - points[c], points[b] - points[c]), np.cross(points[a] - points[c], points[d] - points[c])
        old = np.cross(points[b] - points[a], points[c] - points[a]) + np.cross(points[a] - points[b], points[d] - points[b])
        if n1 @ n2 <= 0.2 * np.linalg.norm(n1) * np.linalg.norm(n2) or n1 @ old <= 0:
            continue
        triangles[left], triangles[right] = [c, d, b], [d, c, a]
        del edges[(a, b)], edges[(b, a)]
        for t in (left, right):
            tri = triangles[t]
            for k in range(3):
                edges[(tri[k], tri[(k + 1) % 3])] = t
        stack += [(a, c), (c, b), (b, d), (d, a), (c, a), (b, c), (d, b), (a, d)]
    return np.array(triangles, dtype=np.int64)


def _grid_faces(ids: Index, points: Array, *, closed: bool) -> Index:
    """Triangles of a grid of point numbers (rings, around), each quad cut along its shorter diagonal."""
    if closed:
        ids, points = np.concatenate([ids, ids[:, :1]], 1), np.concatenate([points, points[:, :1]], 1)
    a, b, c, d = ids[:-1, :-1], ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]
    straight = (
        np.linalg.norm(points[:-1, :-1] - points[1:, 1:], axis=-1)
        <= np.linalg.norm(points[:-1, 1:] - points[1:, :-1], axis=-1) + 1e-6
    )
    one = np.where(straight[..., None], np.stack([a, b, c], -1), np.stack([a, b, d], -1))
    two = np.where(straight[..., None], np.stack([a, c, d], -1), np.stack([b, c, d], -1))
    return np.concatenate([one.reshape(-1, 3), two.reshape(-1, 3)])


@dataclass(frozen=True)
class Layout:
    """The half head's topology: domain (N,2) of the free points, and all faces (F,3) in the order of `half_mesh`'s points."""

    domain: Array
    faces: Index


def _patches() -> list[Patch]:
    return [mouth_patch(), eye_patch(), nostril_patch(), ear_patch()]


def plan_layout() -> Layout:
    """Place and join the free points. Slow; the plan is shipped, so that the faces stay while positions are refined."""
    patches = _patches()
    loops = [p.loop_domain for p in patches]
    low = float(sigma_of(np.array(BOTTOM)))
    upper_gate, lower_gate = float(loops[0][0, 1]), float(loops[0][-1, 1])
    front_up = np.stack([np.zeros_like(s := _walk(0.0, upper_gate, SIGMA_TOP, patches)), s], 1)
    front_low = np.stack([np.zeros_like(s := _walk(0.0, low, lower_gate, patches)), s], 1)
    back = np.stack([np.full_like(s := _walk(np.pi, low, SIGMA_TOP, patches), np.pi), s], 1)
    rim = np.linspace(0, np.pi, 27)
    foot = np.stack([rim, np.full(len(rim), low)], 1)
    crown = np.array([[0.0, SIGMA_TOP]])
    line = np.concatenate([front_up, front_low, back, foot, crown])
    fixed = np.concatenate([*loops, line])
    holes = [_disk(loop) for loop in loops]
    holes[0] = np.concatenate([holes[0], [[-10.0, holes[0][-1, 1]], [-10.0, holes[0][0, 1]]]])
    free = _free_points(fixed, patches, holes)
    domain = np.concatenate([fixed, free])
    disk = _disk(domain)
    triangles = Delaunay(disk, qhull_options="Qbb Qc Qz Q12").simplices.astype(np.int64)
    triangles = _recover(triangles, disk, [len(loop) for loop in loops])
    centre = disk[triangles].mean(1)
    keep = np.ones(len(triangles), bool)
    for hole in holes:
        keep &= ~_inside(centre, hole)
    triangles = triangles[keep]
    u, v = disk[triangles[:, 1]] - disk[triangles[:, 0]], disk[triangles[:, 2]] - disk[triangles[:, 0]]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    triangles = np.where((area < 0)[:, None], triangles, triangles[:, [0, 2, 1]])
    bare = domain[len(fixed) - len(line) :]
    points = np.concatenate([*[p.points[p.loop] for p in patches], position(bare[:, 0], bare[:, 1])])
    return Layout(bare, _sew(patches, points, _flip(points, triangles)))


def half_mesh(layout: Layout) -> HalfMesh:
    """The left half: every part of the layout at its place on the present surface, sewn to the rings."""
    patches = _patches()
    free = position(layout.domain[:, 0], layout.domain[:, 1])
    free[(layout.domain[:, 0] < 1e-6) | (layout.domain[:, 0] > np.pi - 1e-6), 0] = 0.0
    points, extra = [p.points[p.loop] for p in patches] + [free], []
    kind, ring, angle = [], [], []
    late_kind, late_ring, late_angle = [], [], []
    for code, patch in enumerate(patches, 1):
        around = patch.points.shape[1]
        kind.append(np.full(around, code))
        ring.append(np.full(around, patch.rings[patch.loop]))
        angle.append(patch.angle)
        for row, number in enumerate(patch.rings):
            if row != patch.loop:
                extra.append(patch.points[row])
                late_kind.append(np.full(around, code))
                late_ring.append(np.full(around, number))
                late_angle.append(patch.angle)
        if patch.cap is not None:
            extra.append(patch.cap[None])
            late_kind.append(np.array([code]))
            late_ring.append(np.array([patch.rings[-1] + 1 if patch.loop == 0 else patch.rings[0] - 1]))
            late_angle.append(np.array([np.nan]))
    kind += [np.zeros(len(free), np.int64), *late_kind]
    ring += [np.full(len(free), -999), *late_ring]
    angle += [np.full(len(free), np.nan), *late_angle]
    every = np.concatenate(points + extra)
    return HalfMesh(
        every, layout.faces, np.abs(every[:, 0]) < 1e-6, np.concatenate(kind), np.concatenate(ring), np.concatenate(angle)
    )


def _recover(triangles: Index, disk: Array, sizes: list[int]) -> Index:
    """Flip edges in the plane until every ring's edge is there. Raises TopologyError where that fails."""
    faces = [list(map(int, t)) for t in triangles]

    def side(p: int, q: int, r: int) -> float:
        u, v = disk[q] - disk[p], disk[r] - disk[p]
        return float(u[0] * v[1] - u[1] * v[0])

    def crossing(a: int, b: int) -> list[tuple[int, int, int, int]]:
        found: dict[tuple[int, int], list[int]] = {}
        for t, face in enumerate(faces):
            for k in range(3):
                p, q = face[k], face[k - 1]
                if {p, q} & {a, b} or side(a, b, p) * side(a, b, q) >= 0 or side(p, q, a) * side(p, q, b) >= 0:
                    continue
                found.setdefault((min(p, q), max(p, q)), []).append(t)
        return [(p, q, pair[0], pair[1]) for (p, q), pair in sorted(found.items()) if len(pair) == 2]

    start = 0
    for number, size in enumerate(sizes):
        ids = [start + k for k in range(size)] + ([start] if number else [])
        start += size
        for a, b in pairwise(ids):
            if any(a in face and b in face for face in faces):
                continue
            for _ in range(200):
                edges = crossing(a, b)
                if not edges:
                    break
                for p, q, one, two in edges:
                    c = next(v for v in faces[one] if v not in (p, q))
                    d = next(v for v in faces[two] if v not in (p, q))
                    if side(c, d, p) * side(c, d, q) < 0 and side(p, q, c) * side(p, q, d) < 0:
                        faces[one], faces[two] = [c, d, p], [d, c, q]
                        break
            else:
                raise TopologyError(
                    f"ring {PATCH_NAMES[number + 1]} misses an edge in the triangulation; move it and its neighbours apart"
                )
    return np.array(faces, dtype=np.int64)


def _sew(patches: list[Patch], points: Array, triangles: Index) -> Index:
    """Faces of the half: the free triangulation and the rings' own, in the point order of `half_mesh`."""
    total, start = len(points), 0
    faces = [triangles]
    used = {(int(t[k - 1]), int(t[k])) for t in triangles for k in range(3)}
    for patch in patches:
        rows, around = patch.points.shape[:2]
        ids = np.zeros((rows, around), np.int64)
        ids[patch.loop] = np.arange(start, start + around)
        start += around
        for row in range(rows):
            if row != patch.loop:
                ids[row] = total + np.arange(around)
                total += around
        grid = _grid_faces(ids, patch.points, closed=patch.closed)
        if patch.cap is not None:
            last = ids[-1] if patch.loop == 0 else ids[0]
            fan = np.stack([last, np.roll(last, -1), np.full(around, total)], 1)
            total += 1
            grid = np.concatenate([grid, fan if patch.loop == 0 else fan[:, ::-1]])
        edge = (int(ids[patch.loop][0]), int(ids[patch.loop][1]))
        mine = {(int(t[k - 1]), int(t[k])) for t in grid for k in range(3)}
        faces.append(grid[:, ::-1] if (edge in used) == (edge in mine) else grid)
    return np.concatenate(faces)


def mirror_mesh(half: HalfMesh) -> tuple[Array, Index, Index, Index]:
    """Both halves: points (V,3), faces (F,3), mirror (V,), and for each vertex the half vertex it comes from."""
    count = len(half.points)
    twin = np.arange(count)
    off = np.flatnonzero(~half.middle)
    twin[off] = count + np.arange(len(off))
    points = np.concatenate([half.points, half.points[off] * [-1, 1, 1]])
    points[: len(half.points)][half.middle, 0] = 0.0
    mirror = np.concatenate([twin, off])
    faces = np.concatenate([half.faces, twin[half.faces][:, ::-1]])
    return points, faces, mirror, np.concatenate([np.arange(count), off])
