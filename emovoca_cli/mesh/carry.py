"""Carrying a face's motion to any other mesh by its 68 landmarks: no training, nothing but the two faces at rest.

First the landmarks' motion is turned and scaled into the other face, locally: a wide mouth opens wider, lids that are further apart
have further to go, and lips meet where the other face's lips meet. Then the other mesh follows its landmarks, and guides
between them (`guides.py`) where the source's whole surface is known, as smoothly as its own surface can (`deform.smooth_weights`);
its eyeballs turn with the gaze, its teeth and tongue move rigidly with head and jaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from emovoca_cli.constants import INNER_LIP_PAIRS, LANDMARKS
from emovoca_cli.errors import DataError
from emovoca_cli.mesh.deform import smooth_weights
from emovoca_cli.mesh.gaze import eye_turns, gaze_yaw
from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.guides import APART, Guides, find_guides
from emovoca_cli.mesh.landmarks import UPPER_LIP, eye_distance, landmark_points, nearest_surface
from emovoca_cli.mesh.lips import Lips, face_axes
from emovoca_cli.mesh.pieces import Pieces, find_pieces
from emovoca_cli.mesh.topology import AnyFloat, AnyInt
from emovoca_cli.types import Float, MeshTemplate

Array = NDArray[np.float64]

STILL = 0.45
"""Skin further than this from every landmark stays: back of the head, ears, neck. Lengths are shares of the outer-eye distance."""
SAME = 0.02
"""Corners of the outer and the inner lips that lie this near to one another count as one point."""
LOCAL = 0.35
"""Width of the neighbourhood whose size scales a landmark's motion."""
SEALED, OPEN = 0.0035, 0.035
"""Up to the first the source's lips count as sealed, from the second as open (0.3 and 3 mm)."""
PRESSED = 0.0035
"""How far lips that are sealed overlap on the other face beyond what the source's do: against slits between the landmarks."""
UPPER_PART = 0.35
"""Share of a correction of the lips that the upper lip makes."""
LIP_COLUMNS = (((61, 50), (67, 58)), ((62, 51), (66, 57)), ((63, 52), (65, 56)))
"""Inner and outer landmarks of the upper and the lower lip at each inner-lip pair."""
LIP_SIDES = ((49, 0), (59, 0), (53, 2), (55, 2))
"""Landmarks between the corner and a pair, which take half of that pair's correction."""
LIDS = ((37, 41), (38, 40), (43, 47), (44, 46))
JAW = tuple(range(2, 15))
"""Landmarks whose rigid motion stands for the jaw's where nothing better is known of the source."""
LOWER_FACE = tuple(range(48, 68))
"""Landmarks whose middles are laid on each other to carry the jaw's motion over."""
TWINS = ((48, 60), (54, 64))
MOST = 2.5
"""A local size is not let run away further than this from the global one."""


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """How the landmarks of one face move as those of another do.

    turn (3,3): rotation from the source's axes to the target's; axes (3,3): the target face's own axes as rows; scales (68,3):
    sizes of motion along them; landmarks (68,3): the target's at rest, metres; seal: what its lips need.
    """

    turn: Array
    axes: Array
    scales: Array
    landmarks: Array
    seal: Seal

    @classmethod
    def between(cls, source: MeshTemplate, target: MeshTemplate, *, rest: AnyFloat | None = None) -> LandmarkMap:
        """From a template, or from another face at rest (V,3) of it, to a target; both with 68 landmarks. Raises DataError."""
        ours = np.asarray(source.vertices if rest is None else rest, dtype=np.float64)
        mine, theirs = _landmarks(source, ours), _landmarks(target, np.asarray(target.vertices, dtype=np.float64))
        local = local_scales(mine, theirs)
        scales = np.repeat(local[:, None], 3, axis=1)
        _scale_lids(scales, mine, theirs)
        seal = Seal.between(source, ours, mine, target, theirs, local)
        return cls(rotation_between(mine, theirs), face_axes(theirs), scales, theirs, seal)

    def motion(self, motion: AnyFloat) -> Array:
        """Displacements (T,68,3) of the target's landmarks, metres, from those of the source's (T,68,3)."""
        moved = np.asarray(motion, dtype=np.float64)
        if moved.ndim != 3 or moved.shape[1:] != (LANDMARKS, 3):
            raise DataError(f"landmark motion has shape {moved.shape}, expected (T,{LANDMARKS},3)")
        along = moved @ (self.axes @ self.turn).T  # in the face's own axes
        return self.seal.closed(along, along * self.scales) @ self.axes


