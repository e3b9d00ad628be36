"""The emotion track: which emotion, how strongly, at each frame (paper section 4.5)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emovoca_cli.constants import INTENSITIES
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

NEUTRAL = "neutral"


@dataclass(frozen=True, eq=False)
class EmotionTrack:
    """Labels over time: emotion (T,K) in 0-1 over `names` (K,), intensity (T,) in 0-3."""

    names: tuple[str, ...]
    emotion: Float
    intensity: Float

    def conditions(self) -> tuple[Float, Float]:
        """Return what a generator is conditioned on: emotion (T,K) and intensity (T,3), the one-hots of the paper (section 4.2).

        Between two trained levels the one-hots are interpolated; below the lowest both fade to zero, which is neutral speech.
        """
        lowest, highest = INTENSITIES[0], INTENSITIES[-1]
        strength = np.clip(self.intensity, 0.0, highest)
        presence = np.clip(strength / lowest, 0.0, 1.0)
        levels = np.asarray(INTENSITIES, dtype=np.float32)
        one_hot = np.clip(1.0 - np.abs(np.maximum(strength, lowest)[:, None] - levels), 0.0, 1.0) * presence[:, None]
        spoken = (self.emotion.sum(axis=1, keepdims=True) > 0).astype(np.float32)
        return (self.emotion * presence[:, None]).astype(np.float32), (one_hot * spoken).astype(np.float32)


def constant_track(emotion: str, intensity: float, *, names: Sequence[str], frames: int) -> EmotionTrack:
    """Hold one emotion at one intensity (0-3) for all T frames. `neutral` is speech without emotion.

    Raises UsageError for an emotion the model does not know (the nearest name is suggested) or an intensity out of range.
    """
    label = emotion.strip().lower()
    if label != NEUTRAL and label not in names:
        near = difflib.get_close_matches(label, [NEUTRAL, *names], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"unknown emotion '{emotion}'{hint} (there are: {', '.join([NEUTRAL, *names])})")
    if not 0 <= intensity <= INTENSITIES[-1]:
        raise UsageError(f"intensity {intensity:g} is out of range; give a number from 0 (neutral) to {INTENSITIES[-1]} (high)")
    track = np.zeros((frames, len(names)), dtype=np.float32)
    if label != NEUTRAL:
        track[:, list(names).index(label)] = 1.0
    level = 0.0 if label == NEUTRAL else intensity
    return EmotionTrack(tuple(names), track, np.full(frames, level, dtype=np.float32))
