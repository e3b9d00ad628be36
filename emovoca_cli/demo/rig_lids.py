"""Lids that sweep over the eyeball: blink, wide and the lids' share of looking around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from emovoca_cli.demo.rig_anatomy import NOWHERE, Anatomy, Eye, Move
from emovoca_cli.demo.rig_fields import Array, Handles, Index, smoothstep
from emovoca_cli.types import Bool

CLEARANCE = 0.25
"""Millimetres that a lid keeps from the eyeball."""

UPPER_REACH, LOWER_REACH = 12.5, 10.0
"""Millimetres along the skin from the lid margin over which a lid's sweep dies out."""


@dataclass(frozen=True, eq=False)
class LidMap:
    """All that a lid shape needs of one eye.

    near (N,) vertices around it; along (N,), distance (N,) and angle (N,) their polar position; top and bottom (N,) angle of
    the two margins at their place; upper (N,) and lower (N,) share of each lid's sweep; bump (N,) 1 in the middle of the lids,
    0 at the corners; edge (N,) the lid margin and what lies inside it.
    """

    eye: Eye
    near: Index
    along: Array
    distance: Array
    angle: Array
    top: Array
    bottom: Array
    upper: Array
    lower: Array
    bump: Array
    edge: Bool


def lid_map(anatomy: Anatomy, side: int) -> LidMap:
    """Measure the lids of the left (+1) or right (-1) eye."""
    eye = anatomy.eye(side)
    margin = np.flatnonzero((anatomy.eye_ring == 0) & (anatomy.eye_side == side))
    from_margin = anatomy.solver.distance(margin)
    inside = (anatomy.eye_ring < 0) & (anatomy.eye_ring != NOWHERE) & (anatomy.eye_side == side)
    from_margin[inside] = 0.0
    near = np.flatnonzero(from_margin < max(UPPER_REACH, LOWER_REACH) + 1.0)
    along, distance, angle = eye.polar(anatomy.rest[near])
    edges = []
    for sign in (1.0, -1.0):
        part = margin[sign * np.sin(anatomy.eye_u[margin]) > -1e-6]
        t, _, phi = eye.polar(anatomy.rest[part])
        order = np.argsort(t)
        edges.append((t[order], phi[order]))
    low, high = edges[0][0][0], edges[0][0][-1]
    place = np.clip(along, low, high)
    top, bottom = (np.interp(place, t, phi) for t, phi in edges)
    middle = (low + high) / 2.0
    bump = np.sqrt(np.clip(1.0 - ((place - middle) / ((high - low) / 2.0)) ** 2, 0.0, 1.0))
    beyond = np.maximum(np.maximum(low - along, along - high), 0.0)
    sideways = 1.0 - smoothstep(beyond, 0.0, 7.0)
    u = anatomy.eye_u[near]
    labelled = np.isfinite(u)
    is_upper = np.where(labelled, np.sin(np.where(labelled, u, 0.0)) > 0, angle > (top + bottom) / 2.0)
    reach = from_margin[near]
    return LidMap(
        eye, near, along, distance, angle, top, bottom,
        upper=np.where(is_upper, 1.0 - smoothstep(reach, 0.5, UPPER_REACH), 0.0) * sideways,
        lower=np.where(is_upper, 0.0, 1.0 - smoothstep(reach, 0.5, LOWER_REACH)) * sideways,
        bump=bump,
        edge=anatomy.eye_ring[near] <= 0,
    )  # fmt: skip


class Eyeball:
    """How far the eyeball's surface, with its cornea, reaches in a direction."""

    def __init__(self, anatomy: Anatomy, eye: Eye) -> None:
        ball = anatomy.parts["eye_left" if eye.side > 0 else "eye_right"] - eye.centre
        self.eye = eye
        self.radii: Array = np.linalg.norm(ball, axis=1)
        self.tree = cKDTree(ball / self.radii[:, None])

    def radius(self, points: Array) -> Array:
        """Radius (N,) of the eyeball below points (N,3)."""
        offset = points - self.eye.centre
        length = np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-6)
        _, nearest = self.tree.query(offset / length, k=3)
        return np.asarray(self.radii[nearest].max(axis=1), dtype=np.float64)

    def keep_out(self, rest: Array, moves: Array, *, edge: Bool) -> Array:
        """Moves (N,3) lengthened outwards where the moved points, or those half-way there, would lie in the eyeball.

        Half-way counts because coefficients scale moves along a straight line while the eyeball is round; not for the lid's `edge`
        (N,), which the lid's skin hides: held out half-way as well it would stand off when the eye is shut.
        """
        moves = moves.copy()
        room = np.minimum(np.linalg.norm(rest - self.eye.centre, axis=1) - self.radius(rest), CLEARANCE)
        for share in (1.0, 0.5, 0.25, 0.5, 1.0):
            points = rest + share * moves
            offset = points - self.eye.centre
            length = np.linalg.norm(offset, axis=1)
            lack = np.maximum(self.radius(points) + room - length, 0.0)
            # Outwards at the end of the way, so that the lid keeps its angle; what is missing a quarter of the way is not blown up.
            outwards = rest + moves - self.eye.centre
            outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-6)
            lack[edge & (share < 1.0)] = 0.0
            moves += (lack / max(share, 0.5))[:, None] * outwards
        return moves