@dataclass(frozen=True, eq=False)
class Carry:
    """How one face moves another mesh: by its landmarks alone, or with guides between them.

    landmarks: what moves the mesh's own landmarks; weights (V,68+G): how far each vertex goes with each of them and of the guides;
    pieces of the mesh; source_rest (N,3) and rest (V,3): both at rest, metres.
    """

    source: MeshTemplate
    source_rest: Array
    landmarks: LandmarkMap
    guides: Guides | None
    weights: Array
    pieces: Pieces
    rest: Array

    @classmethod
    def between(cls, source: MeshTemplate, target: MeshTemplate, *, rest: AnyFloat | None = None, guided: bool = False) -> Carry:
        """From a template, or from another face at rest (V,3) of it, to a target; both with 68 landmarks.

        guided: with `guides`, for a source whose whole surface moves. Raises DataError.
        """
        ours = np.asarray(source.vertices if rest is None else rest, dtype=np.float64)
        map_ = LandmarkMap.between(source, target, rest=rest)
        theirs, faces = map_.landmarks, np.asarray(target.faces)
        pieces = find_pieces(target.vertices, faces, theirs)
        skin = faces[pieces.skin[faces[:, 0]]]
        mine = _landmarks(source, ours)
        guides = find_guides(ours, source.faces, mine, target.vertices, skin, theirs) if guided else None
        weights = _weights(target, skin, theirs, pieces, guides)
        return cls(source, ours, map_, guides, weights, pieces, np.asarray(target.vertices, dtype=np.float64))

    def follow(self, displacements: AnyFloat) -> Float:
        """Displacements (T,V,3) of the mesh, metres, from those of the source's vertices (T,N,3)."""
        source, map_ = self.source, self.landmarks
        marks = landmark_points(displacements, source.faces, source.landmark_faces, source.landmark_weights)
        if self.guides is None:
            return self.vertex_motion(map_.motion(marks), None, self._source_jaw(np.asarray(displacements, np.float64)))
        # A guide goes as far as its landmark's neighbourhood is large; it lies where nothing has to meet or to shut.
        sizes = map_.scales[self.guides.landmark, 0]
        led = sizes[:, None] * (np.asarray(displacements, np.float64)[:, self.guides.vertices] @ map_.turn.T)
        return self.vertex_motion(map_.motion(marks), led, self._source_jaw(np.asarray(displacements, np.float64)))

    def vertex_motion(self, landmarks: AnyFloat, guides: Array | None = None, jaw: Array | None = None) -> Float:
        """Displacements (T,V,3) of the mesh, metres, from those of its own landmarks (T,68,3) and guides (T,G,3).

        jaw (T,N,3): displacements of the N vertices that the jaw carries, default from the landmarks. Raises DataError for guides
        that it was not made for.
        """
        moved = np.asarray(landmarks, dtype=np.float64)
        frames, count = len(moved), len(self.weights)
        handles = moved if guides is None else np.concatenate([moved, guides], axis=1)
        if handles.shape[1] != self.weights.shape[1]:
            raise DataError(f"motion of {handles.shape[1]} points was given, this carry-over is by {self.weights.shape[1]}")
        flat = handles.transpose(1, 0, 2).reshape(handles.shape[1], -1)
        out = (self.weights @ flat).reshape(count, frames, 3).transpose(1, 0, 2)
        led = np.flatnonzero(self.pieces.jaw)
        if len(led):
            out[:, led] += self.pieces.jaw[led, None] * (self._jaw_motion(moved, led) if jaw is None else jaw)
        gaze = gaze_yaw(moved + self.landmarks.landmarks, self.landmarks.landmarks)
        for eye in self.pieces.eyes:
            if eye.any():
                out[:, eye] = eye_turns(self.rest[eye], gaze)
        return np.ascontiguousarray(out, dtype=np.float32)

    def motion(self, motion: AnyFloat) -> Float:
        """Displacements (T,V,3) of the mesh, metres, from those of the source's landmarks (T,68,3)."""
        return self.vertex_motion(self.landmarks.motion(motion))

    def _source_jaw(self, displacements: Array) -> Array | None:
        """Displacements (T,N,3) of what the jaw carries, from those of the source's vertices (T,M,3).

        That is the rigid motion of the skin that the source's own teeth go with; None where it has none.
        """
        anchors = next((part.anchors for part in self.source.parts if part.drive == "jaw" and len(part.anchors)), None)
        led = np.flatnonzero(self.pieces.jaw)
        if anchors is None or not len(led):
            return None
        source, map_ = self.source, self.landmarks
        rest = self.source_rest[anchors]
        goal = rest + displacements[:, anchors]
        middle, there = rest.mean(axis=0), goal.mean(axis=1)
        turn = kabsch(rest - middle, goal - there[:, None])
        marks = landmark_points(self.source_rest, source.faces, source.landmark_faces, source.landmark_weights)
        mine, theirs = marks[list(LOWER_FACE)].mean(axis=0), map_.landmarks[list(LOWER_FACE)].mean(axis=0)
        size = float(map_.scales[list(LOWER_FACE), 0].mean())
        # Where the target's teeth would be in the source, how far they go there, and that in the target's size and axes.
        place = (self.rest[led] - theirs) @ map_.turn / size + mine
        moved = there[:, None] + np.einsum("tij,nj->tni", turn, place - middle) - place
        return np.asarray(size * moved @ map_.turn.T)

    def _jaw_motion(self, moved: Array, led: NDArray[np.int64]) -> Array:
        """Displacements (T,N,3) of what the jaw carries: the rigid motion of the chin's landmarks."""
        rest = self.landmarks.landmarks[list(JAW)]
        goal = rest + moved[:, list(JAW)]
        middle, there = rest.mean(axis=0), goal.mean(axis=1)
        turn = kabsch(rest - middle, goal - there[:, None])
        arm = self.rest[led] - middle
        return np.asarray(there[:, None] + np.einsum("tij,nj->tni", turn, arm) - self.rest[led])


