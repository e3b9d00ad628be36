"""Rig coefficients of a face that still speaks: as `coefficients`, one frame after another, and fast enough for live speech."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.animation.coefficients import EFFORT, LEFT_OUT, OPENING, OPENINGS, compared
from emovoca_cli.constants import LANDMARKS
from emovoca_cli.errors import DataError
from emovoca_cli.types import Float

Array = NDArray[np.float64]

LIVE_HASTE = 0.011
"""As `coefficients.HASTE`, from the last frame alone: what comes is not known yet, so more would only be late."""

LIVE_OPENING = 16.0
"""As `coefficients.OPENING` for answers that are found once: strong enough that lips close as far as they should."""

TOLERANCE = 1e-12
"""How far outside its bounds, or how steep, an answer may be and count as found; coefficients are of order 1."""


class LiveCoefficients:
    """Coefficients c (K,) in 0-1 of one frame after another: |A c - d|^2 + effort^2 |c|^2 + haste^2 |c - c_last|^2, least.

    What is compared is what `coefficients.solve_coefficients` compares. That one sees all frames at once and goes over them several
    times; this one knows the frames so far, and its answer is exact.
    """

    def __init__(self, shapes: Float, *, unit: float, names: Sequence[str], haste: float = LIVE_HASTE) -> None:
        """Prepare shapes (K,68,3), what each named shape does to the landmarks at 1, and the rig's outer-eye distance, metres.

        Raises DataError for shapes of another form.
        """
        if shapes.shape != (len(names), LANDMARKS, 3):
            raise DataError(f"the shapes have shape {shapes.shape}, expected ({len(names)},{LANDMARKS},3)")
        self._usable = np.array([name not in LEFT_OUT for name in names]) & (np.abs(shapes).max(axis=(1, 2)) > 0)
        self._matrix = _firmer(compared(shapes / unit))[self._usable]  # (U,R)
        effort = self._matrix @ self._matrix.T + EFFORT**2 * np.eye(len(self._matrix))
        # the first frame has no last one to be near to
        self._first, self._later = effort, effort + haste**2 * np.eye(len(effort))
        self._pull = haste**2
        self._last: Array | None = None

    def step(self, motion: NDArray[np.floating], *, unit: float) -> Float:
        """Coefficients (K,) of the next frame: landmark motion (68,3) of a face whose outer eyes are `unit` metres apart.

        Raises DataError for motion of another shape.
        """
        if motion.shape != (LANDMARKS, 3):
            raise DataError(f"the motion has shape {motion.shape}, expected ({LANDMARKS},3)")
        wanted = self._matrix @ _firmer(compared(np.asarray(motion[None], np.float64) / unit))[0]
        if self._last is None:
            self._last = bounded_minimum(self._first, wanted, start=np.zeros(len(wanted)))
        else:
            self._last = bounded_minimum(self._later, wanted + self._pull * self._last, start=self._last)
        out = np.zeros(len(self._usable), np.float32)
        out[self._usable] = self._last
        return out


def _firmer(rows: Array) -> Array:
    """Compared rows (N,R) with the lips' opening weighted for one round."""
    return np.concatenate([rows[:, :-OPENINGS], LIVE_OPENING / OPENING * rows[:, -OPENINGS:]], axis=1)


def bounded_minimum(matrix: Array, vector: Array, *, start: Array) -> Array:
    """The x (K,) in 0-1 that minimises x.matrix.x / 2 - vector.x, matrix (K,K) symmetric and positive definite; exact.

    start: a guess in 0-1; where it lies on a bound, that bound is tried first. Block principal pivoting (Judice, Pires 1992): all
    entries on the wrong side change sides at once; when that stops helping, only the last of them does, which always ends.
    """
    low, high = start <= 0, start >= 1
    patience, fewest = 3, len(vector) + 1
    while True:
        x = high.astype(np.float64)
        free = ~(low | high)
        if free.any():
            x[free] = np.linalg.solve(matrix[np.ix_(free, free)], vector[free] - matrix[np.ix_(free, high)].sum(axis=1))
        slope = matrix @ x - vector
        steep = TOLERANCE * max(1.0, float(np.abs(vector).max(initial=0.0)))
        under, over = free & (x < -TOLERANCE), free & (x > 1 + TOLERANCE)
        leave = (low & (slope < -steep)) | (high & (slope > steep))
        wrong = np.flatnonzero(under | over | leave)
        if not len(wrong):
            return np.clip(x, 0.0, 1.0)
        if len(wrong) < fewest:
            patience, fewest = 3, len(wrong)
        elif patience:
            patience -= 1
        else:
            wrong = wrong[-1:]
        moved = np.zeros(len(x), dtype=bool)
        moved[wrong] = True
        low, high = (low & ~(moved & leave)) | (moved & under), (high & ~(moved & leave)) | (moved & over)
