"""What is read off one pair of sequences, in one pass over its frames; every metric is a function of it.

Notation of docs/evaluation.md: e[t,v] = p[t,v] - g[t,v], prediction minus truth; d = x - rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.evaluation.regions import ALL, LIPS, UPPER, Region

CHUNK = 128
"""Frames at a time, so that long sequences of large meshes fit into memory."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """Errors of one prediction, in the truth's unit: by region name the arrays (T,) of one number a frame.

    max_sq: largest ||e||^2 over the region; mean_sq and mean_l2: means of ||e||^2 and ||e||; centred_max_sq: largest ||e||^2 of the
    lips after the mean of each frame's lips is taken off both. Of truth and prediction (U,): `deviation`, the population standard
    deviation over time of ||d||^2 of the upper face, None without a rest face; `raw`, the sample standard deviation over time of
    x + y + z, None under two frames. `upper_first` says where a region given with repeats has the first of each.
    """

    frames: int
    max_sq: Mapping[str, Array]
    mean_sq: Mapping[str, Array]
    mean_l2: Mapping[str, Array]
    centred_max_sq: Array | None
    deviation: tuple[Array, Array] | None
    raw: tuple[Array, Array] | None
    upper_first: NDArray[np.int64] | None


def measure(
    prediction: NDArray[Any], truth: NDArray[Any], *, regions: Mapping[str, Region], rest: NDArray[Any] | None, factor: float = 1.0
) -> Pair:
    """Compare a prediction (T,V,3), times `factor`, with the truth (T,V,3); rest (V,3) in the truth's unit; regions by name."""
    frames = len(truth)
    names = (ALL, *regions)
    max_sq: dict[str, list[Array]] = {name: [] for name in names}
    mean_sq: dict[str, list[Array]] = {name: [] for name in names}
    mean_l2: dict[str, list[Array]] = {name: [] for name in names}
    centred: list[Array] = []
    upper_face: list[tuple[Array, Array]] = []
    for start in range(0, frames, CHUNK):
        guess = np.asarray(prediction[start : start + CHUNK], np.float64) * factor
        goal = np.asarray(truth[start : start + CHUNK], np.float64)
        squares = np.square(guess - goal).sum(axis=2)  # (n,V)
        for name in names:
            part = squares if name == ALL else squares[:, regions[name].indices]
            max_sq[name].append(part.max(axis=1))
            mean_sq[name].append(part.mean(axis=1))
            mean_l2[name].append(np.sqrt(part).mean(axis=1))
        if LIPS in regions:
            lips = regions[LIPS].unique
            a, b = guess[:, lips], goal[:, lips]
            moved = (a - a.mean(axis=1, keepdims=True)) - (b - b.mean(axis=1, keepdims=True))
            centred.append(np.square(moved).sum(axis=2).max(axis=1))
        if UPPER in regions:
            upper_face.append((guess[:, regions[UPPER].indices], goal[:, regions[UPPER].indices]))
    deviation = raw = first = None
    if upper_face and frames > 1:
        indices = regions[UPPER].indices
        first = np.unique(indices, return_index=True)[1]
        guessed, wanted = (np.concatenate(part) for part in zip(*upper_face, strict=True))
        if rest is not None:
            still = np.asarray(rest, np.float64)[indices]
            deviation = (_deviation(wanted - still), _deviation(guessed - still))
        raw = (wanted.sum(axis=2).std(axis=0, ddof=1), guessed.sum(axis=2).std(axis=0, ddof=1))
    return Pair(
        frames,
        {name: np.concatenate(parts) for name, parts in max_sq.items()},
        {name: np.concatenate(parts) for name, parts in mean_sq.items()},
        {name: np.concatenate(parts) for name, parts in mean_l2.items()},
        np.concatenate(centred) if centred else None,
        deviation,
        raw,
        first,
    )


def _deviation(moved: Array) -> Array:
    """Standard deviation over time (U,) of the squared length of displacements (T,U,3)."""
    return np.asarray(np.square(moved).sum(axis=2).std(axis=0))
