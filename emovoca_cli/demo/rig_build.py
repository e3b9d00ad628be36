"""Build the 52 ARKit-named shapes from the head's labels and rest positions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emovoca_cli.demo.arkit import ARKIT_INDEX, ARKIT_NAMES
from emovoca_cli.demo.head import HeadModel, load_head
from emovoca_cli.demo.rig_anatomy import AREA_EAR, AREA_MOUTH, AREA_NECK, AREA_SCALP, NOWHERE, Anatomy, Move, Place
from emovoca_cli.demo.rig_fields import Array, Handles, smoothstep
from emovoca_cli.demo.rig_figures import FACE, MOUTH, Shape
from emovoca_cli.demo.rig_jaw import jaw_floor, jaw_shapes, mirror_lips, mirror_place
from emovoca_cli.demo.rig_lids import keep_lids_out, lid_shapes, margin_handles
from emovoca_cli.files import atomic_write
from emovoca_cli.types import Float

REGION_EDGE = (0.95, 1.55)
"""Where, in radii of a moved region's ellipsoid, a field may start to die out and where it has."""


def build_rig(head: HeadModel) -> Float:
    """The 52 shapes of a head as displacements (52,V,3) in metres, Apple's order, from labels and rest positions alone."""
    anatomy = Anatomy(head)
    fields = jaw_shapes(anatomy) | lid_shapes(anatomy)
    fields |= {name: shape_field(anatomy, shape) for name, shape in (MOUTH | FACE).items()}
    deltas = np.zeros((len(ARKIT_NAMES), *anatomy.rest.shape))
    for name, field in fields.items():
        clear = keep_lids_out(anatomy, field)
        if name in ("browInnerUp", "cheekPuff"):
            deltas[ARKIT_INDEX[name]] = clear + anatomy.mirrored(clear)
        elif name in ARKIT_INDEX:
            symmetric = name not in ("jawLeft", "mouthLeft")
            both = (clear + anatomy.mirrored(clear)) / 2.0 if symmetric else clear
            deltas[ARKIT_INDEX[name]] = both
            if not symmetric:
                deltas[ARKIT_INDEX[name.replace("Left", "Right")]] = anatomy.mirrored(clear)
        else:
            deltas[ARKIT_INDEX[f"{name}Left"]] = clear
            deltas[ARKIT_INDEX[f"{name}Right"]] = anatomy.mirrored(clear)
    return np.asarray(deltas * anatomy.scale, dtype=np.float32)


def shape_field(anatomy: Anatomy, shape: Shape) -> Array:
    """The field (V,3) in reference millimetres of one hand-set shape."""
    lips: Mapping[float, Move] = shape.lips
    points: Mapping[Place, Move] = shape.points
    regions = list(shape.regions)
    if shape.whole:
        lips = mirror_lips(lips)
        points = dict(points) | {mirror_place(p): (-x, y, z) for p, (x, y, z) in points.items() if mirror_place(p) != p}
        regions += [(mirror_place(place), size) for place, size in regions if mirror_place(place) != place]
    sets = []
    for ring, keys in ((anatomy.border_ring, (48, 60)), (0, (60, 68))):
        moves = {k: move for k, move in lips.items() if keys[0] <= k < keys[1]}
        if moves:
            sets.append(anatomy.loop_handles(ring, moves))
    if points:
        sets.append(anatomy.point_handles(dict(points), weight=3.0))
    upper, lower = shape.lids
    sets += [margin_handles(anatomy, 1, upper, lower), margin_handles(anatomy, -1, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))]
    sets.append(anatomy.still(np.concatenate(jaw_floor(anatomy)), weight=1.0))
    return anatomy.solver.solve(Handles.join(sets), outside=outside_regions(anatomy, regions), leash=shape.leash)


def outside_regions(anatomy: Anatomy, regions: list[tuple[Place, tuple[float, float, float]]]) -> Array:
    """How far (V,) in 0-1 each vertex lies outside all the regions a shape may move."""
    inside = np.zeros(len(anatomy.rest))
    for place, size in regions:
        landmark, offset = place if isinstance(place, tuple) else (place, (0.0, 0.0, 0.0))
        centre = anatomy.landmarks[landmark] + np.array(offset)
        radius = np.linalg.norm((anatomy.rest - centre) / (np.array(size) / 2.0), axis=1)
        inside = np.maximum(inside, 1.0 - smoothstep(radius, *REGION_EDGE))
    outside = 1.0 - inside
    outside[np.isin(anatomy.area, (AREA_EAR, AREA_SCALP))] = 1.0
    outside[(anatomy.area == AREA_MOUTH) & (anatomy.mouth_ring != NOWHERE)] = 0.0
    neck = anatomy.area == AREA_NECK
    outside[neck] = np.maximum(outside[neck], smoothstep(-anatomy.rest[neck, 1], 130.0, 165.0))
    return outside


TONGUE_REACH = (0.0, 10.5e-3, 12.0e-3)
"""Metres that the tip of the tongue moves at tongueOut 1: at 0.8, with the jaw open for `th`, it is 2 mm before the upper teeth."""


def tongue_out(head: HeadModel) -> Float:
    """Displacement (P,3) in metres of the tongue at tongueOut 1: its tip rises over the lower teeth and comes forward."""
    part = next((p for p in head.template.parts if p.name == "tongue"), None)
    if part is None:
        return np.zeros((0, 3), np.float32)
    vertices = np.asarray(part.vertices, dtype=np.float64)
    back, length = float(vertices[:, 2].min()), float(np.ptp(vertices[:, 2]))
    share = smoothstep(vertices[:, 2], back + 0.2 * length, back + 0.85 * length)[:, None]
    moves = share * np.array(TONGUE_REACH)
    moves[:, :1] -= 0.3 * smoothstep(vertices[:, 2], back + 0.5 * length, back + length)[:, None] * vertices[:, :1]
    return np.asarray(moves, dtype=np.float32)


def write_rig(path: Path, head: HeadModel | None = None) -> None:
    """Build the rig of a head (the shipped one unless given) and write it: float16 displacements in metres, without pickles."""
    head = load_head() if head is None else head
    deltas = build_rig(head)
    with atomic_write(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            names=np.array(ARKIT_NAMES, dtype=np.str_),
            deltas=deltas.astype(np.float16),
            tongue=tongue_out(head),
            topology=np.array(head.template.topology_hash),
        )
