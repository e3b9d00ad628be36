"""How the lids of a face shut and follow the gaze, from its 68 landmarks alone: for any topology."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.animation.track import ease
from emovoca_cli.mesh.geodesic import distance_to_points
from emovoca_cli.mesh.landmarks import GAZE_DRAG, NOSE_TIP, eye_distance, landmark_points
from emovoca_cli.mesh.regions import EYES
from emovoca_cli.mesh.surface import nearest_surface
from emovoca_cli.mesh.topology import components
from emovoca_cli.types import Float, MeshTemplate

Array = NDArray[np.float64]

EYE_DEPTH = 0.32
"""Centre that the lids turn about behind the line between the corners, as a share of the eye's width."""
UPPER_SHARE, LOWER_SHARE = 0.96, 0.07
"""Share of the opening that each lid crosses; together a little more than all of it, so that no slit stays."""
REACH = 0.14
"""Distance from the lid margin at which the skin stays, as a share of the outer-eye distance."""
MARGIN = 0.012
"""Distance from the margin up to which the skin moves with all of it."""
LIFT = 0.02
"""Share of the radius by which the upper lid comes to lie over the lower one."""
SAMPLES = 8


@dataclass(frozen=True, eq=False)
class Lids:
    """Displacements in metres of a face at rest.

    blink (2,V,3): the subject's right and left eye shut; arc (2,V,3): what is added half-way, for lids move round the eyeball;
    look (2,V,3): both eyes' lids at a gaze of 30 degrees to the subject's right and left; eyes: the vertices of eyeballs that are
    part of the mesh and turn with the gaze.
    """

    blink: Float
    arc: Float
    look: Float
    eyes: tuple[NDArray[np.int64], ...] = ()


def landmark_lids(template: MeshTemplate, rest: Float) -> Lids:
    """Lids of a face (V,3) on a template's topology, from its landmarks; still where the landmarks show no open eye."""
    points = landmark_points(rest, template.faces, template.landmark_faces, template.landmark_weights).astype(np.float64)
    place = rest.astype(np.float64)
    scale = eye_distance(points)
    blink, arc, look = (np.zeros((2, *rest.shape)) for _ in range(3))
    if scale > 0:
        # Eyeballs and teeth of their own must not blink: only the surface that bears the nose does.
        labels = components(template.faces, len(place))
        (nose,), _ = nearest_surface(points[[NOSE_TIP]], place, template.faces)
        on_skin = labels == labels[template.faces[nose][0]]
        skin = template.faces[on_skin[template.faces[:, 0]]]
        for side, numbers in enumerate(EYES):
            eye = _Eye.of(points[list(numbers)])
            if eye is None:
                continue
            near, upper, lower = _shares(eye, place, skin, on_skin, scale)
            full, half = (eye.turned(place[near], upper, lower, share) - place[near] for share in (1.0, 0.5))
            blink[side, near], arc[side, near] = full, half - full / 2
            drag = GAZE_DRAG * scale * np.maximum(upper, lower)[:, None] * eye.axis
            look[0, near] -= drag
            look[1, near] += drag
    return Lids(blink.astype(np.float32), arc.astype(np.float32), look.astype(np.float32))


