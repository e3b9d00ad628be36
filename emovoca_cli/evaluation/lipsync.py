"""How the lips follow the phones: closure on bilabials, opening on vowels, rounding, delay. Needs no truth.

The gap is the mean distance of the three inner-lip pairs of landmarks, taken from its smallest value and divided by the distance
from there to its 95th percentile in the sequence, so that a small and a wide speaker are measured alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emovoca_cli.data.sequences import Phone
from emovoca_cli.evaluation.measure import Array
from emovoca_cli.evaluation.metrics import NotMeasuredError
from emovoca_cli.mesh.landmarks import lip_gap
from emovoca_cli.types import Bool, Float

BILABIALS = frozenset({"P", "B", "M"})
LABIALS = BILABIALS | {"F", "V"}
OPEN_VOWELS = frozenset({"AA", "AE", "AO", "AW", "AY"})
SPREAD = frozenset({"IY", "IH", "EY", "EH", "AE"})
ROUNDED = frozenset({"UW", "UH", "OW", "W", "AO"})
SILENCE = "SIL"

OPENNESS = {
    **dict.fromkeys(BILABIALS, 0.0), "F": 0.1, "V": 0.1, SILENCE: 0.05, **dict.fromkeys(OPEN_VOWELS, 1.0),
    "AH": 0.6, "AX": 0.4, "EH": 0.6, "EY": 0.55, "ER": 0.45, "OY": 0.65, "OW": 0.55, "IH": 0.35, "UH": 0.35, "IY": 0.3, "UW": 0.25,
    "L": 0.4, "R": 0.3, "Y": 0.3, "HH": 0.4, "W": 0.2,
}  # fmt: skip
"""How open the lips are expected to be, 0-1; other consonants are 0.25. Our judgement, coarse on purpose."""

OTHER = 0.25
CLOSED = 0.2
"""Lips count as closed under this share of the sequence's own range."""

SHUT = 0.15
"""The stricter share under which a run of frames is a closure of its own."""

LONGEST_LAG = 0.3
SMOOTHING = 0.12
STILL = 1e-5
"""Metres: lips whose gap varies less than this do not move."""

CORNERS = (48, 54)


