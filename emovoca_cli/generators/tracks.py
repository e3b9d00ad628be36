"""Values over time, sampled between their frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.types import Float


def retime(track: Float, positions: NDArray[np.floating]) -> Float:
    """Sample a track (T,...) linearly at fractional frames (n,), held beyond its ends; (n,...).

    A track at one frame rate becomes one at another with positions = np.arange(n) * rate / other_rate.
    """
    position = np.clip(positions, 0, len(track) - 1)
    lower = np.minimum(position.astype(np.int64), max(0, len(track) - 2))
    upper = np.minimum(lower + 1, len(track) - 1)
    share = (position - lower).reshape(-1, *([1] * (track.ndim - 1))).astype(np.float32)
    return np.asarray(track[lower] * (1 - share) + track[upper] * share, dtype=np.float32)
