"""What may be wrong with data that arrives from elsewhere, said by file: units, order of vertices, pose, numbers, timing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from emovoca_cli.constants import MM
from emovoca_cli.errors import DataError, UsageError
from emovoca_cli.mesh.topology import AnyFloat, AnyInt, edges
from emovoca_cli.types import Float, Int

UNITS = {"metres": 1.0, "centimetres": 100.0, "millimetres": 1000.0}
"""Name to how many of it make a metre."""
SIZES = {"metres": (0.02, 3.0), "centimetres": (8.0, 80.0), "millimetres": (80.0, 3000.0)}
"""Diagonal of the box round a face or head in each unit."""
EDGE_SPREAD = 0.35
"""Median |log| of an edge's length against its template's, past which vertices are not in their order."""
TURN_DEGREES = 15.0
SHIFT_METRES = 0.05
TIMING_SHARE = 0.05
TIMING_SECONDS = 0.1


@dataclass
class Findings:
    """What a reader found: `problems` (file, what) left something out, `notes` are worth knowing only."""

    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    told: Callable[[str], None] | None = None

    def problem(self, file: str, what: str) -> None:
        """Report a file that is left out."""
        what = what.removeprefix(f"{file} ").removeprefix(f"{file}: ")
        if (file, what) not in self.problems:
            self.problems.append((file, what))
            self._tell(f"{file}: {what}")

    def note(self, what: str) -> None:
        """Report something that is worth knowing."""
        if what not in self.notes:
            self.notes.append(what)
            self._tell(what)

    def _tell(self, line: str) -> None:
        if self.told is not None:
            self.told(line)


def size_unit(vertices: AnyFloat, what: str) -> str:
    """The unit of a face by its size alone, "metres", "centimetres" or "millimetres". Raises DataError for another size."""
    size = float(np.linalg.norm(np.ptp(np.asarray(vertices, np.float64).reshape(-1, 3), axis=0)))
    for unit, (low, high) in SIZES.items():
        if low <= size < high:
            return unit
    raise DataError(f"{what} is {size:.3g} units across; a head is some 0.4 in metres or 400 in millimetres")


class Ruler:
    """Judges meshes (V,3) of one topology against a face at rest (V,3) in metres."""

    def __init__(self, rest: AnyFloat, faces: AnyInt) -> None:
        self.rest = np.asarray(rest, np.float64)
        self._edges: Int = edges(faces)
        self._lengths = np.maximum(self._measure(self.rest), 1e-9)

    def _measure(self, vertices: AnyFloat) -> AnyFloat:
        return np.asarray(np.linalg.norm(vertices[self._edges[:, 0]] - vertices[self._edges[:, 1]], axis=-1))

    def unit(self, vertices: AnyFloat) -> str:
        """The unit of a mesh. Raises DataError for vertices in another order, of another person or of a strange size."""
        bad = ~np.isfinite(np.asarray(vertices)).all(axis=-1)
        if bad.any():
            raise DataError(f"{int(bad.sum())} vertices are not numbers (the first is {int(np.flatnonzero(bad)[0])})")
        ratio = np.log(np.maximum(self._measure(np.asarray(vertices, np.float64)), 1e-12) / self._lengths)
        middle = float(np.median(ratio))
        if float(np.median(np.abs(ratio - middle))) > EDGE_SPREAD:
            raise DataError(
                "vertices are not in the template's order (edges have other lengths): was it saved by a program that re-orders "
                "them, such as Blender's OBJ or PLY export?"
            )
        for unit, factor in UNITS.items():
            if abs(middle - np.log(factor)) < np.log(2.0):
                return unit
        raise DataError(f"is {np.exp(middle):.3g} times the template's size, which is no unit (metres, centimetres, millimetres)")

    def pose(self, vertices: AnyFloat) -> None:
        """Raise DataError for a mesh (V,3) in metres that was moved or turned away from the face at rest."""
        place = np.asarray(vertices, np.float64)
        middle, home = place.mean(axis=0), self.rest.mean(axis=0)
        left, _, right = np.linalg.svd((place - middle).T @ (self.rest - home))
        turn = (left * [1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
        degrees = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
        shift = float(np.linalg.norm(middle - home))
        if degrees > TURN_DEGREES or shift > SHIFT_METRES:
            raise DataError(
                f"was moved against its face at rest: turned by {degrees:.0f} degrees, shifted by {shift * MM:.0f} mm "
                "(Blender's export turns z up, VOCASET's registereddata keeps head pose); expected y up, z forward, in place"
            )

    def motion(self, frames: Float, *, pose: bool = True) -> tuple[Float, str]:
        """Frames (T,V,3) of any unit in metres, and their unit; all checks on the way.

        Raises DataError for values that are not numbers (naming the first frame), a wrong order of vertices, or a moved face.
        """
        bad = ~np.isfinite(frames).all(axis=(1, 2))
        if bad.any():
            raise DataError(
                f"{int(bad.sum())} of {len(frames)} frames hold values that are not numbers (the first is frame "
                f"{int(np.flatnonzero(bad)[0])})"
            )
        units = {self.unit(frames[index]) for index in {0, len(frames) // 2, len(frames) - 1}}
        if len(units) != 1:
            raise DataError(f"changes its unit on the way ({' and '.join(sorted(units))})")
        (unit,) = units
        metres = frames if unit == "metres" else frames / np.float32(UNITS[unit])
        if pose:
            for index in sorted({0, len(frames) // 2, len(frames) - 1}):
                self.pose(metres[index])
        return np.asarray(metres, np.float32), unit


def timing_problem(frames: int, seconds: float, fps: float) -> str | None:
    """What is wrong with a number of frames against the length of its recording, or None."""
    wanted = seconds * fps
    if abs(frames - wanted) <= max(TIMING_SHARE * wanted, TIMING_SECONDS * fps):
        return None
    return f"{frames} frames for {seconds:.2f} s of speech, expected {wanted:.0f} at {fps:g} a second"


def source_rate(pairs: list[tuple[int, float]]) -> float:
    """Frames a second of a data set, 60 or 30, from the frames and seconds of its clips. Raises DataError for another rate."""
    rates = [frames / seconds for frames, seconds in pairs if seconds > 0]
    if not rates:
        raise DataError("no clip has both meshes and speech, so the rate is unknown")
    rate = float(np.median(rates))
    for known in (60.0, 30.0):
        if abs(rate / known - 1) < 0.1:
            return known
    raise DataError(f"the clips have {rate:.1f} frames a second of speech, expected 60 (as published) or 30 (every second frame)")


def frame_step(source: float, wanted: float | None) -> int:
    """Every how many frames to keep. Raises UsageError where the wanted rate does not divide the source's."""
    if wanted is None:
        return 1
    step = round(source / wanted) if wanted > 0 else 0
    if step < 1 or abs(source / step - wanted) > 1e-6:
        choices = ", ".join(f"{source / share:g}" for share in (1, 2, 4) if source / share >= 15)
        raise UsageError(f"--fps {wanted:g} cannot be had from {source:g} frames a second by leaving frames out; choose {choices}")
    return step
