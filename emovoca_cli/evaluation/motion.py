"""The quality of a motion by itself: no truth is needed, only the mesh, and for some the speech."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emovoca_cli.constants import MM, SAMPLE_RATE
from emovoca_cli.data.sequences import Phone
from emovoca_cli.evaluation import lipsync
from emovoca_cli.evaluation.crossing import crossings, lip_triangles
from emovoca_cli.evaluation.lipsync import LipTrack, runs
from emovoca_cli.evaluation.measure import CHUNK, Array
from emovoca_cli.evaluation.metrics import NotMeasuredError
from emovoca_cli.evaluation.regions import LIPS, Region
from emovoca_cli.evaluation.takes import Take
from emovoca_cli.mesh.landmarks import lip_opening
from emovoca_cli.types import Bool, Float

QUIET_DB = -35.0
"""A frame is silent when its speech lies this far under the recording's loud frames (95th percentile of the level)."""

SHORTEST_SILENCE = 0.2
EDGE = 0.1
"""Seconds taken off both ends of a silence: lips prepare a sound before it is heard, and come to rest after it."""


@dataclass(frozen=True, eq=False)
class Speech:
    """One utterance: 16 kHz samples (N,) or None, and phones (name, start s, end s), empty when unknown."""

    samples: Float | None
    phones: tuple[Phone, ...] = ()


@dataclass(frozen=True, eq=False)
class Motion:
    """One sequence, its regions and its speech; what several metrics need is made once."""

    take: Take
    regions: Mapping[str, Region]
    speech: Speech | None

    @cached_property
    def fps(self) -> float:
        """Frames a second."""
        if self.take.fps is None:
            raise NotMeasuredError("the frames a second are unknown; give --fps")
        return self.take.fps

    @cached_property
    def landmarks(self) -> Float:
        """Landmarks (T,68,3) in metres."""
        if self.take.landmarks is None:
            raise NotMeasuredError("the landmarks are unknown; give --template template.npz, or clips")
        return np.asarray(self.take.landmarks * self.take.metres, np.float32)

    @cached_property
    def lips(self) -> NDArray[np.int64]:
        """The lips' vertices."""
        if LIPS not in self.regions:
            raise NotMeasuredError("no lips region is known for these meshes; give --lips")
        return self.regions[LIPS].unique

    @cached_property
    def track(self) -> LipTrack:
        """Lips and phones over time."""
        if self.speech is None or not self.speech.phones:
            raise NotMeasuredError("no phones are known; give --speech with words or phones")
        return LipTrack(self.landmarks, self.fps, self.speech.phones)

    @cached_property
    def silence(self) -> Bool:
        """Frames (T,) well inside silences of a fifth of a second and more."""
        if self.speech is None:
            raise NotMeasuredError("no speech is known; give --speech")
        frames, fps = self.take.frames, self.fps
        if self.speech.samples is not None:
            quiet = quiet_frames(self.speech.samples, frames, fps)
        elif self.speech.phones:
            times = np.arange(frames) / fps
            quiet = np.zeros(frames, dtype=np.bool_)
            for name, start, end in self.speech.phones:
                if name == lipsync.SILENCE:
                    quiet |= (times >= start) & (times < end)
        else:
            raise NotMeasuredError("no speech is known; give --speech")
        inside = np.zeros(frames, dtype=np.bool_)
        margin = round(EDGE * fps)
        for start, end in runs(quiet):
            if end - start >= SHORTEST_SILENCE * fps:
                inside[start + (margin if start > 0 else 0) : end - (margin if end < frames else 0)] = True
        return inside

    @cached_property
    def lip_speed(self) -> Array:
        """Mean speed of the lips' vertices (T-1,) from each frame to the next, mm/s."""
        moved = np.diff(np.asarray(self.take.vertices[:, self.lips], np.float64), axis=0)
        return np.asarray(np.linalg.norm(moved, axis=2).mean(axis=1) * self.take.metres * MM * self.fps)

    @cached_property
    def crossings(self) -> tuple[Array, int]:
        """Crossing pairs of lip triangles in each frame (T,), and in the face at rest (0 without one)."""
        if self.take.faces is None or not len(self.take.faces):
            raise NotMeasuredError("the faces of the mesh are unknown; give --template, or clips")
        triangles = lip_triangles(self.take.faces, self.lips)
        if not len(triangles):
            raise NotMeasuredError("the lips region has no whole triangle")
        found = np.array([crossings(frame, triangles) for frame in self.take.vertices], np.float64)
        return found, crossings(self.take.rest, triangles) if self.take.rest is not None else 0


def quiet_frames(samples: Float, frames: int, fps: float) -> Bool:
    """Frames (T,) whose 16 kHz speech (N,) is silent by level; those after the recording's end are silent too."""
    step = SAMPLE_RATE / fps
    half = max(step, 0.03 * SAMPLE_RATE) / 2
    power = np.concatenate([[0.0], np.cumsum(np.square(np.asarray(samples, np.float64)))])
    centre = np.arange(frames) * step
    low = np.clip(np.round(centre - half), 0, len(samples)).astype(np.int64)
    high = np.clip(np.round(centre + half), 0, len(samples)).astype(np.int64)
    level = 10 * np.log10((power[high] - power[low]) / np.maximum(high - low, 1) + 1e-12)
    heard = high > low
    if not heard.any():
        return np.ones(frames, dtype=np.bool_)
    return np.asarray((level < np.percentile(level[heard], 95) + QUIET_DB) | ~heard)


