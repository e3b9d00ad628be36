"""What a file with an ARKit-named rig holds, before anybody decides what of it is skin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.errors import DataError
from emovoca_cli.mesh.topology import AnyFloat, AnyInt
from emovoca_cli.types import Float, Int

FEWEST_SHAPES = 20
"""A rig with fewer of the 52 shapes cannot speak and feel; it is refused."""


@dataclass(frozen=True, eq=False)
class RawRig:
    """All surfaces of a rig in the file's own unit, y up, z out of the face.

    vertices (V,3), faces (F,3), shapes: ARKit name -> displacement (V,3), identities (N,V,3) displacements at one standard
    deviation, labels (F,): index into `label_names`, the material or mesh of each face, landmarks (68,3) points or None,
    licence: what the file says, notes: what a user should know.
    """

    name: str
    vertices: Float
    faces: Int
    shapes: Mapping[str, Float]
    identities: Float
    labels: Int
    label_names: tuple[str, ...]
    landmarks: Float | None
    licence: str
    content_hash: str
    notes: tuple[str, ...] = ()


def check_shapes(shapes: Mapping[str, object], place: str) -> None:
    """Raise DataError unless a rig has what speech and expressions cannot do without."""
    needed = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "eyeBlinkLeft", "eyeBlinkRight")
    missing = [name for name in needed if name not in shapes]
    if missing or len(shapes) < FEWEST_SHAPES:
        raise DataError(
            f"{place} has {len(shapes)} of the 52 ARKit shapes"
            + (f", without {', '.join(missing)}" if missing else "")
            + f"; at least {FEWEST_SHAPES} with {', '.join(needed)} are needed (browDownLeft or browDown_L, ...)"
        )


def weld(vertices: Float, faces: AnyInt, moves: NDArray[np.float32]) -> tuple[Int, Int, Int]:
    """Join vertices at one place that always move together, as the seams of texture coordinates leave them.

    vertices (V,3), faces (F,3), moves (V,D): all displacements of a vertex side by side. Returns keep (W,), the vertices that stay,
    faces (F',3) over them, and which faces (F',) those were: without any that became a point or a line, or was there twice.
    """
    size = float(np.ptp(vertices, axis=0).max()) or 1.0
    table = np.concatenate([np.round(vertices / (size * 1e-6)), np.round(moves / (size * 1e-6))], axis=1)
    rows = np.ascontiguousarray(table.astype(np.int64)).view(f"V{8 * table.shape[1]}").reshape(-1)
    _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    corners = place[inverse.reshape(-1)][np.asarray(faces, np.int64)]
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    _, once = np.unique(np.sort(corners, axis=1), axis=0, return_index=True)
    single = np.zeros(len(corners), np.bool_)
    single[once] = True
    chosen = np.flatnonzero(whole & single)
    return first[order].astype(np.int32), corners[chosen].astype(np.int32), chosen.astype(np.int32)


def stacked(shapes: Mapping[str, AnyFloat], count: int) -> NDArray[np.float32]:
    """The displacements of all shapes of each vertex side by side: (V, 3 x shapes)."""
    if not shapes:
        return np.zeros((count, 0), np.float32)
    return np.concatenate([np.asarray(delta, np.float32) for _, delta in sorted(shapes.items())], axis=1)