@dataclass(frozen=True, eq=False)
class LipTrack:
    """The lips of a sequence over time, and the phones: landmarks (T,68,3) in metres, fps, phones in seconds."""

    landmarks: Float
    fps: float
    phones: tuple[Phone, ...]

    @cached_property
    def gap(self) -> Array:
        """The gap (T,) in metres."""
        return np.asarray(lip_gap(self.landmarks), np.float64)

    @cached_property
    def opening(self) -> Array:
        """The gap (T,) in shares of its own range; raises NotMeasuredError when the lips do not move."""
        above = self.gap - self.gap.min()
        wide = float(np.percentile(above, 95))
        if wide < STILL:
            raise NotMeasuredError("the lips do not move, so nothing opens or closes")
        return np.asarray(above / wide)

    @cached_property
    def width(self) -> Array:
        """Distance (T,) of the mouth's corners in metres."""
        return np.asarray(np.linalg.norm(self.landmarks[:, CORNERS[0]] - self.landmarks[:, CORNERS[1]], axis=1), np.float64)

    def at(self, track: Array, phones: Collection[str], pick: Callable[[Array], np.floating]) -> Array:
        """One number a phone of the given names that lies within the sequence: `pick` of the frames it touches."""
        found = []
        for name, start, end in self.phones:
            first, last = int(np.floor(start * self.fps)), int(np.ceil(end * self.fps))
            if name in phones and 0 <= first < len(track):
                found.append(float(pick(track[first : min(last, len(track) - 1) + 1])))
        return np.array(found)

    @cached_property
    def expected(self) -> Array:
        """The openness (T,) that the phones ask for, smoothed over 120 ms."""
        wanted = np.full(len(self.gap), OPENNESS[SILENCE])
        for name, start, end in self.phones:
            wanted[int(start * self.fps) : int(np.ceil(end * self.fps))] = OPENNESS.get(name, OTHER)
        window = np.hanning(max(3, int(SMOOTHING * self.fps) | 1) + 2)[1:-1]
        return np.convolve(np.pad(wanted, len(window) // 2, mode="edge"), window / window.sum(), "valid")

    @cached_property
    def spoken(self) -> tuple[int, int]:
        """First frame, and the one past the last, between the first and the last phone that is no silence."""
        sounds = [(start, end) for name, start, end in self.phones if name != SILENCE]
        if not sounds:
            raise NotMeasuredError("no phones are known; give --speech with words or phones")
        return min(int(sounds[0][0] * self.fps), len(self.gap)), min(int(np.ceil(sounds[-1][1] * self.fps)), len(self.gap))

    @cached_property
    def delay(self) -> tuple[int, float]:
        """The shift in frames (positive: the face is late) under which gap and expected openness correlate best, and how much."""
        _ = self.spoken
        reach = int(LONGEST_LAG * self.fps)
        best: tuple[int, float] | None = None
        for lag in sorted(range(-reach, reach + 1), key=abs):
            found = _correlation(*_shifted(self.opening, self.expected, lag))
            if found is not None and (best is None or found > best[1]):
                best = (lag, found)
        if best is None:
            raise NotMeasuredError("the sequence is too short to correlate with its phones")
        return best


def _shifted(face: Array, speech: Array, lag: int) -> tuple[Array, Array]:
    frames = len(face) - abs(lag)
    return (face[lag:], speech[:frames]) if lag >= 0 else (face[:frames], speech[-lag:])


def _correlation(a: Array, b: Array) -> float | None:
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def chance_above(high: Array, low: Array) -> float:
    """Chance that a random one of `high` is above a random one of `low`, ties half: the area under the ROC curve."""
    difference = high[:, None] - low[None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def closure(track: LipTrack) -> tuple[float, float]:
    """Bilabials whose smallest opening is under a fifth of the range, and how many bilabials there are."""
    smallest = track.at(track.opening, BILABIALS, np.min)
    return float((smallest < CLOSED).sum()), float(len(smallest))


def bilabial_gap(track: LipTrack) -> tuple[float, float]:
    """Sum over bilabials of the smallest gap in millimetres, and how many there are."""
    smallest = track.at(track.gap, BILABIALS, np.min) * 1000
    return float(smallest.sum()), float(len(smallest))


def open_chance(track: LipTrack) -> tuple[float, float]:
    """Chance that an open vowel opens wider than a bilabial; weight 1."""
    return _chance(track.at(track.opening, OPEN_VOWELS, np.mean), track.at(track.opening, BILABIALS, np.mean))


def round_chance(track: LipTrack) -> tuple[float, float]:
    """Chance that a spread vowel is wider than a rounded one; weight 1."""
    return _chance(track.at(track.width, SPREAD, np.mean), track.at(track.width, ROUNDED, np.mean))


def _chance(high: Array, low: Array) -> tuple[float, float]:
    return (chance_above(high, low), 1.0) if len(high) and len(low) else (0.0, 0.0)


def lag(track: LipTrack) -> tuple[float, float]:
    """Delay of the face against the speech in milliseconds; weight 1."""
    return 1000 * track.delay[0] / track.fps, 1.0


def sync(track: LipTrack) -> tuple[float, float]:
    """Correlation of gap and expected openness while something is said, at the best delay; weight 1."""
    first, last = track.spoken
    shift = track.delay[0]
    frames = np.arange(first, last)
    frames = frames[(frames + shift >= 0) & (frames + shift < len(track.gap))]
    found = _correlation(track.opening[frames + shift], track.expected[frames])
    return (found, 1.0) if found is not None else (0.0, 0.0)


def precision(track: LipTrack) -> tuple[float, float]:
    """Closures during speech that touch one of p, b, m, f, v within a frame, and how many closures there are."""
    near = np.zeros(len(track.gap), dtype=np.bool_)
    for name, start, end in track.phones:
        if name in LABIALS:
            near[max(0, int(start * track.fps) - 1) : int(np.ceil(end * track.fps)) + 2] = True
    first, last = track.spoken
    shut = np.zeros(len(track.gap), dtype=np.bool_)
    shut[first:last] = track.opening[first:last] < SHUT
    closures = runs(shut)
    return float(sum(bool(near[start:end].any()) for start, end in closures)), float(len(closures))


def runs(mask: Bool) -> Sequence[tuple[int, int]]:
    """Stretches of true frames as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