@dataclass(frozen=True, eq=False)
class Seal:
    """What makes the other face's lips meet when the source's do; all (3,) by inner-lip pair, metres.

    gap: how far the source's lips are apart at rest; scale: local size of the target against the source; short: how much further
    than the source's (scaled) the target's lips are apart at rest, negative where they lie deeper in one another;
    unit: eye distance of the source.
    """

    gap: Array
    scale: Array
    short: Array
    unit: float

    @classmethod
    def between(cls, source: MeshTemplate, rest: Array, mine: Array, target: MeshTemplate, theirs: Array, scales: Array) -> Seal:
        """Measured on both faces at rest, with their landmarks (68,3) and local sizes (68,)."""
        gap = rest_gap(rest, source, mine)
        scale = np.array([scales[list(pair)].mean() for pair in INNER_LIP_PAIRS])
        return cls(gap, scale, rest_gap(np.asarray(target.vertices, np.float64), target, theirs) - scale * gap, eye_distance(mine))

    def closed(self, source: Array, target: Array) -> Array:
        """Motion (T,68,3) of the target in its face's axes, corrected; source: what moved it, in the same axes, in its own size."""
        pairs = np.asarray(INNER_LIP_PAIRS)
        opened = source[:, pairs[:, 0], 1] - source[:, pairs[:, 1], 1]  # (T,3)
        wider = self.scale * opened
        open_ = _smooth((self.gap + opened - SEALED * self.unit) / ((OPEN - SEALED) * self.unit))
        # Lips that rest further apart than the source's are brought as near as those at all times. Lips that rest deeper in one
        # another need as much more to part, and do not go deeper than the source's when they are pressed.
        parting = _smooth(wider / (OPEN * self.unit * self.scale))
        deeper = np.where(opened > 0, -self.short * parting, np.minimum(-self.short, np.maximum(-wider, 0)))
        change = np.where(self.short > 0, -self.short, deeper)
        change -= np.minimum(PRESSED * self.unit * self.scale, np.abs(self.short)) * (1 - open_)
        moved = target.copy()
        for column, (upper, lower) in enumerate(LIP_COLUMNS):
            moved[:, upper, 1] += UPPER_PART * change[:, column, None]
            moved[:, lower, 1] -= (1 - UPPER_PART) * change[:, column, None]
        for landmark, column in LIP_SIDES:
            share = UPPER_PART if landmark in UPPER_LIP else UPPER_PART - 1
            moved[:, landmark, 1] += 0.5 * share * change[:, column]
        return moved


def carry_motion(motion: AnyFloat, source: MeshTemplate, target: MeshTemplate, *, rest: AnyFloat | None = None) -> Float:
    """Displacements (T,V,3) in metres of another mesh that does what a face's landmarks do.

    motion (T,68,3): displacements, metres, of the landmarks of `source`, or of another face at rest (N,3) of its topology; target:
    any mesh with 68 landmarks, metres, y up, looking along +z. For several motions make the `Carry` once. Raises DataError.
    """
    return Carry.between(source, target, rest=rest).motion(motion)