@dataclass(frozen=True, eq=False)
class _Eye:
    """One eye: corner-to-corner axis, up and out (3,), the centre its lids turn about, the six landmarks, the two margins.

    The margins are cubics, angle over the place along the axis, through the corners and two landmarks each.
    """

    axis: Array
    up: Array
    out: Array
    centre: Array
    points: Array
    top: Array
    bottom: Array

    @classmethod
    def of(cls, points: Array) -> _Eye | None:
        """An eye from its landmarks (6,3): corner, two above, corner, two below; None when they are in no such order."""
        across = points[3] - points[0]
        width = float(np.linalg.norm(across))
        up = points[[1, 2]].mean(axis=0) - points[[4, 5]].mean(axis=0)
        if width <= 0:
            return None
        axis = across / width
        up = up - (up @ axis) * axis
        opening = float(np.linalg.norm(up))
        if opening < 0.05 * width:
            return None
        up = up / opening
        out = np.cross(axis, up)
        eye = cls(axis, up, out, points[[0, 3]].mean(axis=0) - EYE_DEPTH * width * out, points, np.zeros(4), np.zeros(4))
        along, _, angle = eye.polar(points)
        if (np.diff(along[[0, 1, 2, 3]]) < 0.05 * width).any() or (np.diff(along[[0, 5, 4, 3]]) < 0.05 * width).any():
            return None
        top, bottom = (np.polyfit(along[list(row)], angle[list(row)], 3) for row in ((0, 1, 2, 3), (0, 5, 4, 3)))
        return cls(axis, up, out, eye.centre, points, top, bottom)

    def polar(self, points: Array) -> tuple[Array, Array, Array]:
        """Place along the axis (N,), radius (N,) and angle (N,) of points (N,3) about it; 0 is outwards, up is positive."""
        offset = points - self.centre
        outwards, upwards = offset @ self.out, offset @ self.up
        return offset @ self.axis, np.hypot(outwards, upwards), np.arctan2(upwards, outwards)

    def margins(self, along: Array) -> tuple[Array, Array]:
        """Angles (N,) of the upper and the lower margin at places along the axis; beyond the corners those of the corners."""
        ends = self.polar(self.points[[0, 3]])[0]
        inside = np.clip(along, *ends)
        top, bottom = (np.asarray(np.polyval(row, inside), dtype=np.float64) for row in (self.top, self.bottom))
        return np.maximum(top, bottom), bottom

    def turned(self, points: Array, upper: Array, lower: Array, share: float) -> Array:
        """Points (N,3) when the lids are shut by a share, each moved by its own share (N,) of the upper or lower lid's turn."""
        along, radius, angle = self.polar(points)
        top, bottom = self.margins(along)
        angle = angle + share * (top - bottom) * (LOWER_SHARE * lower - UPPER_SHARE * upper)
        closing = np.clip((top - bottom) / max(float((top - bottom).max()), 1e-9), 0, 1)
        radius = radius * (1 + LIFT * share * upper * closing)
        round_it = np.cos(angle)[:, None] * self.out + np.sin(angle)[:, None] * self.up
        return np.asarray(self.centre + along[:, None] * self.axis + radius[:, None] * round_it)

    def contour(self, numbers: tuple[int, ...]) -> Array:
        """Points (N,3) on the straight stretches between landmarks."""
        corners = self.points[list(numbers)]
        share = np.linspace(0, 1, SAMPLES)[:, None, None]
        return np.asarray((1 - share) * corners[:-1] + share * corners[1:]).reshape(-1, 3)


def _shares(
    eye: _Eye, place: Array, skin: NDArray[np.int32], on_skin: NDArray[np.bool_], scale: float
) -> tuple[NDArray[np.int64], Array, Array]:
    """Vertices (N,) about an eye, and how far each goes with the upper and with the lower lid (N,), 0-1."""
    close = on_skin & (np.linalg.norm(place - eye.points.mean(axis=0), axis=1) < 0.5 * scale)
    from_top, from_bottom = (distance_to_points(place, skin, eye.contour(row)) for row in ((0, 1, 2, 3), (0, 5, 4, 3)))
    near = np.flatnonzero(close & (np.minimum(from_top, from_bottom) < REACH * scale))
    along, _, angle = eye.polar(place[near])
    top, bottom = eye.margins(along)
    is_upper = angle > (top + bottom) / 2
    low, high = eye.polar(eye.points[[0, 3]])[0]
    beyond = np.maximum(np.maximum(low - along, along - high), 0.0)
    sideways = 1 - ease(beyond / (0.08 * scale))

    def fall(distance: Array) -> Array:
        return (1 - ease((distance[near] - MARGIN * scale) / ((REACH - MARGIN) * scale))) * sideways

    return near, np.where(is_upper, fall(from_top), 0.0), np.where(is_upper, 0.0, fall(from_bottom))