def _jitter(motion: Motion) -> tuple[float, float]:
    """Sum over frames of the mean length of the third difference, times fps^3, in m/s^3; number of such frames."""
    frames = motion.take.frames
    if frames < 4:
        raise NotMeasuredError("the third difference needs four frames")
    scale = motion.take.metres * motion.fps**3
    total = 0.0
    for start in range(0, frames - 3, CHUNK):
        part = np.diff(np.asarray(motion.take.vertices[start : start + CHUNK + 3], np.float64), n=3, axis=0)
        total += float(np.linalg.norm(part, axis=2).mean(axis=1).sum())
    return total * scale, float(frames - 3)


def _silent(motion: Motion) -> tuple[float, float]:
    """Sum of the lips' speed over silent steps in mm/s, and how many there are."""
    steps = motion.silence[:-1] & motion.silence[1:]
    return float(motion.lip_speed[steps].sum()), float(steps.sum())


def _silent_share(motion: Motion) -> tuple[float, float]:
    """The lips' mean speed in silence as a share of that in the rest of the sequence; weight 1."""
    steps = motion.silence[:-1] & motion.silence[1:]
    loud = motion.lip_speed[~(motion.silence[:-1] | motion.silence[1:])]
    if not steps.any() or not len(loud) or loud.mean() <= 0:
        return 0.0, 0.0
    return float(motion.lip_speed[steps].mean() / loud.mean()), 1.0


def _crossing_frames(motion: Motion) -> tuple[float, float]:
    """Frames with more crossing pairs than the face at rest, and all frames."""
    found, rest = motion.crossings
    return float((found > rest).sum()), float(len(found))


def _crossing_pairs(motion: Motion) -> tuple[float, float]:
    """Sum over frames of the crossing pairs, and how many frames there are."""
    found, _ = motion.crossings
    return float(found.sum()), float(len(found))


def _overlap(motion: Motion) -> tuple[float, float]:
    """Sum over frames of how far the inner lips' landmarks overlap in height, mm, and how many frames there are."""
    depth = np.maximum(0.0, -np.asarray(lip_opening(motion.landmarks), np.float64)) * MM
    return float(depth.sum()), float(len(depth))


@dataclass(frozen=True)
class MotionMetric:
    """One number of a motion: its formula, unit, how to measure it, and what to say when a sequence has nothing to measure."""

    name: str
    formula: str
    unit: str
    measure: Callable[[Motion], tuple[float, float]]
    nothing: str
    higher_is_better: bool | None = False


def _lips(name: str, formula: str, unit: str, measure: Any, nothing: str, higher: bool | None = True) -> MotionMetric:
    return MotionMetric(name, formula, unit, lambda motion: measure(motion.track), nothing, higher)


MOTION: dict[str, MotionMetric] = {
    metric.name: metric
    for metric in (
        _lips("closure", "bilabials whose smallest opening is under 20 % / bilabials", "share", lipsync.closure, "no p, b or m"),
        _lips("bilabial_gap_mm", "mean over bilabials of the smallest lip gap", "mm", lipsync.bilabial_gap, "no p, b or m", False),
        _lips("open_auc", "P(open vowel opens wider than a bilabial)", "share", lipsync.open_chance, "no open vowel and bilabial"),
        _lips(
            "round_auc", "P(spread vowel wider than a rounded one)", "share", lipsync.round_chance, "no spread and rounded vowel"
        ),
        _lips("lag_ms", "delay that maximises the correlation of gap and phones", "ms", lipsync.lag, "too short", None),
        _lips("sync_corr", "correlation of gap and phones in speech at that delay", "r", lipsync.sync, "too short"),
        _lips("precision", "closures in speech at p, b, m, f, v / closures", "share", lipsync.precision, "the lips never close"),
        MotionMetric("jitter_m_s3", "mean_t mean_V ||third difference|| fps^3", "m/s^3", _jitter, "too short"),
        MotionMetric("silence_speed_mm_s", "mean over silent frames of the lips' mean speed", "mm/s", _silent, "no silence"),
        MotionMetric("silence_share", "that speed / the lips' mean speed elsewhere", "share", _silent_share, "no silence"),
        MotionMetric(
            "lips_crossing_frames", "frames where lips cross more than at rest / frames", "share", _crossing_frames, "no frames"
        ),
        MotionMetric("lips_crossing_pairs", "mean_t of crossing pairs of lip triangles", "pairs", _crossing_pairs, "no frames"),
        MotionMetric("lips_overlap_mm", "mean_t of the overlap of the inner lips in height", "mm", _overlap, "no frames"),
    )
}
"""The metrics that need no truth."""
