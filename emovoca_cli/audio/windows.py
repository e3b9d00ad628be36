"""Long motion in overlapping windows: where they lie, and how they are cross-faded into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float


def windows(frames: int, window: int, overlap: int) -> list[tuple[int, int]]:
    """First and one-past-last frame of windows over `frames`: none longer than `window`, neighbours share `overlap` or more.

    One window when all fit into it; otherwise they are spread evenly, so that none is short.
    """
    if not 0 < overlap < window:
        raise UsageError(f"windows of {window} frames cannot share {overlap}; the overlap has to lie between 0 and the window")
    if frames <= window:
        return [(0, frames)]
    count = -(-(frames - overlap) // (window - overlap))
    starts = np.linspace(0, frames - window, count).round().astype(int)
    return [(int(start), int(start) + window) for start in starts]


def join(pieces: Sequence[Float], spans: Sequence[tuple[int, int]]) -> Float:
    """Motions (t,...) of the windows as one (T,...): cross-faded in the middle third of what neighbours share.

    The outer thirds only give each window the context that it lacks at its cut.
    """
    if len(pieces) == 1:
        return pieces[0]
    whole = np.empty((spans[-1][1], *pieces[0].shape[1:]), dtype=np.float32)
    whole[: spans[0][1]] = pieces[0]
    for piece, (start, end), (_, before) in zip(pieces[1:], spans[1:], spans[:-1], strict=False):
        third = (before - start) // 3
        first, last = start + third, before - third
        share = (np.arange(1, last - first + 1) / (last - first + 1)).astype(np.float32)
        share = (share * share * (3 - 2 * share)).reshape(-1, *([1] * (piece.ndim - 1)))
        faded = piece[first - start : last - start]
        whole[first:last] += share * (faded - whole[first:last])
        whole[last:end] = piece[last - start :]
    return whole
