"""Rig coefficients from motion: which shapes, how strongly, give a face these points; fast enough for live speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import INNER_LIP_PAIRS
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

Array = NDArray[np.float64]

RIDGE = 1e-3
"""Metres (root sum of squares over all points) that a coefficient of 1 has to explain to be worth its use."""

STEADY = 1e-3
"""Metres that a coefficient has to explain to be worth a jump of 1 from one frame to the next."""

LIP_WEIGHT = 16.0
"""Weight of the opening at each inner-lip pair beside the 68 landmarks' own: under strong emotions, which a rig only
approaches, it brings the lips' mean gap from 1 mm to 0.06 mm of what was asked, and costs the landmarks nothing."""

TOLERANCE = 1e-12
"""How far outside its bounds, or how steep, an answer may be and count as found; coefficients are of order 1."""


class CoefficientSolver:
    """Bounded least squares of motion onto a rig's shapes, frame after frame, each begun from the last one's answer.

    A frame's coefficients c (K,) in 0-1 minimise |sum c_k shape_k - motion|^2 + ridge^2 |c|^2 + steady^2 |c - c_last|^2. The second
    term leaves shapes that the points cannot tell apart unused, the third keeps them from flickering. The answer is exact: block
    principal pivoting on the normal equations (K,K), which are made once.
    """

    def __init__(self, shapes: Float, *, weights: Float | None = None, ridge: float = RIDGE, steady: float = STEADY) -> None:
        """Prepare shapes (K,N,3), metres at coefficient 1; weights (N,) of the points' squared errors, default 1.

        ridge above 0 and steady, both in metres. Raises UsageError for shapes or weights of another form.
        """
        if shapes.ndim != 3 or shapes.shape[2] != 3 or not len(shapes):
            raise UsageError(f"the shapes have shape {shapes.shape}, expected (K,N,3) with K at least 1")
        if not ridge > 0 or steady < 0:
            raise UsageError(f"ridge {ridge:g} and steady {steady:g} do not fit: ridge is above 0, steady not negative")
        points = shapes.shape[1]
        weight = np.ones(points) if weights is None else np.asarray(weights, dtype=np.float64)
        if weight.shape != (points,) or not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise UsageError(f"the weights have shape {weight.shape}, expected ({points},) numbers that are not negative")
        self.points = points
        flat = shapes.reshape(len(shapes), -1).astype(np.float64)
        self._project = flat * np.repeat(weight, 3)  # (K,3N)
        gram = self._project @ flat.T
        # the first frame has no last one to be near to
        self._first = gram + ridge**2 * np.eye(len(shapes))
        self._later = self._first + steady**2 * np.eye(len(shapes))
        self._pull = steady**2
        self._last: Array | None = None

    def step(self, motion: Float) -> Float:
        """Coefficients (K,) in 0-1 of the next frame: displacements (N,3) in metres. Raises UsageError for another shape."""
        if motion.shape != (self.points, 3):
            raise UsageError(f"the motion has shape {motion.shape}, expected ({self.points}, 3)")
        wanted = self._project @ motion.reshape(-1).astype(np.float64)
        if self._last is None:
            self._last = bounded_minimum(self._first, wanted, start=np.zeros(len(wanted)))
        else:
            self._last = bounded_minimum(self._later, wanted + self._pull * self._last, start=self._last)
        return self._last.astype(np.float32)

    def solve(self, motion: Float) -> Float:
        """Coefficients (T,K) of displacements (T,N,3) in metres, in order from a fresh start."""
        self._last = None
        return np.stack([self.step(frame) for frame in motion]) if len(motion) else np.zeros((0, len(self._first)), np.float32)


class LandmarkSolver(CoefficientSolver):
    """The same for 68 landmarks, and the lips' opening followed closely: p, b and m live there."""

    def __init__(self, shapes: Float, *, ridge: float = RIDGE, steady: float = STEADY) -> None:
        """Prepare what each shape does to the landmarks (K,68,3), metres at coefficient 1."""
        weights = np.concatenate([np.ones(shapes.shape[1]), np.full(len(INNER_LIP_PAIRS), LIP_WEIGHT)])
        super().__init__(_with_openings(shapes), weights=weights, ridge=ridge, steady=steady)

    def step(self, motion: Float) -> Float:
        """Coefficients (K,) in 0-1 of the next frame: landmark displacements (68,3) in metres."""
        return super().step(_with_openings(motion))


def _with_openings(points: Float) -> Float:
    """Points (...,68,3) with the differences of the inner-lip pairs behind them, (...,71,3)."""
    pairs = np.asarray(INNER_LIP_PAIRS)
    return np.concatenate([points, points[..., pairs[:, 0], :] - points[..., pairs[:, 1], :]], axis=-2)


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