def sweep(lids: LidMap, ball: Eyeball, rest: Array, *, up: Array, low: Array, shift: Array) -> Array:
    """Turn the lids about the eyeball: up and low (N,) angles of the margins, shift (N,) millimetres along the corner axis."""
    turn = lids.upper * up + lids.lower * low
    drag = np.maximum(lids.upper, lids.lower) * shift
    moved = lids.eye.cartesian(lids.along + drag, lids.distance, lids.angle + turn)
    return ball.keep_out(rest[lids.near], moved - rest[lids.near], edge=lids.edge)


def lid_shapes(anatomy: Anatomy) -> dict[str, Array]:
    """The left eye's blink, wide and look shapes as fields (V,3) in reference millimetres."""
    lids = lid_map(anatomy, 1)
    ball = Eyeball(anatomy, lids.eye)
    opening = lids.top - lids.bottom
    radius = max(lids.eye.radius, 1.0)
    bump = lids.bump
    angle = {
        # The upper margin comes to lie on the lower one, a little over it, so that no slit stays.
        "eyeBlink": (-0.95 * opening - 0.035 * bump, 0.05 * opening, -1.4 * bump),
        "eyeWide": (3.3 / radius * bump, 0.35 / radius * bump, 0.2 * bump),
        "eyeLookUp": (3.4 / radius * bump, 1.5 / radius * bump, 0.1 * bump),
        "eyeLookDown": (-0.78 * opening, -2.1 / radius * bump, -0.1 * bump),
    }
    fields = {}
    for name, (up, low, shift) in angle.items():
        field = np.zeros_like(anatomy.rest)
        field[lids.near] = sweep(lids, ball, anatomy.rest, up=up, low=low, shift=shift)
        fields[name] = field
    sideways: dict[str, tuple[Move, Move]] = {
        "eyeLookIn": ((-2.1, 0.0, 0.1), (-1.8, 0.2, 0.3)),
        "eyeLookOut": ((2.0, 0.2, -0.5), (1.6, 0.1, -0.5)),
    }
    for name, (top, bottom) in sideways.items():
        other = margin_handles(anatomy, -1, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
        handles = Handles.join([margin_handles(anatomy, 1, top, bottom, corners=0.35), other])
        outside = smoothstep(anatomy.solver.distance(margin_vertices(anatomy, 1)), 6.0, 14.0)
        fields[name] = anatomy.solver.solve(handles, outside=outside, leash=4.0)
    return fields


def margin_vertices(anatomy: Anatomy, side: int) -> Index:
    """Vertices of the lid margin and of the rings inside it."""
    return np.flatnonzero((anatomy.eye_side == side) & (anatomy.eye_ring <= 0) & (anatomy.eye_ring != NOWHERE))


def margin_handles(anatomy: Anatomy, side: int, upper: Move, lower: Move, *, corners: float = 0.0) -> Handles:
    """Handles on the lid margins: the given moves in the middle of the lids, `corners` of them at the eye's corners."""
    vertices = margin_vertices(anatomy, side)
    sine = np.sin(anatomy.eye_u[vertices])
    share = corners + (1.0 - corners) * np.sqrt(np.abs(sine))
    moves = np.where(sine[:, None] > 0, np.array(upper, dtype=np.float64), np.array(lower, dtype=np.float64)) * share[:, None]
    return Handles(vertices, moves, np.full(len(vertices), 1.0))


def keep_lids_out(anatomy: Anatomy, field: Array) -> Array:
    """A field (V,3) corrected so that no lid enters an eyeball."""
    field = field.copy()
    for side in (1, -1):
        eye = anatomy.eye(side)
        ball = Eyeball(anatomy, eye)
        margin = margin_vertices(anatomy, side)
        near = np.flatnonzero(np.linalg.norm(anatomy.rest - eye.centre, axis=1) < eye.radius + 6.0)
        near = np.union1d(near, margin)
        field[near] = ball.keep_out(anatomy.rest[near], field[near], edge=np.isin(near, margin))
    return field