def rotation_between(source: Array, target: Array) -> Array:
    """The rotation (3,3) that lays landmarks (68,3) of one face best on another's."""
    return np.asarray(kabsch(source - source.mean(axis=0), (target - target.mean(axis=0))[None])[0])


def kabsch(source: Array, target: Array) -> Array:
    """Rotations (T,3,3) that take centred points (N,3) nearest to centred points (T,N,3)."""
    u, _, vt = np.linalg.svd(np.einsum("tni,nj->tij", target, source))
    flip = np.ones((len(target), 3))
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    return np.asarray((u * flip[:, None, :]) @ vt)


def local_scales(source: AnyFloat, target: AnyFloat) -> Array:
    """Size (68,) of the target face about each landmark against the source's: landmarks (68,3) of both at rest."""
    mine, theirs = np.asarray(source, np.float64), np.asarray(target, np.float64)
    apart = np.linalg.norm(mine[:, None] - mine[None], axis=2) / eye_distance(mine)
    near = np.exp(-0.5 * (apart / LOCAL) ** 2)
    near /= near.sum(axis=1, keepdims=True)
    spread = []
    for points in (mine, theirs):
        centre = near @ points
        spread.append(np.sqrt(np.einsum("lm,lmd->l", near, np.square(points[None] - centre[:, None]))))
    whole = eye_distance(theirs) / eye_distance(mine)
    return np.asarray(np.clip(spread[1] / spread[0], whole / MOST, whole * MOST))


def rest_gap(vertices: Array, template: MeshTemplate, landmarks: Array) -> Array:
    """How far the lips of a face at rest (V,3) are apart at the inner-lip pairs (3,), of surfaces; of landmarks where none face."""
    lips = Lips.of(vertices, template.faces, landmarks)
    pairs = np.asarray(INNER_LIP_PAIRS)
    marked = (landmarks[pairs[:, 0]] - landmarks[pairs[:, 1]]) @ lips.axes[1]
    measured = lips.clearance(vertices[None])[0]
    return np.asarray(np.where(np.isfinite(measured), measured, marked))


def _scale_lids(scales: Array, mine: Array, theirs: Array) -> None:
    """Let lids cross their own opening, whatever its size: the height of their motion is scaled by it."""
    ups = face_axes(mine)[1], face_axes(theirs)[1]
    for pair in LIDS:
        ours, other = (float((points[pair[0]] - points[pair[1]]) @ up) for points, up in zip((mine, theirs), ups, strict=True))
        if ours > 0 and other > 0:
            rows = list(pair)
            scales[rows, 1] = np.clip(other / ours, scales[rows, 0] / MOST, scales[rows, 0] * MOST)


def _weights(target: MeshTemplate, skin: AnyInt, landmarks: Array, pieces: Pieces, guides: Guides | None) -> Array:
    """Weights (V,68+G) of the skin's vertices and of what lies on it; all else keeps still."""
    unit = eye_distance(landmarks)
    place = np.asarray(target.vertices, dtype=np.float64) / unit
    where, shares = nearest_surface(landmarks / unit, place, skin)
    corners = np.asarray(skin)[where]
    held = distance_to_points(place, skin, landmarks / unit) > STILL
    if guides is not None and len(guides.corners):
        corners, shares = np.concatenate([corners, guides.corners]), np.concatenate([shares, guides.shares])
        told = np.einsum("gk,gkd->gd", guides.shares, place[guides.corners])
        held &= np.asarray(cKDTree(told).query(place)[0]) > APART
    weights = smooth_weights(place, skin, corners, shares, held)
    for outer, inner in TWINS:
        if np.linalg.norm(landmarks[outer] - landmarks[inner]) < SAME * unit:
            weights[:, [outer, inner]] = weights[:, [outer, inner]].mean(axis=1, keepdims=True)
    weights[pieces.followers] = np.einsum("nk,nkl->nl", pieces.shares, weights[pieces.nearest])
    return weights


def _landmarks(template: MeshTemplate, vertices: Array) -> Array:
    points = landmark_points(vertices, template.faces, template.landmark_faces, template.landmark_weights).astype(np.float64)
    if points.shape != (LANDMARKS, 3) or not eye_distance(points) > 0:
        raise DataError(f"{template.name} has no {LANDMARKS} landmarks to carry motion by; give them")
    return points


def _smooth(level: Array) -> Array:
    """0 below 0, 1 above 1, and no kink between."""
    share = np.clip(level, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))
