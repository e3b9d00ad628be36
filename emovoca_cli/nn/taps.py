"""Where a spiral convolution reads from, as one sparse rule: pooling, up-sampling and padding folded into the gather.

A spiral convolution is y[v] = bias + sum_k W_k x[spiral(v, k)]. Up-sampling before it and keeping a subset of vertices after it are
linear and sparse too, so each layer has a single list of taps (row, slot, source, weight): output vertex `row` reads, at place
`slot` of its spiral, `weight` times the features of input vertex `source`. Padding (-1) is simply no tap. Output vertices that the
hierarchy holds at zero have no taps and are listed apart, for they get no bias either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Weights = NDArray[np.float32]

NEGLIGIBLE = 1e-7
"""Barycentric weights below this are float32 rounding of zero; leaving them out saves a quarter of the work."""


@dataclass(frozen=True, eq=False)
class Taps:
    """The taps (N,) of one layer with `outputs` output vertices, `inputs` input vertices and spirals of `length` places."""

    rows: Index
    slots: Index
    sources: Index
    weights: Weights
    outputs: int
    inputs: int
    length: int
    zeroed: Index = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Output vertices (Z,) whose features are zero."""

    def of_rows(self, rows: NDArray[np.integer[Any]]) -> tuple[Taps, Index]:
        """The taps of some output vertices (n,) alone, their inputs renumbered; also which inputs are needed, ascending."""
        place = np.full(self.outputs, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        mine = place[self.rows] >= 0
        needed, sources = np.unique(self.sources[mine], return_inverse=True)
        taps = Taps(
            place[self.rows[mine]],
            self.slots[mine],
            sources.astype(np.int64),
            self.weights[mine],
            len(rows),
            len(needed),
            self.length,
            np.flatnonzero(np.isin(rows, self.zeroed)).astype(np.int64),
        )
        return taps, needed


def spiral_taps(
    spirals: NDArray[np.integer[Any]],
    *,
    keep: NDArray[np.integer[Any]] | None = None,
    up: tuple[NDArray[np.integer[Any]], Weights, int] | None = None,
    held: int = -1,
) -> Taps:
    """Taps of a convolution over spirals (V,length), -1 = padding.

    keep (n,): compute these output vertices only, which is the convolution followed by pooling to a subset.
    up: sources (V,3), weights (V,3) and vertex count of a coarser level whose features are up-sampled before the convolution.
    held: the vertex of this level whose features are zero after the convolution, or -1.
    """
    table = np.array(spirals if keep is None else spirals[keep], dtype=np.int64)
    numbers = np.arange(len(spirals)) if keep is None else np.asarray(keep, dtype=np.int64)
    zeroed = np.flatnonzero(numbers == held).astype(np.int64)
    table[zeroed] = -1
    rows, slots = np.nonzero(table >= 0)
    entries = table[rows, slots]
    outputs, length = table.shape
    if up is None:
        ones = np.ones(len(rows), dtype=np.float32)
        return Taps(rows, slots, entries, ones, outputs, len(spirals), length, zeroed)
    sources, weights, inputs = up
    each = sources.shape[1]
    flat_weights = np.asarray(weights, dtype=np.float32)[entries].reshape(-1)
    kept = np.abs(flat_weights) > NEGLIGIBLE
    return Taps(
        np.repeat(rows, each)[kept],
        np.repeat(slots, each)[kept],
        np.asarray(sources, dtype=np.int64)[entries].reshape(-1)[kept],
        flat_weights[kept],
        outputs,
        inputs,
        length,
        zeroed,
    )
