"""Frames of a store in random order, for DE-SD: frames are independent samples there."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.data.store import ClipRow, Store
from emovoca_cli.errors import DataError
from emovoca_cli.types import Float

Numbers = NDArray[np.int64]


class FrameSampler:
    """All frames of a split of a store, one numbering 0..frames-1, and endless shuffled batches of them.

    The batch of a step depends on the seed and the step alone, so a resumed run needs only its step number. Every frame comes once
    an epoch. Coefficients are held in memory and expanded one product a subject; displacements are read from the mapped files.
    """

    def __init__(self, store: Store, *, split: str, batch: int, seed: int) -> None:
        """Gather the clips of `split`; raises DataError when it has none."""
        self.store = store
        self.rows: tuple[ClipRow, ...] = store.select(split=split)
        if not self.rows or batch < 1:
            what = f"no clip in split {split!r}" if batch > 0 else f"no batch of {batch} frames"
            raise DataError(f"{store.root} has {what}; splits with clips: {', '.join(sorted({row.split for row in store.clips}))}")
        self.batch = batch
        self._seed = seed
        counts = np.array([row.frames for row in self.rows], dtype=np.int64)
        self._ends = np.cumsum(counts)
        self.frames = int(self._ends[-1])
        self._subjects = sorted({row.subject for row in self.rows})
        number = {subject: index for index, subject in enumerate(self._subjects)}
        self._subject = np.repeat(np.array([number[row.subject] for row in self.rows], dtype=np.int32), counts)
        self._coefficients = (
            np.concatenate([store.coefficients(row.id) for row in self.rows]) if store.storage == "coefficients" else None
        )
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> Numbers:
        return np.random.default_rng((self._seed, epoch)).permutation(self.frames)

    def numbers(self, step: int) -> Numbers:
        """The frame numbers (B,) of a step's batch."""
        places = np.arange(step * self.batch, (step + 1) * self.batch, dtype=np.int64)
        epochs = places // self.frames
        return np.concatenate([self._order(int(epoch))[places[epochs == epoch] % self.frames] for epoch in np.unique(epochs)])

    def at(self, step: int) -> Float:
        """The batch of a step: displacements (B,V,3) in metres."""
        return self[self.numbers(step)]

    def locate(self, number: int) -> tuple[ClipRow, int]:
        """The clip and the frame within it of a frame number."""
        index = int(np.searchsorted(self._ends, number, side="right"))
        return self.rows[index], int(number - (self._ends[index] - self.rows[index].frames))

    def __getitem__(self, numbers: Numbers) -> Float:
        """Displacements (n,V,3) in metres of frame numbers (n,)."""
        out = np.empty((len(numbers), self.store.vertex_count, 3), dtype=np.float32)
        if self._coefficients is None:
            for place, number in enumerate(numbers):
                row, frame = self.locate(int(number))
                out[place] = self.store.raw(row.id)[frame]
            return out
        owners = self._subject[numbers]
        for owner in np.unique(owners):
            basis = self.store.basis(self._subjects[owner])
            chosen = np.flatnonzero(owners == owner)
            out[chosen] = (self._coefficients[numbers[chosen]] @ basis.reshape(len(basis), -1)).reshape(len(chosen), -1, 3)
        return out

    def mean_square(self) -> float:
        """Mean square of a coordinate's displacement over all frames (m²); its root is the scale that DE-SD divides by.

        For coefficients exact through the Gram matrix of the basis, without expanding a frame.
        """
        total = 0.0
        if self._coefficients is None:
            for row in self.rows:
                total += float(np.square(self.store.displacement(row.id), dtype=np.float64).sum())
        else:
            for index, subject in enumerate(self._subjects):
                basis = self.store.basis(subject).reshape(-1, self.store.vertex_count * 3).astype(np.float64)
                values = self._coefficients[self._subject == index].astype(np.float64)
                total += float(np.einsum("tk,kj,tj->", values, basis @ basis.T, values, optimize=True))
        return total / (self.frames * self.store.vertex_count * 3)
