"""The emotion track: which emotion, how strongly, at each frame (paper section 4.5)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emovoca_cli.constants import INTENSITIES
from emovoca_cli.errors import UsageError
from emovoca_cli.types import Float

NEUTRAL = "neutral"

TRANSITION = 0.4
"""Seconds from one cue to the next when nothing is said: about as long as a face takes to change its expression."""


@dataclass(frozen=True, eq=False)
class EmotionTrack:
    """Labels over time: emotion (T,K) over `names` (K,), rows sum to 1 or, where neutral, to 0; intensity (T,) in 0-3."""

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


@dataclass(frozen=True)
class Cue:
    """One entry of a timeline: from `start` seconds on, these emotions in these shares (they sum to 1; neutral may be one).

    intensity 0-3, or None for what the intensity timeline says at the time.
    """

    start: float
    shares: tuple[tuple[str, float], ...]
    intensity: float | None = None

    @property
    def words(self) -> str:
        """The cue as it is written in a timeline."""
        text = self.shares[0][0] if len(self.shares) == 1 else "+".join(f"{label}:{share:.3g}" for label, share in self.shares)
        neutral = all(label == NEUTRAL for label, _ in self.shares)
        return text if self.intensity is None or neutral else f"{text}@{self.intensity:g}"


@dataclass(frozen=True)
class Timeline:
    """Cues over time: the first at 0 s, starts rising; levels: (start, intensity) for cues without their own; transition: seconds.

    A transition begins at its cue's start and is done `transition` later, or by the next cue if that comes sooner.
    """

    cues: tuple[Cue, ...]
    levels: tuple[tuple[float, float], ...] = ((0.0, 2.0),)
    transition: float = TRANSITION

    def sample(self, times: ArrayLike, names: Sequence[str]) -> EmotionTrack:
        """The track at times (T,) in seconds over a model's labels (K,).

        What is eased is the strength of each emotion (share x intensity): from neutral an emotion grows through the low
        intensities, and between two emotions the sum stays between theirs. A neutral share of a blend lowers the intensity.
        """
        at = np.asarray(times, dtype=np.float64)
        starts, values = np.array([start for start, _ in self.levels]), np.array([value for _, value in self.levels])
        level = crossfade(starts, at, self.transition) @ values
        weights = crossfade(np.array([cue.start for cue in self.cues]), at, self.transition)
        strength = np.zeros((len(at), len(names)))
        for cue, weight in zip(self.cues, weights.T, strict=True):
            strong = level if cue.intensity is None else cue.intensity
            for label, share in cue.shares:
                if label != NEUTRAL:
                    strength[:, list(names).index(label)] += weight * share * strong
        total = strength.sum(axis=1)
        emotion = strength / np.where(total > 0, total, 1.0)[:, None]
        return EmotionTrack(tuple(names), emotion.astype(np.float32), np.clip(total, 0, INTENSITIES[-1]).astype(np.float32))

    @property
    def words(self) -> str:
        """One line for a person, e.g. `0 s neutral, 1.5 s happy@3 (eased over 0.4 s)`."""
        constant = len(self.levels) == 1
        cues = [Cue(cue.start, cue.shares, self.levels[0][1]) if constant and cue.intensity is None else cue for cue in self.cues]
        if len(cues) == 1 and constant:
            return cues[0].words
        text = ", ".join(f"{cue.start:g} s {cue.words}" for cue in cues)
        if not constant:
            text += "; intensity " + ", ".join(f"{start:g} s {value:g}" for start, value in self.levels)
        return f"{text} (eased over {self.transition:g} s)"

    def record(self) -> dict[str, Any]:
        """Plain data of the timeline, for provenance and --json."""
        return {
            "cues": [{"start": cue.start, "emotion": dict(cue.shares), "intensity": cue.intensity} for cue in self.cues],
            "intensity": [{"start": start, "intensity": value} for start, value in self.levels],
            "transition": self.transition,
        }


def ease(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth step from 0 to 1: rises everywhere between, level at both ends; held outside."""
    inside = np.clip(share, 0.0, 1.0)
    return inside * inside * (3.0 - 2.0 * inside)


def crossfade(starts: NDArray[np.float64], times: NDArray[np.float64], transition: float) -> NDArray[np.float64]:
    """Weight (T,N) of each of N values with rising starts (seconds) at times (T,): rows sum to 1, two at most are not 0."""
    index = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
    span = np.minimum(transition, np.diff(starts, append=np.inf))[index]
    gone = times - starts[index]
    share = np.where((index == 0) | (gone >= span), 1.0, ease(gone / np.maximum(span, 1e-12)))
    rows = np.arange(len(times))
    weights = np.zeros((len(times), len(starts)))
    weights[rows, index] = share
    weights[rows, np.maximum(index - 1, 0)] += 1.0 - share
    return weights


def known_label(text: str, names: Sequence[str]) -> str:
    """A label of the model, or neutral, in its own spelling. Raises UsageError for another, with the nearest suggested."""
    label = text.strip().lower()
    if label != NEUTRAL and label not in names:
        near = difflib.get_close_matches(label, [NEUTRAL, *names], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"unknown emotion '{text.strip()}'{hint} (there are: {', '.join([NEUTRAL, *names])})")
    return label


def checked_intensity(value: float) -> float:
    """The value itself if it lies in 0-3. Raises UsageError otherwise."""
    if not 0 <= value <= INTENSITIES[-1]:
        raise UsageError(f"intensity {value:g} is out of range; give a number from 0 (neutral) to {INTENSITIES[-1]} (high)")
    return float(value)


def constant_track(emotion: str, intensity: float, *, names: Sequence[str], frames: int) -> EmotionTrack:
    """Hold one emotion at one intensity (0-3) for all T frames. `neutral` is speech without emotion.

    Raises UsageError for an emotion the model does not know (the nearest name is suggested) or an intensity out of range.
    """
    cue = Cue(0.0, ((known_label(emotion, names), 1.0),), checked_intensity(intensity))
    return Timeline((cue,)).sample(np.zeros(frames), names)
