"""Rig coefficients from the motion of landmarks: what an ARKit-named rig has to be told to do the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import INNER_LIP_PAIRS, LANDMARKS
from emovoca_cli.errors import DataError
from emovoca_cli.types import Float

Array = NDArray[np.float64]

LEFT_OUT = ("mouthClose", "tongueOut")
"""Not solved for: mouthClose only makes sense beside as much jawOpen, no landmark sees the tongue."""
EFFORT = 0.01
"""Outer-eye distances of miss that a whole coefficient counts as: of two ways to do the same the weaker shapes win."""
HASTE = 0.04
"""The same for a coefficient's change from one frame to the next: against flicker."""
LIPS, LIDS, JAW_LINE = 2.0, 1.5, 0.4
"""Weights of landmarks: what lips and lids do is seen first, and a jaw line is marked differently by everybody."""
OPENING = 4.0
"""Weight of the lips' height over one another at the inner-lip pairs: closed stays closed."""
OPENINGS = len(INNER_LIP_PAIRS)
ROUNDS = 4
"""On real speech 81 of 99 sealed frames stayed sealed after one round, 98 after four; the landmarks' error grew by 0.01 mm."""
STEPS = 400
ENOUGH = 1e-5


def solve_coefficients(motion: NDArray[np.floating], shapes: Float, *, unit: float, names: Sequence[str]) -> Float:
    """Coefficients (T,K) in 0-1 whose landmark motion is nearest to motion (T,68,3), steady in time.

    shapes (K,68,3): what each of the K named shapes does to the landmarks at 1; unit: the outer-eye distance, all in metres.
    Bounded least squares over all frames at once: ||A c - d||² + effort ||c||² + haste ||c_t - c_t-1||², by accelerated projected
    gradients (Beck & Teboulle 2009, with restarts), to `ENOUGH`; in `ROUNDS`, so that lips close as far as they should.
    Raises DataError for other shapes.
    """
    if motion.ndim != 3 or motion.shape[1:] != (LANDMARKS, 3) or shapes.shape != (len(names), LANDMARKS, 3):
        raise DataError(f"motion {motion.shape} and shapes {shapes.shape} do not fit; expected (T,68,3) and ({len(names)},68,3)")
    usable = np.array([name not in LEFT_OUT for name in names]) & (np.abs(shapes).max(axis=(1, 2)) > 0)
    matrix, goal = compared(shapes / unit), compared(np.asarray(motion, np.float64) / unit)  # (K,R) and (T,R)
    square = matrix @ matrix.T + EFFORT**2 * np.eye(len(names))
    asked = goal.copy()
    found = np.zeros((len(motion), len(names)))
    for _ in range(ROUNDS):
        found = _descend(found, square, goal @ matrix.T, usable)
        # What is still missing of the lips' opening is asked for once more: weights alone would leave a slit in fast closures.
        goal[:, -OPENINGS:] += asked[:, -OPENINGS:] - found @ matrix[:, -OPENINGS:]
    return found.astype(np.float32)


def _descend(found: Array, square: Array, wanted: Array, usable: NDArray[np.bool_]) -> Array:
    """The bounded least-squares answer (T,K) from a start, by accelerated projected gradients."""
    step = 1 / (np.linalg.eigvalsh(square)[-1] + 4 * HASTE**2)
    ahead, pace = found, 1.0
    for _ in range(STEPS):
        slope = ahead @ square - wanted + HASTE**2 * _unsteadiness(ahead)
        new = np.clip(ahead - step * slope, 0, 1) * usable
        moved = new - found
        if ((ahead - new) * moved).sum() > 0:  # overshot: start again from here
            pace = 1.0
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead, found, pace = new + (pace - 1) / faster * moved, new, faster
        if np.abs(moved).max(initial=0) < ENOUGH:
            break
    return found


def compared(motion: Array | Float) -> Array:
    """What is compared of landmark motion (N,68,3), in outer-eye distances, weighted: places, and the lips' opening (N,R)."""
    weights = np.ones(LANDMARKS)
    weights[:17], weights[36:48], weights[48:] = JAW_LINE, LIDS, LIPS
    upper, lower = (list(side) for side in zip(*INNER_LIP_PAIRS, strict=True))
    opening = motion[:, upper, 1] - motion[:, lower, 1]
    rows = np.concatenate([(motion * weights[:, None]).reshape(len(motion), -1), OPENING * opening], axis=1)
    return np.asarray(rows, np.float64)


def _unsteadiness(rows: Array) -> Array:
    """Half the slope of sum |c_t - c_t-1|²: (T,K)."""
    change = np.diff(rows, axis=0)
    out = np.zeros_like(rows)
    out[:-1] -= change
    out[1:] += change
    return out
